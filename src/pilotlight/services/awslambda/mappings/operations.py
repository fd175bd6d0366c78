"""Operations on event source mappings.

AWS makes, changes and removes mappings in the background, and answers with a state on its way (`Creating`); here they
are there when the answer leaves, so that a second look sees `Enabled`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Values
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pilotlight.arn import Arn
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import grants
from pilotlight.services.awslambda.mappings import checks, store
from pilotlight.services.awslambda.mappings.store import Mapping
from pilotlight.services.awslambda.names import (
    Reference,
    check_tags,
    conflict,
    invalid,
    not_found,
    raise_no_function,
    refer,
)
from pilotlight.services.awslambda.resolver import find_qualified
from pilotlight.services.awslambda.store import LATEST, Version
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction

Request = Values[str, Any]
PAGE = 100
NEEDED = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")


class EventSourceMappings:
    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def create_event_source_mapping(self, caller: Caller, request: Request) -> dict[str, Any]:
        operation = "CreateEventSourceMapping"
        source = checks.queue_of(operation, request.get("EventSourceArn") or "")
        checks.check(operation, request, source)
        reference = _refer(caller, request["FunctionName"])
        version = await self._version(reference)
        await self._check_queue(caller, source, version)
        body = {"BatchSize": checks.BATCH, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": []}
        mapping = Mapping(
            uuid=self._parts.ids.uuid(),
            account=reference.function.account,
            region=reference.function.region,
            function=reference.function.name,
            qualifier=reference.qualifier,
            source=str(source),
            enabled=request.get("Enabled") is not False,
            body={**body, **{name: request[name] for name in checks.SETTINGS if request.get(name) is not None}},
            modified_ms=self._parts.clock.now_ms(),
            tags=check_tags(dict(request.get("Tags") or {})),
        )
        await self._parts.database.write(_create, mapping)
        self._parts.wake_mappings()
        return _told(mapping, "Creating")

    async def get_event_source_mapping(self, caller: Caller, request: Request) -> dict[str, Any]:
        return _told(await self._parts.database.read(_require, caller, request["UUID"]))

    async def list_event_source_mappings(self, caller: Caller, request: Request) -> dict[str, Any]:
        wanted = _refer(caller, request["FunctionName"]) if request.get("FunctionName") else None
        limit = min(request.get("MaxItems") or PAGE, PAGE)
        found: list[Mapping] = []
        after = request.get("Marker") or ""
        while len(found) <= limit:
            some = await self._parts.database.read(
                store.list_mappings, account=caller.account, region=caller.region, after=after, limit=PAGE
            )
            found += [mapping for mapping in some if _is_wanted(mapping, request.get("EventSourceArn"), wanted)]
            if len(some) < PAGE:
                break
            after = some[-1].uuid
        answer: dict[str, Any] = {"EventSourceMappings": [_told(mapping) for mapping in found[:limit]]}
        return {**answer, "NextMarker": found[limit - 1].uuid} if len(found) > limit else answer

    async def update_event_source_mapping(self, caller: Caller, request: Request) -> dict[str, Any]:
        old = await self._parts.database.read(_require, caller, request["UUID"])
        source = Arn.parse(old.source)
        changed = {name: request[name] for name in checks.SETTINGS if request.get(name) is not None}
        checks.check("UpdateEventSourceMapping", {**old.body, **request, **changed}, source)
        reference = _refer(caller, request["FunctionName"]) if request.get("FunctionName") else old.reference
        await self._check_queue(caller, source, await self._version(reference))
        now_ms = self._parts.clock.now_ms()

        def update(tx: Transaction) -> Mapping:
            mapping = _require(tx, caller, request["UUID"])
            fresh = replace(
                mapping,
                function=reference.function.name,
                qualifier=reference.qualifier,
                enabled=request["Enabled"] if request.get("Enabled") is not None else mapping.enabled,
                body={**mapping.body, **changed},
                modified_ms=now_ms,
            )
            _check_pair(tx, fresh)
            store.save(tx, fresh)
            return fresh

        fresh = await self._parts.database.write(update)
        self._parts.wake_mappings()
        state = "Updating" if fresh.enabled == old.enabled else "Enabling" if fresh.enabled else "Disabling"
        return _told(fresh, state)

    async def delete_event_source_mapping(self, caller: Caller, request: Request) -> dict[str, Any]:
        def delete(tx: Transaction) -> Mapping:
            mapping = _require(tx, caller, request["UUID"])
            store.delete(tx, mapping)
            return mapping

        return _told(await self._parts.database.write(delete), "Deleting")

    async def _version(self, reference: Reference) -> Version:
        version = await self._parts.database.read(find_qualified, reference)
        if version is None:
            raise_no_function(reference)
        return version

    async def _check_queue(self, caller: Caller, source: Arn, version: Version) -> None:
        """That it is there, that the function's role may read it, and that it hides messages for long enough."""
        # As the account itself: whoever may make the mapping need not be allowed to read the queue.
        account = replace(caller, kind="administrator", account=source.account)
        url = f"https://sqs.{source.region}.amazonaws.com/{source.account}/{source.resource}"
        params = {"QueueUrl": url, "AttributeNames": ["VisibilityTimeout", "Policy"]}
        try:
            found = await self._parts.cloud.call("sqs", "GetQueueAttributes", params, account)
        except AwsError as error:
            if error.code != "QueueDoesNotExist":
                raise
            raise invalid(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
                f"SQS Error Message: {error.message}"
            ) from None
        await self._check_role(account, source, version, found["Attributes"].get("Policy", ""))
        hidden, timeout = int(found["Attributes"]["VisibilityTimeout"]), version.body["Timeout"]
        if hidden < timeout:
            raise invalid(
                f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {timeout} seconds"
            )

    async def _check_role(self, account: Caller, source: Arn, version: Version, policy: str) -> None:
        role, function = version.body["Role"], version.function
        actions = [f"sqs:{action}" for action in NEEDED]
        for denied in await grants.denied(self._parts, account, function, role, actions, str(source)):
            action = denied.partition(":")[2]
            if not _names(policy, role, action):
                raise invalid(f"The provided execution role does not have permissions to call {action} on SQS")


