"""A function's configuration: what a request may ask for, what is kept, and what is shown.

Kept bodies have the shape of AWS's `FunctionConfiguration`. Two members start with an underscore and are never
shown: `_package` and `_layers`, keys of the package store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.services.awslambda import snap_start
from pilotlight.services.awslambda.images import config_members
from pilotlight.services.awslambda.names import invalid, validation
from pilotlight.services.awslambda.runtimes import check_runtime
from pilotlight.services.awslambda.store import Name, Version

TIMEOUT_SECONDS_MAX = 900
MEMORY_MB_MIN, MEMORY_MB_MAX = 128, 10_240
EPHEMERAL_MB_MIN, EPHEMERAL_MB_MAX = 512, 10_240
ENVIRONMENT_BYTES_MAX = 4096
ROLE = re.compile(r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
LOG_GROUP = re.compile(r"[\.\-_/#A-Za-z0-9]{1,512}")

RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
    }
)
"""AWS: "Defined runtime environment variables", reserved ones; a request that sets one is refused."""

DURABLE_DEFAULTS = {"RetentionPeriodInDays": 14}
"""AWS: the default that CloudFormation and SAM document."""

SIMPLE_MEMBERS = ("Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize")

REFUSED_MEMBERS = {
    "KMSKeyArn": "a KMS key for environment variables",
    "FileSystemConfigs": "FileSystemConfigs",
    "TenancyConfig": "TenancyConfig",
    "CapacityProviderConfig": "capacity providers",
    "RuntimeConfig": "RuntimeConfig",
    "AcceleratorConfig": "AcceleratorConfig",
    "PublishTo": "PublishTo",
}


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Raise AWS's error for what is not valid, or by name for what is not supported."""
    _refuse(operation, request)
    if "Role" in request and not ROLE.fullmatch(request["Role"]):
        pattern = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
        raise validation(request["Role"], "role", f"Member must satisfy regular expression pattern: {pattern}")
    if "Handler" in request and not re.fullmatch(r"\S{0,128}", request["Handler"]):
        raise validation(request["Handler"], "handler", r"Member must satisfy regular expression pattern: [^\s]+")
    _check_range(request, "Timeout", 1, TIMEOUT_SECONDS_MAX)
    memory = request.get("MemorySize")
    if memory is not None and memory > MEMORY_MB_MAX:
        # AWS: this one is worded by the service, not by the model; seen on accounts with a lower limit of 3008.
        raise invalid(
            "'MemorySize' value failed to satisfy constraint: "
            f"Member must have value less than or equal to {MEMORY_MB_MAX}"
        )
    _check_range(request, "MemorySize", MEMORY_MB_MIN, MEMORY_MB_MAX)
    if "EphemeralStorage" in request:
        _check_range(request["EphemeralStorage"], "Size", EPHEMERAL_MB_MIN, EPHEMERAL_MB_MAX, "ephemeralStorage.size")
    if "Runtime" in request:
        check_runtime(request["Runtime"])
    if "Environment" in request:
        check_environment(request["Environment"].get("Variables") or {})
    _check_logging(request.get("LoggingConfig") or {})
    _check_durable(operation, request)


def _check_durable(operation: str, request: Mapping[str, Any]) -> None:
    """AWS: ExecutionTimeout is required when a function is made durable, which is only possible from its beginning."""
    durable = request.get("DurableConfig")
    if durable is None:
        return
    if durable.get("KMSKeyArn"):
        raise NotImplementedHere(f"{operation} with a KMS key for durable executions (DurableConfig.KMSKeyArn)")
    if operation == "CreateFunction" and not durable.get("ExecutionTimeout"):
        raise invalid("DurableConfig requires an ExecutionTimeout.")


def _refuse(operation: str, request: Mapping[str, Any]) -> None:
    for member, what in REFUSED_MEMBERS.items():
        if request.get(member):
            raise NotImplementedHere(f"{operation} with {what} ({member})")
    snap_start.check_vpc(request.get("VpcConfig") or {})


def _check_range(request: Mapping[str, Any], member: str, low: int, high: int, label: str = "") -> None:
    value = request.get(member)
    if value is None or low <= value <= high:
        return
    constraint = (
        f"Member must have value less than or equal to {high}"
        if value > high
        else f"Member must have value greater than or equal to {low}"
    )
    raise validation(value, label or member[0].lower() + member[1:], constraint)


def check_environment(variables: Mapping[str, str]) -> None:
    reserved = sorted(RESERVED_VARIABLES.intersection(variables))
    if reserved:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    for name in variables:
        if not re.fullmatch(r"[a-zA-Z]([a-zA-Z0-9_])+", name):
            raise validation(
                f"{{{', '.join(variables)}}}",
                "environment.variables",
                "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: "
                "[a-zA-Z]([a-zA-Z0-9_])+]",
            )
    measured = json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > ENVIRONMENT_BYTES_MAX:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {measured}"
        )


