"""Writing, reading and searching log events.

Whether an event is too old or too new is judged by wall time, which is what clients stamp events with; whether
it has expired, by cloud time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.observability import log_store
from pilotlight.observability.log_store import DAY_MS, END, START, Event, Position, Span, Stream
from pilotlight.observability.logs import LogBuffer
from pilotlight.services.logs.filter_patterns import InvalidPattern, Predicate, Unsupported, compile_pattern
from pilotlight.services.logs.names import existing_group, existing_stream, group_name, invalid
from pilotlight.services.logs.streams import sequence_token
from pilotlight.storage import Database, Transaction

BATCH_BYTES_MAX = 1_048_576
EVENT_BYTES_MAX = 1_048_576
EVENT_OVERHEAD_BYTES = 26
ANSWER_BYTES_MAX = 1_048_576
EVENTS_MAX = 10_000
TOO_NEW_MS = 2 * 3_600_000
TOO_OLD_MS = 14 * DAY_MS
SEARCH_AT_ONCE = 2_000
NEVER_MS = 2**62


class Events:
    def __init__(self, database: Database, clock: Clock, buffer: LogBuffer) -> None:
        self._database = database
        self._clock = clock
        self._buffer = buffer

    async def put_log_events(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("entity"):
            raise NotImplementedHere("PutLogEvents with entity")
        lines = [(int(event["timestamp"]), str(event["message"])) for event in request["logEvents"]]
        _check_batch(lines)
        names = (request["logGroupName"], request["logStreamName"])
        stream, rejected = await self._database.write(
            _put, caller, *names, lines, wall_ms=self._clock.wall_ms(), now_ms=self._clock.now_ms()
        )
        answer: dict[str, Any] = {"nextSequenceToken": sequence_token(stream)}
        return {**answer, "rejectedLogEventsInfo": rejected} if rejected else answer

    async def get_log_events(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_unmask("GetLogEvents", request)
        name = group_name(caller, request)
        await self._buffer.flush()
        token = request.get("nextToken", "")
        position = _position(token)
        backward = token.startswith("b/") or (not token and not request.get("startFromHead"))
        span = Span(
            from_ms=request.get("startTime", 0),
            until_ms=request.get("endTime", NEVER_MS),
            after=position if token.startswith("f/") else START,
            before=position if token.startswith("b/") else END,
        )
        limit = min(int(request.get("limit") or EVENTS_MAX), EVENTS_MAX)
        stream, now_ms = request["logStreamName"], self._clock.now_ms()
        found = await self._database.scan(
            _read, caller, name, stream, span, now_ms=now_ms, limit=limit, newest=backward
        )
        events = _fitting(found, newest=backward)
        first = events[0].position if events else position
        last = events[-1].position if events else position
        return {
            "events": [
                {"timestamp": event.at_ms, "message": event.message, "ingestionTime": event.ingested_ms}
                for event in events
            ],
            "nextForwardToken": f"f/{last}",
            "nextBackwardToken": f"b/{first}",
        }

    async def filter_log_events(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_unmask("FilterLogEvents", request)
        if request.get("startFromHead") is False:
            raise NotImplementedHere("FilterLogEvents with startFromHead false")
        name = group_name(caller, request)
        if request.get("logStreamNames") and request.get("logStreamNamePrefix"):
            raise invalid("LogStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
        matches = _predicate(request.get("filterPattern", ""))
        await self._buffer.flush()
        search = _Search(request, _streams_test(request), matches)
        while not search.full:
            span = search.span()
            events = await self._database.scan(
                _read_group, caller, name, span, now_ms=self._clock.now_ms(), limit=SEARCH_AT_ONCE
            )
            search.take(events)
            if len(events) < SEARCH_AT_ONCE:
                break
        return search.answer()


class _Search:
    """Walks over a group's events in order, until enough have matched."""

    def __init__(self, request: Mapping[str, Any], stream: Callable[[str], bool], matches: Predicate) -> None:
        self._from_ms = request.get("startTime", 0)
        self._until_ms = request["endTime"] + 1 if "endTime" in request else NEVER_MS
        self._limit = min(int(request.get("limit") or EVENTS_MAX), EVENTS_MAX)
        self._after = _position(f"f/{request['nextToken']}") if request.get("nextToken") else START
        self._stream = stream
        self._matches = matches
        self._found: list[Event] = []
        self._bytes = 0
        self.full = False

    def span(self) -> Span:
        return Span(from_ms=self._from_ms, until_ms=self._until_ms, after=self._after)

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            wanted = self._stream(event.stream) and self._matches(event.message)
            if wanted and (len(self._found) == self._limit or self._bytes + len(event.message) > ANSWER_BYTES_MAX):
                self.full = True
                return
            if wanted:
                self._found.append(event)
                self._bytes += len(event.message)
            self._after = event.position

    def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "events": [
                {
                    "logStreamName": event.stream,
                    "timestamp": event.at_ms,
                    "message": event.message,
                    "ingestionTime": event.ingested_ms,
                    "eventId": str(event.position),
                }
                for event in self._found
            ],
            "searchedLogStreams": [],  # AWS: always empty since 2019.
        }
        return {**answer, "nextToken": str(self._after)} if self.full else answer


