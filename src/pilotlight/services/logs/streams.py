"""Operations on log streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.observability import log_store
from pilotlight.observability.log_store import Group, Stream
from pilotlight.observability.logs import LogBuffer
from pilotlight.services.logs.names import existing_group, existing_stream, group_name, invalid, page
from pilotlight.storage import Database, Transaction


class Streams:
    def __init__(self, database: Database, clock: Clock, buffer: LogBuffer) -> None:
        self._database = database
        self._clock = clock
        self._buffer = buffer

    async def create_log_stream(self, caller: Caller, request: Mapping[str, Any]) -> None:
        names = (request["logGroupName"], request["logStreamName"])
        await self._database.write(_add, caller, *names, now_ms=self._clock.now_ms())

    async def delete_log_stream(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._buffer.flush()
        await self._database.write(_delete, caller, request["logGroupName"], request["logStreamName"])

    async def describe_log_streams(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        name = group_name(caller, request)
        by_time = request.get("orderBy") == "LastEventTime"
        prefix = request.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        await self._buffer.flush()
        group, streams = await self._database.scan(_list, caller, name)
        wanted = [stream for stream in streams if stream.name.startswith(prefix)]
        descending = bool(request.get("descending"))
        if by_time:
            wanted.sort(key=lambda stream: (stream.last_ms or stream.created_ms, stream.name), reverse=descending)
        else:
            wanted.sort(key=lambda stream: stream.name, reverse=descending)
        some, token = page(wanted, request, key=lambda stream: stream.name)
        answer: dict[str, Any] = {"logStreams": [_shown(group, stream) for stream in some]}
        return {**answer, "nextToken": token} if token else answer


def _add(tx: Transaction, caller: Caller, group: str, name: str, *, now_ms: int) -> None:
    if not log_store.add_stream(tx, existing_group(tx, caller, group).id, name, now_ms=now_ms):
        raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")


def _delete(tx: Transaction, caller: Caller, group: str, name: str) -> None:
    _, stream = existing_stream(tx, caller, group, name)
    log_store.delete_stream(tx, stream.id)


def _list(tx: Transaction, caller: Caller, group: str) -> tuple[Group, list[Stream]]:
    found = existing_group(tx, caller, group)
    return found, log_store.list_streams(tx, found.id)


def _shown(group: Group, stream: Stream) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": f"{group.arn}:log-stream:{stream.name}",
        "storedBytes": 0,  # AWS: always 0 since June 2019.
    }
    if stream.last_ms is not None:
        answer.update(
            firstEventTimestamp=stream.first_ms,
            lastEventTimestamp=stream.last_ms,
            lastIngestionTime=stream.ingested_ms,
            uploadSequenceToken=sequence_token(stream),
        )
    return answer


def sequence_token(stream: Stream) -> str:
    """AWS: still answered, and not looked at any more."""
    return f"{stream.id:056d}"
