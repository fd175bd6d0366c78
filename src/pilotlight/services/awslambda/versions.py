"""Versions and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import configuration, publishing, store
from pilotlight.services.awslambda.functions import STALE
from pilotlight.services.awslambda.names import (
    Reference,
    conflict,
    invalid,
    not_found,
    number_of,
    raise_no_function,
    refer_whole,
    user_error,
    validation,
)
from pilotlight.services.awslambda.paging import limit_of, marker_of, page, read_marker
from pilotlight.services.awslambda.resolver import Resolver, get_ready
from pilotlight.services.awslambda.store import LATEST, Name, Part
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction


class Versions:
    """Operations on published versions."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def publish_version(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("PublishTo"):
            raise NotImplementedHere("PublishVersion with PublishTo")
        reference = refer_whole(caller, request["FunctionName"])
        how = publishing.Publish(
            revision=self._parts.ids.uuid(),
            now_ms=self._parts.clock.now_ms(),
            description=request.get("Description"),
        )
        version = await self._parts.database.write(_publish_checked, reference, request, how)
        self._resolver.forget()
        await get_ready(self._parts, version)
        return configuration.shown(version)

    async def list_versions_by_function(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        limit, after = limit_of(request), int(read_marker(request) or -1)
        versions = await self._parts.database.scan(
            store.list_versions, reference.function, after=after, limit=limit + 1
        )
        if not versions and after < 0:
            raise_no_function(reference)
        shown = [configuration.listed(version, qualified=True) for version in versions[:limit]]
        answer: dict[str, Any] = {"Versions": shown}
        if len(versions) > limit:
            answer["NextMarker"] = marker_of(str(versions[limit - 1].number))
        return answer


def _publish_checked(
    tx: Transaction, reference: Reference, request: Mapping[str, Any], how: publishing.Publish
) -> store.Version:
    latest = store.find_version(tx, reference.function, 0)
    if latest is None:
        raise_no_function(reference)
    if request.get("RevisionId") not in (None, latest.revision):
        raise user_error("PreconditionFailedException", STALE, status=412)
    wanted, current = request.get("CodeSha256"), latest.body["CodeSha256"]
    if wanted and wanted != current:
        raise invalid(
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({current}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
    return publishing.publish(tx, latest, how)


class Aliases:
    """Operations on aliases. A part's body has `FunctionVersion`, `Description` and `Weights`."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def create_alias(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        body = {
            "FunctionVersion": request["FunctionVersion"],
            "Description": request.get("Description", ""),
            "Weights": _weights(request),
        }
        part = Part(reference.function, "alias", request["Name"], self._parts.ids.uuid(), body)
        await self._parts.database.write(_add_alias, part)
        self._changed()
        return _shown(part)

    async def get_alias(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        part = await self._parts.database.read(store.find_part, reference.function, "alias", request["Name"])
        if part is None:
            raise not_found(f"Cannot find alias arn: {reference.function.arn}:{request['Name']}")
        return _shown(part)

    async def update_alias(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        changes: dict[str, Any] = {k: request[k] for k in ("FunctionVersion", "Description") if k in request}
        if "RoutingConfig" in request:
            changes["Weights"] = _weights(request)
        part = await self._parts.database.write(
            _change_alias, reference.function, request, changes, self._parts.ids.uuid()
        )
        self._changed()
        return _shown(part)

    async def delete_alias(self, caller: Caller, request: Mapping[str, Any]) -> None:
        """AWS: deleting an alias that is not there is no error."""
        reference = refer_whole(caller, request["FunctionName"])
        await self._parts.database.write(_delete_alias, reference, request["Name"])
        self._changed()

    async def list_aliases(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        if await self._parts.database.read(store.find_function, reference.function) is None:
            raise_no_function(reference)
        parts = await self._parts.database.read(store.list_parts, reference.function, "alias")
        wanted = request.get("FunctionVersion")
        parts = [part for part in parts if wanted in (None, part.body["FunctionVersion"])]
        some, marker = page(parts, request, key=lambda part: part.id)
        answer: dict[str, Any] = {"Aliases": [_shown(part) for part in some]}
        return {**answer, "NextMarker": marker} if marker else answer

    def _changed(self) -> None:
        self._resolver.forget()
        self._parts.wake_provisioning()


def _weights(request: Mapping[str, Any]) -> dict[str, float]:
    return dict((request.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})


def _check_alias(tx: Transaction, part: Part) -> None:
    version, weights = part.body["FunctionVersion"], part.body["Weights"]
    number = number_of(version)
    if number is None or store.find_version(tx, part.function, number) is None:
        raise not_found(f"Function not found: {part.function.arn}:{version}")
    if not weights:
        return
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    (other, weight), *_ = weights.items()
    if not 0.0 <= weight <= 1.0:
        raise validation(
            f"{{{other}={weight}}}",
            "routingConfig.additionalVersionWeights",
            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
            "Member must have value greater than or equal to 0.0, Member must not be null]",
        )
    if LATEST in (version, other):
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    if other == version:
        raise invalid(
            f"Invalid function version {other}. Function version {other} is already included in routing configuration."
        )
    number = number_of(other)
    if number is None or store.find_version(tx, part.function, number) is None:
        raise not_found(f"Function not found: {part.function.arn}:{other}")


def _add_alias(tx: Transaction, part: Part) -> None:
    if store.find_function(tx, part.function) is None:
        raise not_found(f"Function not found: {part.function.arn}:{part.body['FunctionVersion']}")
    _check_alias(tx, part)
    if store.find_part(tx, part.function, "alias", part.id):
        raise conflict(f"Alias already exists: {part.function.arn}:{part.id}")
    store.save_part(tx, part)


def _change_alias(
    tx: Transaction, function: Name, request: Mapping[str, Any], changes: Mapping[str, Any], revision: str
) -> Part:
    old = store.find_part(tx, function, "alias", request["Name"])
    if old is None:
        raise not_found(f"Alias not found: {function.arn}:{request['Name']}")
    if request.get("RevisionId") not in (None, old.revision):
        raise user_error("PreconditionFailedException", STALE, status=412)
    part = Part(function, "alias", old.id, revision, {**old.body, **changes})
    _check_alias(tx, part)
    store.save_part(tx, part)
    return part


def _delete_alias(tx: Transaction, reference: Reference, alias: str) -> None:
    if store.find_function(tx, reference.function) is None:
        raise_no_function(reference)
    store.delete_parts_of(tx, reference.function, alias)


def _shown(part: Part) -> dict[str, Any]:
    answer = {
        "AliasArn": f"{part.function.arn}:{part.id}",
        "Name": part.id,
        "FunctionVersion": part.body["FunctionVersion"],
        "Description": part.body["Description"],
        "RevisionId": part.revision,
    }
    if part.body["Weights"]:
        answer["RoutingConfig"] = {"AdditionalVersionWeights": part.body["Weights"]}
    return answer