def _refuse_unmask(operation: str, request: Mapping[str, Any]) -> None:
    if request.get("unmask"):
        raise NotImplementedHere(f"{operation} with unmask")


def _position(token: str) -> Position:
    if not token:
        return START
    try:
        if token[:2] not in ("f/", "b/"):
            raise ValueError(token)
        return Position.parse(token[2:])
    except ValueError:
        raise invalid("The specified nextToken is invalid.") from None


def _predicate(pattern: str) -> Predicate:
    try:
        return compile_pattern(pattern)
    except InvalidPattern:
        raise invalid("Invalid filter pattern") from None
    except Unsupported as error:
        raise NotImplementedHere(f"FilterLogEvents with {error}") from None


def _streams_test(request: Mapping[str, Any]) -> Callable[[str], bool]:
    if request.get("logStreamNames"):
        names = frozenset(request["logStreamNames"])
        return lambda name: name in names
    prefix = request.get("logStreamNamePrefix", "")
    return lambda name: name.startswith(prefix)


def _fitting(events: Sequence[Event], *, newest: bool) -> Sequence[Event]:
    """AWS: an answer holds 1 MB at most; what does not fit is behind the token."""
    size, kept = 0, 0
    for event in reversed(events) if newest else events:
        size += len(event.message.encode())
        if size > ANSWER_BYTES_MAX and kept:
            break
        kept += 1
    return events[len(events) - kept :] if newest else events[:kept]


def _check_batch(lines: Sequence[tuple[int, str]]) -> None:
    size = 0
    for _, message in lines:
        length = len(message.encode())
        if length + EVENT_OVERHEAD_BYTES > EVENT_BYTES_MAX:
            raise invalid(
                f"Log event too large: {length + EVENT_OVERHEAD_BYTES} bytes exceeds limit of {EVENT_BYTES_MAX}"
            )
        size += length + EVENT_OVERHEAD_BYTES
    if size > BATCH_BYTES_MAX:
        raise invalid(f"Upload too large: {size} bytes exceeds limit of {BATCH_BYTES_MAX}")
    times = [at_ms for at_ms, _ in lines]
    if times != sorted(times):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if times[-1] - times[0] > DAY_MS:
        raise invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")


def _put(
    tx: Transaction,
    caller: Caller,
    group_name: str,
    stream_name: str,
    lines: Sequence[tuple[int, str]],
    *,
    wall_ms: int,
    now_ms: int,
) -> tuple[Stream, dict[str, int]]:
    group, stream = existing_stream(tx, caller, group_name, stream_name)
    expired_ms = group.oldest_ms(now_ms)
    expired = sum(1 for at_ms, _ in lines if at_ms < expired_ms)
    old = sum(1 for at_ms, _ in lines if at_ms < wall_ms - TOO_OLD_MS)
    new = sum(1 for at_ms, _ in lines if at_ms > wall_ms + TOO_NEW_MS)
    rejected: dict[str, int] = {}
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    if old:
        rejected["tooOldLogEventEndIndex"] = old
    if new:
        rejected["tooNewLogEventStartIndex"] = len(lines) - new
    kept = lines[max(expired, old) : len(lines) - new]
    if kept:
        log_store.append(tx, stream, kept, ingested_ms=wall_ms)
    return stream, rejected


def _read(
    tx: Transaction, caller: Caller, group: str, stream: str, span: Span, *, now_ms: int, limit: int, newest: bool
) -> list[Event]:
    found, its = existing_stream(tx, caller, group, stream)
    fresh = Span(
        from_ms=max(span.from_ms, found.oldest_ms(now_ms)),
        until_ms=span.until_ms,
        after=span.after,
        before=span.before,
    )
    return log_store.read_stream(tx, its.id, fresh, limit=limit, newest=newest)


def _read_group(tx: Transaction, caller: Caller, group: str, span: Span, *, now_ms: int, limit: int) -> list[Event]:
    found = existing_group(tx, caller, group)
    oldest_ms = max(span.from_ms, found.oldest_ms(now_ms))
    fresh = Span(from_ms=oldest_ms, until_ms=span.until_ms, after=span.after)
    return log_store.read_group(tx, found.id, fresh, limit=limit)
