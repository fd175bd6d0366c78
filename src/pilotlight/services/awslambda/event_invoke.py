"""How asynchronous invocations of a function are retried, and where their results go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import destinations, store
from pilotlight.services.awslambda.names import Reference, invalid, not_found, raise_no_function, refer, refer_whole
from pilotlight.services.awslambda.paging import page
from pilotlight.services.awslambda.resolver import Resolver, find_qualified
from pilotlight.services.awslambda.store import LATEST, Part
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction

SETTINGS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")


class EventInvokeConfigs:
    """Operations on event invoke configurations."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def put_function_event_invoke_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        return await self._save(caller, request, "PutFunctionEventInvokeConfig", over=False)

    async def update_function_event_invoke_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        return await self._save(caller, request, "UpdateFunctionEventInvokeConfig", over=True)

    async def get_function_event_invoke_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        return _shown(await self._parts.database.read(_find, _refer(caller, request)))

    async def delete_function_event_invoke_config(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._parts.database.write(_delete, _refer(caller, request))
        self._resolver.forget()

    async def list_function_event_invoke_configs(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        if await self._parts.database.read(store.find_function, reference.function) is None:
            raise not_found("The function doesn't exist.")
        parts = await self._parts.database.read(store.list_parts, reference.function, "event_invoke")
        some, marker = page(parts, request, key=lambda part: part.id)
        answer: dict[str, Any] = {"FunctionEventInvokeConfigs": [_shown(part) for part in some]}
        return {**answer, "NextMarker": marker} if marker else answer

    async def _save(self, caller: Caller, request: Mapping[str, Any], operation: str, *, over: bool) -> dict[str, Any]:
        reference = _refer(caller, request)
        settings = {member: request[member] for member in SETTINGS if member in request}
        if not settings:
            raise invalid("You must specify at least one of error handling or destination setting.")
        version = await self._parts.database.read(find_qualified, reference)
        if version is None:
            raise not_found("The function doesn't exist.")
        if "DurableConfig" in version.body:
            raise NotImplementedHere(f"{operation} of a durable function")
        await destinations.check(self._parts, caller, operation, version, settings.get("DestinationConfig") or {})
        settings["modified_ms"] = self._parts.clock.now_ms()
        part = Part(reference.function, "event_invoke", reference.qualifier, self._parts.ids.uuid(), settings)
        saved = await self._parts.database.write(_save, part, over)
        self._resolver.forget()
        return _shown(saved)


def _refer(caller: Caller, request: Mapping[str, Any]) -> Reference:
    """`$LATEST` and no qualifier are the same configuration."""
    reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
    return Reference(reference.function, "") if reference.qualifier == LATEST else reference


def _save(tx: Transaction, part: Part, over: bool) -> Part:
    reference = Reference(part.function, part.id)
    if find_qualified(tx, reference) is None:
        raise_no_function(reference)
    if over:
        old = _find(tx, reference)
        part = Part(part.function, part.kind, part.id, part.revision, {**old.body, **part.body})
    store.save_part(tx, part)
    return part


def _find(tx: Transaction, reference: Reference) -> Part:
    part = store.find_part(tx, reference.function, "event_invoke", reference.qualifier)
    if part is None:
        raise not_found(f"The function {_arn(reference)} doesn't have an EventInvokeConfig")
    return part


def _delete(tx: Transaction, reference: Reference) -> None:
    _find(tx, reference)
    store.delete_part(tx, reference.function, "event_invoke", reference.qualifier)


def _arn(reference: Reference) -> str:
    return f"{reference.function.arn}:{reference.qualifier or LATEST}"


def _shown(part: Part) -> dict[str, Any]:
    body = part.body
    answer: dict[str, Any] = {
        "LastModified": datetime.fromtimestamp(body["modified_ms"] / 1000, UTC),
        "FunctionArn": _arn(Reference(part.function, part.id)),
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}, **(body.get("DestinationConfig") or {})},
    }
    answer.update({m: body[m] for m in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds") if m in body})
    return answer
