"""Tags, and settings of a function that stand apart: how its runtime is updated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.functions import TAGS_MAX
from pilotlight.services.awslambda.names import Reference, invalid, raise_no_function, refer, validation
from pilotlight.services.awslambda.resolver import find_qualified
from pilotlight.services.awslambda.store import LATEST
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction


class Tags:
    """Operations on a function's tags."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def list_tags(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = _taggable(caller, "ListTags", request["Resource"])
        function = await self._parts.database.read(store.find_function, reference.function)
        if function is None:
            raise_no_function(reference)
        return {"Tags": function.tags}

    async def tag_resource(self, caller: Caller, request: Mapping[str, Any]) -> None:
        reference = _taggable(caller, "TagResource", request["Resource"])
        if not request["Tags"]:
            raise invalid("An error occurred and the request cannot be processed.")
        await self._parts.database.write(_change_tags, reference, dict(request["Tags"]), [])

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> None:
        reference = _taggable(caller, "UntagResource", request["Resource"])
        await self._parts.database.write(_change_tags, reference, {}, list(request["TagKeys"]))


def _taggable(caller: Caller, operation: str, resource: str) -> Reference:
    if ":layer:" in resource or ":event-source-mapping:" in resource or ":code-signing-config:" in resource:
        raise NotImplementedHere(f"{operation} of {resource.split(':')[5]}")
    if not resource.startswith("arn:"):
        raise validation(
            resource,
            "resource",
            r"Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|"
            r"(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
            r"code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-"
            r"[0-9a-fA-F]{4}-[0-9a-fA-F]{12})",
        )
    reference = refer(caller, resource)
    if reference.qualifier:
        raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
    return reference


def _change_tags(tx: Transaction, reference: Reference, added: Mapping[str, str], removed: list[str]) -> None:
    function = store.find_function(tx, reference.function)
    if function is None:
        raise_no_function(reference)
    tags = {key: value for key, value in {**function.tags, **added}.items() if key not in removed}
    if len(tags) > TAGS_MAX:
        raise invalid("Number of tags exceeds resource tag limit.")
    store.set_tags(tx, reference.function, tags)


class RuntimeManagement:
    """AWS updates runtimes by itself (`Auto`), and so does this host's package manager. Nothing else is here."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def get_runtime_management_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = await self._existing(caller, request)
        return {"UpdateRuntimeOn": "Auto", "FunctionArn": _with_version(reference)}

    async def put_runtime_management_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        if request["UpdateRuntimeOn"] != "Auto":
            raise NotImplementedHere(f"PutRuntimeManagementConfig with UpdateRuntimeOn {request['UpdateRuntimeOn']}")
        if request.get("RuntimeVersionArn"):
            raise NotImplementedHere("PutRuntimeManagementConfig with RuntimeVersionArn")
        reference = await self._existing(caller, request)
        return {"UpdateRuntimeOn": "Auto", "FunctionArn": _with_version(reference)}

    async def _existing(self, caller: Caller, request: Mapping[str, Any]) -> Reference:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        if await self._parts.database.read(find_qualified, reference) is None:
            raise_no_function(reference)
        return reference


def _with_version(reference: Reference) -> str:
    return f"{reference.function.arn}:{reference.qualifier or LATEST}"
