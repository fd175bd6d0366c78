"""AWS::Lambda::Function, ::Version, ::Alias, ::Permission, ::LayerVersion, ::EventInvokeConfig and ::Url."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, boolean, ignore_missing, number, pick, there
from pilotlight.errors import AwsError

GONE = "ResourceNotFoundException"
CONFIGURED = (
    "Description",
    "EphemeralStorage",
    "Handler",
    "Layers",
    "LoggingConfig",
    "Role",
    "Runtime",
    "TracingConfig",
    "VpcConfig",
    "DeadLetterConfig",
    "KmsKeyArn",
    "SnapStart",
    "FileSystemConfigs",
    "DurableConfig",
    "ImageConfig",
)
UNSET: dict[str, Any] = {
    "DeadLetterConfig": {"TargetArn": ""},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "ImageConfig": {},
    "Layers": [],
    "LoggingConfig": {"LogFormat": "Text"},
    "MemorySize": 128,
    "SnapStart": {"ApplyOn": "None"},
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
}
"""What a property becomes again when a template no longer has it."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
PROVISION_SECONDS_MAX = 600
PROVISION_POLL_SECONDS = 0.05
PULL_SECONDS_MAX = 900
INLINE = {"python": "index.py", "nodejs": "index.js"}


class Function:
    type = "AWS::Lambda::Function"
    properties = frozenset(
        {
            *CONFIGURED,
            "Architectures",
            "Code",
            "Environment",
            "FunctionName",
            "MemorySize",
            "PackageType",
            "ReservedConcurrentExecutions",
            "Tags",
            "Timeout",
        }
    )
    replaced_by = frozenset({"FunctionName", "PackageType"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("FunctionName") or at.name())
        return await there(
            at, name, "lambda", "GetFunctionConfiguration", "ResourceNotFoundException", FunctionName=name
        )

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("FunctionName") or at.name())
        params: dict[str, Any] = {"FunctionName": name, "Code": _code(properties), **_configuration(properties)}
        params |= pick(properties, "PackageType", "Architectures")
        tags = at.tag_map(properties.get("Tags"))
        if tags:
            params["Tags"] = tags
        try:
            await at.call("lambda", "CreateFunction", **params)
        except AwsError as error:
            if not (at.again and error.code == "ResourceConflictException"):
                raise
        await at.made(name)
        await _pulled(at, name, properties)
        await self._reserve(at, name, {}, properties)
        return _function(at, name)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        name = made.physical_id
        if "DurableConfig" in old and "DurableConfig" not in new:
            raise AwsError("InvalidRequest", "DurableConfig cannot be taken from a function: give it another name.")
        if old.get("Code") != new.get("Code") or old.get("Architectures") != new.get("Architectures"):
            code = pick(new, "Architectures")
            await at.call("lambda", "UpdateFunctionCode", FunctionName=name, **_code(new), **code)
            await _pulled(at, name, new)
        if _configuration(old) != _configuration(new):
            taken_away = {key: value for key, value in UNSET.items() if key in old and key not in new}
            configuration = {**taken_away, **_configuration(new)}
            await at.call("lambda", "UpdateFunctionConfiguration", FunctionName=name, **configuration)
        await self._reserve(at, name, old, new)
        if old.get("Tags") != new.get("Tags"):
            await self._retag(at, name, old, new)
        return _function(at, name)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "lambda", "DeleteFunction", GONE, FunctionName=physical_id)

    async def _reserve(self, at: Context, name: str, old: Properties, new: Properties) -> None:
        before, after = old.get("ReservedConcurrentExecutions"), new.get("ReservedConcurrentExecutions")
        if before == after:
            return
        if after is None:
            await at.call("lambda", "DeleteFunctionConcurrency", FunctionName=name)
        else:
            params = {"FunctionName": name, "ReservedConcurrentExecutions": number(after)}
            await at.call("lambda", "PutFunctionConcurrency", **params)

    async def _retag(self, at: Context, name: str, old: Properties, new: Properties) -> None:
        arn = _function(at, name).attributes["Arn"]
        before, after = at.tag_map(old.get("Tags")), at.tag_map(new.get("Tags"))
        gone = sorted(set(before) - set(after))
        if gone:
            await at.call("lambda", "UntagResource", Resource=arn, TagKeys=gone)
        if after:
            await at.call("lambda", "TagResource", Resource=arn, Tags=after)


async def _pulled(at: Context, name: str, properties: Properties) -> None:
    """AWS: a stack goes on when the function is active, which a container image takes a while to become."""
    if "ImageUri" not in properties["Code"]:
        return
    async with asyncio.timeout(PULL_SECONDS_MAX):
        while True:
            found = await at.call("lambda", "GetFunctionConfiguration", FunctionName=name)
            if "Failed" in (found["State"], found["LastUpdateStatus"]):
                reason = found.get("StateReason") or found.get("LastUpdateStatusReason", "")
                raise AwsError("InvalidRequest", f"{reason} ({found.get('LastUpdateStatusReasonCode', '')})")
            if found["State"] == "Active" and found["LastUpdateStatus"] == "Successful":
                return
            await asyncio.sleep(PROVISION_POLL_SECONDS)