def _check_logging(logging: Mapping[str, Any]) -> None:
    group = logging.get("LogGroup")
    if group and not LOG_GROUP.fullmatch(group):
        raise validation(
            group, "loggingConfig.logGroup", r"Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+"
        )
    levels = logging.get("ApplicationLogLevel") or logging.get("SystemLogLevel")
    if levels and logging.get("LogFormat", "Text") != "JSON":
        raise invalid("To use log level, LogFormat must be JSON.")


def created(name: Name, request: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a new function, with AWS's defaults; code and layers come on top."""
    body: dict[str, Any] = {
        "FunctionName": name.name,
        "Description": "",
        "Timeout": 3,
        "MemorySize": MEMORY_MB_MIN,
        "PackageType": request.get("PackageType", "Zip"),
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": EPHEMERAL_MB_MIN},
        "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name.name}"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    }
    if request.get("Architectures"):
        body["Architectures"] = list(request["Architectures"])
    return changed(body, request)


def changed(body: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """A body with a request's members laid over it."""
    result = dict(body)
    result.update({member: request[member] for member in SIMPLE_MEMBERS if member in request})
    if "Environment" in request:
        variables = dict(request["Environment"].get("Variables") or {})
        result.pop("Environment", None)
        if variables:
            result["Environment"] = {"Variables": variables}
    if "ImageConfig" in request:
        config = config_members(request)
        result.pop("ImageConfig", None)
        if config:
            result["ImageConfig"] = config
    for member in ("EphemeralStorage", "TracingConfig"):
        if request.get(member):
            result[member] = dict(request[member])
    if request.get("DurableConfig"):
        result["DurableConfig"] = {**result.get("DurableConfig", DURABLE_DEFAULTS), **request["DurableConfig"]}
    if request.get("SnapStart"):
        result["SnapStart"] = dict(request["SnapStart"])
    if "DeadLetterConfig" in request:
        result.pop("DeadLetterConfig", None)
        if request["DeadLetterConfig"].get("TargetArn"):
            result["DeadLetterConfig"] = {"TargetArn": request["DeadLetterConfig"]["TargetArn"]}
    if "VpcConfig" in request:
        result.pop("VpcConfig", None)
        vpc = snap_start.vpc_response(request["VpcConfig"])
        if vpc is not None:
            result["VpcConfig"] = vpc
    snap_start.check(result)
    if "LoggingConfig" in request:
        logging = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{result['FunctionName']}"}
        logging.update(request["LoggingConfig"])
        if logging["LogFormat"] == "JSON":
            logging = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", **logging}
        result["LoggingConfig"] = logging
    return result


VOLATILE = frozenset({"LastModified", "RevisionId", "_digest", "_states"})


def digest(body: Mapping[str, Any]) -> str:
    """Two bodies of equal digest are the same code and settings: publishing again makes no new version."""
    stable = {member: value for member, value in body.items() if member not in VOLATILE}
    return hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()


def shown(version: Version, *, qualifier: str = "", warning: str = "") -> dict[str, Any]:
    """`FunctionConfiguration` as it is answered. With a qualifier the ARN carries it, as AWS's does.

    `warning` is what this machine has to say of the runtime. AWS tells there why a runtime's version cannot be had.
    """
    body = {member: value for member, value in version.body.items() if not member.startswith("_")}
    suffix = qualifier or (version.version if version.number else "")
    arn = version.function.arn
    body.update(
        FunctionArn=f"{arn}:{suffix}" if suffix else arn,
        Version=version.version,
        RevisionId=version.revision,
        SnapStart=snap_start.shown(version),
        **{"State": "Active", "LastUpdateStatus": "Successful", **version.body.get("_states", {})},
    )
    if body["PackageType"] == "Zip":
        body["RuntimeVersionConfig"] = {"RuntimeVersionArn": runtime_arn(version)}
        if warning:
            body["RuntimeVersionConfig"]["Error"] = {"ErrorCode": "RuntimeNotExact", "Message": warning}
    body.update({name: value for name, value in version.body.get("_update", {}).items() if not name.startswith("_")})
    if "ImageConfig" in body:
        # AWS: shown one level deeper than it is given.
        body["ImageConfigResponse"] = {"ImageConfig": body.pop("ImageConfig")}
    return body


UNLISTED = frozenset({"RuntimeVersionConfig"})
UNLISTED_PREFIXES = ("State", "LastUpdateStatus")


def listed(version: Version, *, qualified: bool) -> dict[str, Any]:
    """AWS: lists leave out states and their reasons; where they are of all versions, `$LATEST` has a qualified ARN."""
    body = shown(version, qualifier=version.version if qualified else "")
    return {
        member: value
        for member, value in body.items()
        if member not in UNLISTED and not member.startswith(UNLISTED_PREFIXES)
    }


def runtime_arn(version: Version) -> str:
    """Names the runtime as AWS does, by a hash; here it changes with the runtime's name only."""
    digest = hashlib.sha256(str(version.body.get("Runtime", "")).encode()).hexdigest()
    return f"arn:aws:lambda:{version.function.region}::runtime:{digest}"
