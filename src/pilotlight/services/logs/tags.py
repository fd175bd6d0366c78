"""Tags of log groups, by both of AWS's APIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.observability import log_store
from pilotlight.services.logs.names import existing_group, invalid, name_of
from pilotlight.storage import Database, Transaction

TAGS_MAX = 50


class Tags:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def tag_log_group(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._database.write(_change, caller, request["logGroupName"], request["tags"], ())

    async def untag_log_group(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._database.write(_change, caller, request["logGroupName"], {}, request["tags"])

    async def list_tags_log_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        group = await self._database.read(existing_group, caller, request["logGroupName"])
        return {"tags": group.tags}

    async def tag_resource(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._database.write(_change, caller, _named(caller, request), request["tags"], ())

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._database.write(_change, caller, _named(caller, request), {}, request["tagKeys"])

    async def list_tags_for_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        group = await self._database.read(existing_group, caller, _named(caller, request))
        return {"tags": group.tags}


def _named(caller: Caller, request: Mapping[str, Any]) -> str:
    arn: str = request["resourceArn"]
    if ":log-group:" not in arn:
        raise invalid("The specified resource ARN is not valid.")
    return name_of(caller, arn)


def _change(tx: Transaction, caller: Caller, name: str, added: Mapping[str, str], removed: Sequence[str]) -> None:
    group = existing_group(tx, caller, name)
    tags = {key: value for key, value in {**group.tags, **added}.items() if key not in removed}
    if len(tags) > TAGS_MAX:
        raise invalid(f"The number of tags exceeds the limit of {TAGS_MAX}.")
    log_store.change_group(tx, replace(group, tags=tags))