def _function(at: Context, name: str) -> Made:
    return Made(name, {"Arn": f"arn:aws:lambda:{at.caller.region}:{at.caller.account}:function:{name}"})


def _configuration(properties: Properties) -> dict[str, Any]:
    result = pick(properties, *CONFIGURED)
    for key in ("MemorySize", "Timeout"):
        if key in properties:
            result[key] = number(properties[key])
    if "EphemeralStorage" in result:
        result["EphemeralStorage"] = {"Size": number(result["EphemeralStorage"]["Size"])}
    if "DurableConfig" in result:
        # CloudFormation's numbers may be text.
        texts = ("KMSKeyArn",)
        result["DurableConfig"] = {
            name: value if name in texts else number(value) for name, value in result["DurableConfig"].items()
        }
    if "Environment" in properties:
        variables = properties["Environment"].get("Variables", {})
        result["Environment"] = {"Variables": {name: _text(value) for name, value in variables.items()}}
    return result


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _code(properties: Properties) -> dict[str, Any]:
    code = properties["Code"]
    if "ZipFile" not in code:
        return pick(code, "S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri")
    # AWS: inline code becomes the file `index` of the runtime's language.
    runtime = str(properties.get("Runtime", ""))
    file = next((name for prefix, name in INLINE.items() if runtime.startswith(prefix)), None)
    if file is None:
        raise AwsError(
            "InvalidParameterValueException", f"ZipFile can only be used with Python and Node.js, not {runtime}"
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(file, ZIP_TIME), code["ZipFile"])
    return {"ZipFile": buffer.getvalue()}


class Version:
    type = "AWS::Lambda::Version"
    properties = frozenset({"FunctionName", "CodeSha256", "Description", "ProvisionedConcurrencyConfig"})
    replaced_by = properties

    async def create(self, at: Context, properties: Properties) -> Made:
        # AWS: publishing what has not changed gives the version that is there, so asking again is safe.
        params = pick(properties, "FunctionName", "CodeSha256", "Description")
        version = await at.call("lambda", "PublishVersion", **params)
        arn = version["FunctionArn"]
        if "ProvisionedConcurrencyConfig" in properties:
            name, qualifier = properties["FunctionName"], version["Version"]
            await provision(at, name, qualifier, properties["ProvisionedConcurrencyConfig"])
        return Made(arn, {"Version": version["Version"], "FunctionArn": arn})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "lambda", "DeleteFunction", GONE, FunctionName=physical_id)


async def provision(at: Context, name: str, qualifier: str, configuration: Any) -> None:
    """Ask for provisioned concurrency, and wait until it is there, as CloudFormation does."""
    count = number(configuration["ProvisionedConcurrentExecutions"])
    which = {"FunctionName": name, "Qualifier": qualifier}
    await at.call("lambda", "PutProvisionedConcurrencyConfig", ProvisionedConcurrentExecutions=count, **which)
    async with asyncio.timeout(PROVISION_SECONDS_MAX):
        while True:
            found = await at.call("lambda", "GetProvisionedConcurrencyConfig", **which)
            if found["Status"] == "READY":
                return
            if found["Status"] == "FAILED":
                raise AwsError("NotStabilized", found.get("StatusReason", "Provisioned concurrency failed"))
            await asyncio.sleep(PROVISION_POLL_SECONDS)


class Alias:
    type = "AWS::Lambda::Alias"
    properties = frozenset(
        {"FunctionName", "FunctionVersion", "Name", "Description", "RoutingConfig", "ProvisionedConcurrencyConfig"}
    )
    replaced_by = frozenset({"FunctionName", "Name"})

    async def create(self, at: Context, properties: Properties) -> Made:
        params = _alias(properties)
        try:
            alias = await at.call("lambda", "CreateAlias", **params)
        except AwsError as error:
            if not (at.again and error.code == "ResourceConflictException"):
                raise
            alias = await at.call("lambda", "UpdateAlias", **params)
        await self._provision(at, {}, properties)
        return Made(alias["AliasArn"], {"AliasArn": alias["AliasArn"]})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await at.call("lambda", "UpdateAlias", **{"RoutingConfig": {"AdditionalVersionWeights": {}}, **_alias(new)})
        await self._provision(at, old, new)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        name, alias = properties["FunctionName"], properties["Name"]
        if "ProvisionedConcurrencyConfig" in properties:
            await ignore_missing(
                at,
                "lambda",
                "DeleteProvisionedConcurrencyConfig",
                GONE,
                "ProvisionedConcurrencyConfigNotFoundException",
                FunctionName=name,
                Qualifier=alias,
            )
        await ignore_missing(at, "lambda", "DeleteAlias", GONE, FunctionName=name, Name=alias)

    async def _provision(self, at: Context, old: Properties, new: Properties) -> None:
        name, alias = new["FunctionName"], new["Name"]
        if "ProvisionedConcurrencyConfig" in new:
            await provision(at, name, alias, new["ProvisionedConcurrencyConfig"])
        elif "ProvisionedConcurrencyConfig" in old:
            await at.call("lambda", "DeleteProvisionedConcurrencyConfig", FunctionName=name, Qualifier=alias)


