"""What subscribers are told, in the schema version that they asked for. Pure.

AWS: "Lambda Telemetry API Event schema reference", and the older Logs API's own records.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.engine.runtime_api.subscription import Subscription

_SINCE_2022_12 = {
    "platform.initStart": ("phase", "functionName", "functionVersion", "instanceId", "instanceMaxMemory"),
    "platform.initRuntimeDone": ("phase", "errorType"),
    "platform.initReport": ("status", "errorType"),
    "platform.runtimeDone": ("errorType",),
    "platform.report": ("errorType", "status"),
}
_LOGS_TYPES = {
    "platform.start": "platform.start",
    "platform.report": "platform.report",
    "platform.runtimeDone": "platform.runtimeDone",
    "platform.extension": "platform.extension",
    "platform.telemetrySubscription": "platform.logsSubscription",
    "platform.logsDropped": "platform.logsDropped",
    "platform.end": "platform.end",
    "platform.fault": "platform.fault",
    "function": "function",
    "extension": "extension",
}
_LOGS_MEMBERS = {
    "platform.start": ("requestId", "version"),
    "platform.runtimeDone": ("requestId", "status"),
    "platform.report": ("requestId", "metrics"),
}
_ONLY_LOGS = ("platform.end", "platform.fault")


@dataclass(frozen=True, slots=True)
class Happened:
    """One event, with all that any version tells of it."""

    time_ms: int
    kind: str
    record: Any

    @property
    def stream(self) -> str:
        return "platform" if self.kind.startswith("platform.") else self.kind


def render(happened: Happened, subscription: Subscription) -> str | None:
    """As JSON; None where this subscription does not have it."""
    if happened.stream not in subscription.types:
        return None
    kind, record = happened.kind, happened.record
    if subscription.logs:
        if kind not in _LOGS_TYPES or (kind == "platform.runtimeDone" and subscription.version == "2020-08-15"):
            return None
        if kind in _LOGS_MEMBERS:
            record = {name: record[name] for name in _LOGS_MEMBERS[kind] if name in record}
        kind = _LOGS_TYPES[kind]
    elif kind in _ONLY_LOGS:
        return None
    elif subscription.version == "2022-07-01" and kind in _SINCE_2022_12:
        record = {name: value for name, value in record.items() if name not in _SINCE_2022_12[kind]}
    told = {"time": moment(happened.time_ms), "type": kind, "record": record}
    return json.dumps(told, separators=(",", ":"))


def moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time_ms % 1000:03}Z"


def span(name: str, start_ms: int, duration_ms: float) -> dict[str, Any]:
    return {"name": name, "start": moment(start_ms), "durationMs": round(duration_ms, 3)}