def _names(policy: str, role: str, action: str) -> bool:
    """A look at the queue's own policy, which may grant what the role's does not. Each call decides what it means."""
    return bool(policy) and role in policy and (action.lower() in policy.lower() or "sqs:*" in policy.lower())


def _refer(caller: Caller, name: str) -> Reference:
    reference = refer(caller, name)
    return Reference(reference.function, "") if reference.qualifier == LATEST else reference


def _create(tx: Transaction, mapping: Mapping) -> None:
    _check_pair(tx, mapping)
    store.save(tx, mapping)


def _check_pair(tx: Transaction, mapping: Mapping) -> None:
    other = store.find_pair(tx, mapping.source, mapping.reference)
    if other is not None and other.uuid != mapping.uuid:
        raise conflict(
            f'An event source mapping with SQS arn (" {mapping.source} ") and function (" {mapping.reference.arn} ") '
            f"already exists. Please update or delete the existing mapping with UUID {other.uuid}"
        )


def _require(tx: Transaction, caller: Caller, uuid: str) -> Mapping:
    mapping = store.find(tx, uuid, account=caller.account, region=caller.region)
    if mapping is None:
        raise not_found("The resource you requested does not exist.")
    return mapping


def _is_wanted(mapping: Mapping, source: str | None, reference: Reference | None) -> bool:
    return (not source or mapping.source == source) and (
        reference is None or (mapping.function == reference.function.name and mapping.qualifier == reference.qualifier)
    )


def _told(mapping: Mapping, state: str = "") -> dict[str, Any]:
    body = json.loads(json.dumps(mapping.body))
    return {
        "UUID": mapping.uuid,
        "EventSourceArn": mapping.source,
        "EventSourceMappingArn": mapping.arn,
        "FunctionArn": mapping.reference.arn,
        "LastModified": datetime.fromtimestamp(mapping.modified_ms / 1000, UTC),
        "LastProcessingResult": mapping.result,
        "State": state or ("Enabled" if mapping.enabled else "Disabled"),
        "StateTransitionReason": "USER_INITIATED",
        **body,
    }
