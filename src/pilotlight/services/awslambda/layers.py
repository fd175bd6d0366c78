"""Layers: publishing, finding, permitting, and what a function may take of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import code, layer_store
from pilotlight.services.awslambda.layer_store import Layer, LayerVersion
from pilotlight.services.awslambda.names import conflict, invalid, not_found, user_error, validation
from pilotlight.services.awslambda.paging import page
from pilotlight.services.awslambda.surroundings import LayerUnavailable, Surroundings, timestamp
from pilotlight.storage import Transaction

LAYERS_MAX = 5
LAYER = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d):(?P<account>\d{12})"
    r":layer:(?P<name>[a-zA-Z0-9-_]{1,140})(?::(?P<number>\d+))?"
)
NO_RESOURCE = "The resource you requested does not exist."


def parse_layer(caller: Caller, text: str) -> Layer:
    match = LAYER.fullmatch(text)
    if match:
        return Layer(match["account"], match["region"], match["name"])
    return Layer(caller.account, caller.region, text)


def parse_version_arn(arn: str) -> tuple[Layer, int]:
    match = LAYER.fullmatch(arn)
    if match is None or match["number"] is None:
        raise validation(
            arn,
            "arn",
            r"Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:[a-z]{2}((-gov)|"
            r"(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)",
        )
    return Layer(match["account"], match["region"], match["name"]), int(match["number"])


class Layers:
    """Operations on layers."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def publish_layer_version(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        layer = parse_layer(caller, request["LayerName"])
        data = await code.fetch(self._parts, caller, "PublishLayerVersion", request["Content"])
        package = await code.keep(self._parts, data)
        body: dict[str, Any] = {
            "Description": request.get("Description", ""),
            "CreatedDate": timestamp(self._parts.clock.now_ms()),
            **code.code_members(package),
        }
        for member in ("CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"):
            if request.get(member):
                body[member] = request[member]
        version = await self._parts.database.write(layer_store.publish, layer, body, self._parts.ids.uuid())
        return self._detailed(version)

    async def get_layer_version(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        layer = parse_layer(caller, request["LayerName"])
        return self._detailed(await self._find(layer, request["VersionNumber"]))

    async def get_layer_version_by_arn(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        layer, number = parse_version_arn(request["Arn"])
        return self._detailed(await self._find(layer, number))

    async def list_layer_versions(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        layer = parse_layer(caller, request["LayerName"])
        versions = await self._parts.database.read(layer_store.list_layer_versions, layer)
        wanted = [version for version in versions if _compatible(version, request)]
        some, marker = page(wanted, request, key=lambda version: f"{version.number:09d}", descending=True)
        answer: dict[str, Any] = {"LayerVersions": [_listed(version) for version in some]}
        return {**answer, "NextMarker": marker} if marker else answer

    async def list_layers(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        versions = await self._parts.database.scan(layer_store.list_every_layer_version, caller.account, caller.region)
        newest: dict[str, LayerVersion] = {}
        for version in versions:
            if _compatible(version, request):
                newest.setdefault(version.layer.name, version)
        some, marker = page(list(newest.values()), request, key=lambda version: version.layer.name)
        layers = [
            {"LayerName": v.layer.name, "LayerArn": v.layer.arn, "LatestMatchingVersion": _listed(v)} for v in some
        ]
        return {"Layers": layers, "NextMarker": marker} if marker else {"Layers": layers}

    async def delete_layer_version(self, caller: Caller, request: Mapping[str, Any]) -> None:
        """AWS: deleting what is not there is no error; functions that use it keep their copy."""
        layer, number = parse_layer(caller, request["LayerName"]), request["VersionNumber"]
        if number < 1:
            raise invalid("Layer Version Cannot be less than 1.")
        await self._parts.database.write(layer_store.delete_layer_version, layer, number)

    async def add_layer_version_permission(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        if request["Action"] != "lambda:GetLayerVersion":
            raise validation(
                request["Action"], "action", "Member must satisfy regular expression pattern: lambda:GetLayerVersion"
            )
        layer = parse_layer(caller, request["LayerName"])
        statement: dict[str, Any] = {
            "Sid": request["StatementId"],
            "Effect": "Allow",
            "Principal": _principal(request["Principal"]),
            "Action": request["Action"],
            "Resource": f"{layer.arn}:{request['VersionNumber']}",
        }
        if request.get("OrganizationId"):
            statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": request["OrganizationId"]}}
        changed = await self._parts.database.write(_permit, layer, request, statement, self._parts.ids.uuid())
        return {"Statement": json.dumps(statement, separators=(",", ":")), "RevisionId": changed.revision}

    async def remove_layer_version_permission(self, caller: Caller, request: Mapping[str, Any]) -> None:
        layer = parse_layer(caller, request["LayerName"])
        await self._parts.database.write(_forbid, layer, request, self._parts.ids.uuid())

    async def get_layer_version_policy(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        layer, number = parse_layer(caller, request["LayerName"]), request["VersionNumber"]
        version = await self._parts.database.read(_existing, layer, number)
        if not version.policy:
            raise not_found("No policy is associated with the given resource.")
        return {"Policy": policy_text(version), "RevisionId": version.revision}

    async def _find(self, layer: Layer, number: int) -> LayerVersion:
        if number < 1:
            raise invalid("Layer Version Cannot be less than 1.")
        version = await self._parts.database.read(layer_store.find_layer_version, layer, number)
        if version is None:
            raise not_found(NO_RESOURCE)
        return version

    def _detailed(self, version: LayerVersion) -> dict[str, Any]:
        body = version.body
        content = {
            "Location": self._parts.links.link(body["_package"]),
            "CodeSha256": body["CodeSha256"],
            "CodeSize": body["CodeSize"],
        }
        return {**_listed(version), "LayerArn": version.layer.arn, "Content": content}


def _existing(tx: Transaction, layer: Layer, number: int) -> LayerVersion:
    version = layer_store.find_layer_version(tx, layer, number)
    if version is None:
        raise not_found(f"Layer version {layer.arn}:{number} does not exist.")
    return version


def _permit(
    tx: Transaction, layer: Layer, request: Mapping[str, Any], statement: dict[str, Any], fresh: str
) -> LayerVersion:
    version = _existing(tx, layer, request["VersionNumber"])
    if any(other["Sid"] == statement["Sid"] for other in version.policy):
        raise conflict(
            f"The statement id ({statement['Sid']}) provided already exists. Please provide a new statement "
            "id, or remove the existing statement."
        )
    return _save_policy(tx, version, [*version.policy, statement], request, fresh)


def _forbid(tx: Transaction, layer: Layer, request: Mapping[str, Any], fresh: str) -> None:
    version = _existing(tx, layer, request["VersionNumber"])
    kept = [statement for statement in version.policy if statement["Sid"] != request["StatementId"]]
    if len(kept) == len(version.policy):
        raise not_found(f"Statement {request['StatementId']} is not found in resource policy.")
    _save_policy(tx, version, kept, request, fresh)


def _save_policy(
    tx: Transaction, version: LayerVersion, policy: list[dict[str, Any]], request: Mapping[str, Any], fresh: str
) -> LayerVersion:
    if request.get("RevisionId") not in (None, version.revision):
        raise user_error(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetLayerPolicy API to retrieve the latest Revision Id",
            status=412,
        )
    changed = replace(version, policy=policy, revision=fresh)
    layer_store.save_layer_version(tx, changed)
    return changed


def policy_text(version: LayerVersion) -> str:
    document = {"Version": "2012-10-17", "Id": "default", "Statement": version.policy}
    return json.dumps(document, separators=(",", ":"))


def _principal(text: str) -> object:
    return "*" if text == "*" else {"AWS": f"arn:aws:iam::{text}:root" if text.isdigit() else text}


def _listed(version: LayerVersion) -> dict[str, Any]:
    hidden = ("CodeSha256", "CodeSize")
    shown = {k: v for k, v in version.body.items() if not k.startswith("_") and k not in hidden}
    return {**shown, "LayerVersionArn": version.arn, "Version": version.number}


def _compatible(version: LayerVersion, request: Mapping[str, Any]) -> bool:
    runtime, architecture = request.get("CompatibleRuntime"), request.get("CompatibleArchitecture")
    return (not runtime or runtime in version.body.get("CompatibleRuntimes", ())) and (
        not architecture or architecture in version.body.get("CompatibleArchitectures", ())
    )


async def layer_members(parts: Surroundings, caller: Caller, arns: Sequence[str], *, runtime: str) -> dict[str, Any]:
    """What a function's body keeps of its layers; raises AWS's errors for those that it cannot have."""
    if len(arns) > LAYERS_MAX:
        raise invalid("Cannot reference more than 5 layers.")
    seen: dict[str, str] = {}
    versions = []
    for arn in arns:
        layer, number = _parse_wanted(arns, arn)
        if layer.region != caller.region:
            raise invalid(
                f"Layers are not in the same region as the function. "
                f"Layers are expected to be in region {caller.region}."
            )
        if layer.arn in seen:
            raise invalid(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[layer.arn]} and {arn} versions found"
            )
        seen[layer.arn] = arn
        versions.append(await _wanted_version(parts, caller, layer, number, runtime))
    return {
        "Layers": [{"Arn": version.arn, "CodeSize": version.body["CodeSize"]} for version in versions],
        "_layers": [version.body["_package"] for version in versions],
        "_layers_unzipped": sum(version.body["_unzipped"] for version in versions),
    }


def _parse_wanted(arns: Sequence[str], arn: str) -> tuple[Layer, int]:
    match = LAYER.fullmatch(arn)
    if match is None or match["number"] is None:
        raise validation(
            f"[{', '.join(arns)}]",
            "layers",
            "Member must satisfy constraint: [Member must have length less than or equal to 2048, "
            "Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: "
            r"(arn:(aws[a-zA-Z-]*)?:lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:"
            r"[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+), Member must not be null]",
        )
    return parse_version_arn(arn)


async def _wanted_version(parts: Surroundings, caller: Caller, layer: Layer, number: int, runtime: str) -> LayerVersion:
    found = await parts.database.read(layer_store.find_layer_version, layer, number)
    if found is None and layer.account == caller.account:
        raise invalid(f"Layer version {layer.arn}:{number} does not exist.")
    if found is None:
        return await _from_source(parts, caller, layer, number, runtime)
    if layer.account != caller.account:  # raises where the other account has not permitted it
        await parts.cloud.call("lambda", "GetLayerVersionByArn", {"Arn": found.arn}, caller)
    return found


async def _from_source(parts: Surroundings, caller: Caller, layer: Layer, number: int, runtime: str) -> LayerVersion:
    """A layer of an account that is not in this cloud: made here where the source knows how."""
    arn = f"{layer.arn}:{number}"
    try:
        data = await parts.layer_source.fetch(arn, runtime)
    except LayerUnavailable as error:
        raise _no_layer(caller, layer, arn, str(error)) from None
    if data is None:
        raise _no_layer(caller, layer, arn, "Pilotlight cannot make this layer")
    package = await code.keep(parts, data)
    body = {
        "Description": "Made by Pilotlight from the package index",
        "CreatedDate": timestamp(parts.clock.now_ms()),
        **code.code_members(package),
    }
    public = [
        {
            "Sid": "public",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "lambda:GetLayerVersion",
            "Resource": arn,
        }
    ]
    version = LayerVersion(layer, number, parts.ids.uuid(), body, public)
    await parts.database.write(layer_store.save_layer_version, version)
    return version


def _no_layer(caller: Caller, layer: Layer, arn: str, why: str) -> AwsError:
    """AWS: this is its answer for layers that are missing or not shared; what stands in brackets is ours."""
    return AwsError(
        "AccessDeniedException",
        f"User: {caller.arn} is not authorized to perform: lambda:GetLayerVersion on resource: {arn} because no "
        f"resource-based policy allows the lambda:GetLayerVersion action. ({why}. Publish it yourself: "
        f"aws lambda publish-layer-version --layer-name {layer.name} --zip-file fileb://layer.zip, with the access "
        f"key {layer.account} to create it there, or name a layer of your own.)",
        status=403,
    )