def _alias(properties: Properties) -> dict[str, Any]:
    params = pick(properties, "FunctionName", "Name", "Description")
    params["FunctionVersion"] = str(properties["FunctionVersion"])
    if "RoutingConfig" in properties:
        weights = properties["RoutingConfig"].get("AdditionalVersionWeights", [])
        given = {str(one["FunctionVersion"]): float(one["FunctionWeight"]) for one in weights}
        params["RoutingConfig"] = {"AdditionalVersionWeights": given}
    return params


class Permission:
    type = "AWS::Lambda::Permission"
    properties = frozenset(
        {
            "Action",
            "EventSourceToken",
            "FunctionName",
            "FunctionUrlAuthType",
            "InvokedViaFunctionUrl",
            "Principal",
            "PrincipalOrgID",
            "SourceAccount",
            "SourceArn",
        }
    )
    replaced_by = properties

    async def create(self, at: Context, properties: Properties) -> Made:
        statement = at.name(maximum=100)
        params = dict(properties)
        if "InvokedViaFunctionUrl" in params:
            params["InvokedViaFunctionUrl"] = boolean(params["InvokedViaFunctionUrl"])
        try:
            await at.call("lambda", "AddPermission", StatementId=statement, **params)
        except AwsError as error:
            if not (at.again and error.code == "ResourceConflictException"):
                raise
        return Made(statement, {"Id": statement})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        params = {"FunctionName": properties["FunctionName"], "StatementId": physical_id}
        await ignore_missing(at, "lambda", "RemovePermission", GONE, **params)


class LayerVersion:
    type = "AWS::Lambda::LayerVersion"
    properties = frozenset(
        {"LayerName", "Content", "CompatibleRuntimes", "CompatibleArchitectures", "Description", "LicenseInfo"}
    )
    replaced_by = properties

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("LayerName") or at.name())
        params = pick(
            properties, "Content", "CompatibleRuntimes", "CompatibleArchitectures", "Description", "LicenseInfo"
        )
        layer = await at.call("lambda", "PublishLayerVersion", LayerName=name, **params)
        return Made(layer["LayerVersionArn"], {"LayerVersionArn": layer["LayerVersionArn"]})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        layer, _, version = physical_id.rpartition(":")
        await at.call("lambda", "DeleteLayerVersion", LayerName=layer, VersionNumber=int(version))


class EventInvokeConfig:
    type = "AWS::Lambda::EventInvokeConfig"
    properties = frozenset(
        {"FunctionName", "Qualifier", "DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
    )
    replaced_by = frozenset({"FunctionName", "Qualifier"})

    async def create(self, at: Context, properties: Properties) -> Made:
        params = dict(properties)
        for key in ("MaximumEventAgeInSeconds", "MaximumRetryAttempts"):
            if key in params:
                params[key] = number(params[key])
        await at.call("lambda", "PutFunctionEventInvokeConfig", **params)
        which = f"{properties['FunctionName']}|{properties['Qualifier']}"
        return Made(hashlib.sha256(which.encode()).hexdigest()[:32])

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await self.create(at, new)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        which = pick(properties, "FunctionName", "Qualifier")
        await ignore_missing(at, "lambda", "DeleteFunctionEventInvokeConfig", GONE, **which)


class Url:
    type = "AWS::Lambda::Url"
    properties = frozenset({"AuthType", "Cors", "InvokeMode", "Qualifier", "TargetFunctionArn"})
    replaced_by = frozenset({"Qualifier", "TargetFunctionArn"})

    async def create(self, at: Context, properties: Properties) -> Made:
        params = self._params(properties)
        try:
            url = await at.call("lambda", "CreateFunctionUrlConfig", **params)
        except AwsError as error:
            if not (at.again and error.code == "ResourceConflictException"):
                raise
            url = await at.call("lambda", "UpdateFunctionUrlConfig", **params)
        return Made(url["FunctionArn"], {"FunctionArn": url["FunctionArn"], "FunctionUrl": url["FunctionUrl"]})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await at.call(
            "lambda", "UpdateFunctionUrlConfig", **{"Cors": {}, "InvokeMode": "BUFFERED", **self._params(new)}
        )
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        which = self._which(properties)
        await ignore_missing(at, "lambda", "DeleteFunctionUrlConfig", GONE, **which)

    def _which(self, properties: Properties) -> dict[str, Any]:
        return {"FunctionName": properties["TargetFunctionArn"], **pick(properties, "Qualifier")}

    def _params(self, properties: Properties) -> dict[str, Any]:
        params = {**self._which(properties), **pick(properties, "AuthType", "InvokeMode")}
        if "Cors" in properties:
            cors = dict(properties["Cors"])
            if "AllowCredentials" in cors:
                cors["AllowCredentials"] = boolean(cors["AllowCredentials"])
            if "MaxAge" in cors:
                cors["MaxAge"] = number(cors["MaxAge"])
            params["Cors"] = cors
        return params


TYPES = (Function(), Version(), Alias(), Permission(), LayerVersion(), EventInvokeConfig(), Url())
