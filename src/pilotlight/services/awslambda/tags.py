"""Tags of functions, of event source mappings and of code signing configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import code_signing, store
from pilotlight.services.awslambda.mappings import store as mappings
from pilotlight.services.awslambda.names import (
    check_tags,
    invalid,
    not_found,
    raise_no_function,
    refer,
    validation,
)
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction

Change = Callable[[dict[str, str]], dict[str, str]]
"""From the tags that are there to those that are to be; the same ones where they are only read."""
MAPPING = ":event-source-mapping:"
SIGNING = ":code-signing-config:"


class Tags:
    """Operations on tags."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def list_tags(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        _check("ListTags", request["Resource"])
        return {"Tags": await self._parts.database.read(_apply, caller, request["Resource"], None)}

    async def tag_resource(self, caller: Caller, request: Mapping[str, Any]) -> None:
        _check("TagResource", request["Resource"])
        added = dict(request["Tags"])
        if not added:
            raise invalid("An error occurred and the request cannot be processed.")
        await self._parts.database.write(_apply, caller, request["Resource"], lambda tags: {**tags, **added})

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> None:
        _check("UntagResource", request["Resource"])
        gone = frozenset(request["TagKeys"])
        await self._parts.database.write(
            _apply, caller, request["Resource"], lambda tags: {k: v for k, v in tags.items() if k not in gone}
        )


def _check(operation: str, resource: str) -> None:
    if ":layer:" in resource:
        # AWS: the model's pattern has layers; its documentation knows no tags of theirs.
        raise NotImplementedHere(f"{operation} of a layer")
    if not resource.startswith("arn:"):
        raise validation(
            resource,
            "resource",
            r"Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|"
            r"(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
            r"code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-"
            r"[0-9a-fA-F]{4}-[0-9a-fA-F]{12})",
        )


def _apply(tx: Transaction, caller: Caller, resource: str, change: Change | None) -> dict[str, str]:
    """The tags of what an ARN names, after the change."""
    if MAPPING in resource:
        return _of_mapping(tx, caller, resource, change)
    if SIGNING in resource:
        return _of_signing(tx, resource, change)
    reference = refer(caller, resource)
    if reference.qualifier:
        raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
    function = store.find_function(tx, reference.function)
    if function is None:
        raise_no_function(reference)
    if change is None:
        return function.tags
    tags = check_tags(change(function.tags))
    store.set_tags(tx, reference.function, tags)
    return tags


def _of_mapping(tx: Transaction, caller: Caller, resource: str, change: Change | None) -> dict[str, str]:
    uuid = resource.partition(MAPPING)[2]
    mapping = mappings.find(tx, uuid, account=caller.account, region=caller.region)
    if mapping is None or mapping.arn != resource:
        raise not_found(f"Event source mapping not found: {resource}")
    if change is None:
        return mapping.tags
    tags = check_tags(change(mapping.tags))
    mappings.save(tx, replace(mapping, tags=tags))
    return tags


def _of_signing(tx: Transaction, resource: str, change: Change | None) -> dict[str, str]:
    config = code_signing.existing(tx, resource)
    tags: dict[str, str] = config.body.get("_tags", {})
    if change is None:
        return tags
    tags = check_tags(change(tags))
    code_signing.save(tx, replace(config, body={**config.body, "_tags": tags}))
    return tags
