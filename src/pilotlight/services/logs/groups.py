"""Operations on log groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.observability import log_store
from pilotlight.observability.log_store import Group
from pilotlight.observability.logs import LogBuffer
from pilotlight.services.logs.names import existing_group, group_name, invalid, name_of, page
from pilotlight.storage import Database, Transaction

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip


class Groups:
    """Creating, describing and deleting groups, and how long they keep events."""

    def __init__(self, database: Database, clock: Clock, buffer: LogBuffer) -> None:
        self._database = database
        self._clock = clock
        self._buffer = buffer

    async def create_log_group(self, caller: Caller, request: Mapping[str, Any]) -> None:
        if request.get("kmsKeyId"):
            raise NotImplementedHere("CreateLogGroup with a KMS key (kmsKeyId)")
        log_class = request.get("logGroupClass", "STANDARD")
        if log_class not in ("STANDARD", "INFREQUENT_ACCESS"):
            raise NotImplementedHere(f"CreateLogGroup with logGroupClass {log_class}")
        name = request["logGroupName"]
        if name.startswith("aws/"):
            raise invalid("Log groups starting with 'aws/' are reserved for AWS.")
        added = await self._database.write(
            log_store.add_group,
            caller.account,
            caller.region,
            name,
            now_ms=self._clock.now_ms(),
            log_class=log_class,
            protected=bool(request.get("deletionProtectionEnabled")),
            tags=request.get("tags"),
        )
        if not added:
            raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")

    async def delete_log_group(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._buffer.flush()
        await self._database.write(_delete, caller, request["logGroupName"])

    async def describe_log_groups(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("includeLinkedAccounts") or request.get("accountIdentifiers"):
            raise NotImplementedHere("DescribeLogGroups of linked accounts")
        prefix, pattern = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
        if prefix and pattern:
            raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        await self._buffer.flush()
        wanted = {name_of(caller, text) for text in request.get("logGroupIdentifiers") or ()}
        groups = [
            group
            for group in await self._database.scan(log_store.list_groups, caller.account, caller.region)
            if (not prefix or group.name.startswith(prefix))
            and (not pattern or pattern.lower() in group.name.lower())
            and (not wanted or group.name in wanted)
            and request.get("logGroupClass") in (None, group.log_class)
        ]
        some, token = page(groups, request, key=lambda group: group.name)
        sizes = await self._database.scan(_sizes, [group.id for group in some])
        answer: dict[str, Any] = {"logGroups": [_shown(group, sizes[group.id]) for group in some]}
        return {**answer, "nextToken": token} if token else answer

    async def put_retention_policy(self, caller: Caller, request: Mapping[str, Any]) -> None:
        days = request["retentionInDays"]
        if days not in RETENTION_DAYS:
            raise invalid(
                f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(str(allowed) for allowed in RETENTION_DAYS)}]"
            )
        await self._database.write(_set_retention, caller, request["logGroupName"], days)

    async def delete_retention_policy(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._database.write(_set_retention, caller, request["logGroupName"], None)

    async def put_log_group_deletion_protection(self, caller: Caller, request: Mapping[str, Any]) -> None:
        name = group_name(caller, request)
        await self._database.write(_set_protection, caller, name, bool(request["deletionProtectionEnabled"]))


def _delete(tx: Transaction, caller: Caller, name: str) -> None:
    group = existing_group(tx, caller, name)
    if group.protected:
        raise AwsError(
            "ValidationException",
            "The log group cannot be deleted because deletion protection is enabled. Disable it first.",
        )
    log_store.delete_group(tx, group.id)


def _sizes(tx: Transaction, ids: list[int]) -> dict[int, int]:
    return {group_id: log_store.stored_bytes(tx, group_id) for group_id in ids}


def _set_retention(tx: Transaction, caller: Caller, name: str, days: int | None) -> None:
    log_store.change_group(tx, replace(existing_group(tx, caller, name), retention_days=days))


def _set_protection(tx: Transaction, caller: Caller, name: str, protected: bool) -> None:
    log_store.change_group(tx, replace(existing_group(tx, caller, name), protected=protected))


def _shown(group: Group, stored_bytes: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "arn": f"{group.arn}:*",
        "logGroupArn": group.arn,
        "storedBytes": stored_bytes,
        "logGroupClass": group.log_class,
        "deletionProtectionEnabled": group.protected,
    }
    if group.retention_days:
        answer["retentionInDays"] = group.retention_days
    return answer
