"""What Lambda itself writes into a function's log, as text or as JSON. Pure.

AWS: "Lambda text logs" and "system log messages in JSON" of the developer guide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.failures import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    request_id: str
    duration_ms: float
    memory_used_mb: int
    init_ms: float | None = None
    restore_ms: float | None = None
    """From a snapshot to where it could be invoked; set where this invocation was such a cold start."""
    status: str = ""
    """Nothing, `timeout` or `error`."""
    error_type: str = ""
    provisioned: bool = False

    @property
    def billed_ms(self) -> int:
        # AWS: since August 2025 the init phase of on-demand instances is billed with the first invocation.
        init = self.init_ms if self.init_ms is not None and not self.provisioned else 0.0
        return max(1, math.ceil(round(self.duration_ms + init, 3))) + self.billed_restore_ms

    @property
    def billed_restore_ms(self) -> int:
        """AWS: loading the runtime and running its hooks; there is nothing else in a restore here."""
        return math.ceil(round(self.restore_ms, 3)) if self.restore_ms is not None else 0


class SystemLog:
    """The lines of one instance. Each method gives those that the function's settings let through."""

    def __init__(self, version: FunctionVersion) -> None:
        self._version = version
        self._json = version.log_format == "JSON"
        # AWS: "system log level event mapping"; WARN leaves only what went wrong. Text logs have no level.
        self._quiet = self._json and version.system_log_level == "WARN"

    def init_start(self, now_ms: int, runtime: str, digest: str, kind: str) -> list[str]:
        arn = self.runtime_arn(digest)
        if not self._json:
            return [f"INIT_START Runtime Version: {runtime}\tRuntime Version ARN: {arn}"]
        if self._quiet:
            return []
        record = {
            "initializationType": kind,
            "phase": "init",
            "runtimeVersion": runtime,
            "runtimeVersionArn": arn,
            "functionName": self._version.name,
            "functionVersion": self._version.version,
        }
        return [_event(now_ms, "platform.initStart", record)]

    def runtime_arn(self, digest: str) -> str:
        return f"arn:aws:lambda:{self._version.region}::runtime:{digest}"

    def extension(self, now_ms: int, name: str, state: str, events: Sequence[str], error_type: str) -> list[str]:
        if not self._json:
            end = f"\tError Type: {error_type}" if error_type else ""
            return [f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]{end}"]
        if self._quiet and not error_type:
            return []
        record = {"name": name, "state": state, "events": list(events)}
        return [_event(now_ms, "platform.extension", record | ({"errorType": error_type} if error_type else {}))]

    def init_done(self, now_ms: int, duration_ms: float) -> list[str]:
        """AWS: of SnapStart's versions only, whose first REPORT has no init in it."""
        if not self._json:
            return [f"INIT_REPORT Init Duration: {duration_ms:.2f} ms"]
        record = {
            "initializationType": "snap-start",
            "phase": "init",
            "status": "success",
            "metrics": {"durationMs": round(duration_ms, 3)},
        }
        return [] if self._quiet else [_event(now_ms, "platform.initReport", record)]

    def restore_start(self, now_ms: int, runtime: str, digest: str) -> list[str]:
        arn = f"arn:aws:lambda:{self._version.region}::runtime:{digest}"
        if not self._json:
            return [f"RESTORE_START Runtime Version: {runtime}\tRuntime Version ARN: {arn}"]
        record = {
            "runtimeVersion": runtime,
            "runtimeVersionArn": arn,
            "functionName": self._version.name,
            "functionVersion": self._version.version,
        }
        return [] if self._quiet else [_event(now_ms, "platform.restoreStart", record)]

    def restore_report(self, now_ms: int, duration_ms: float, status: str = "", error_type: str = "") -> list[str]:
        if not self._json:
            end = f"\tStatus: {status}" if status else ""
            end += f"\tError Type: {error_type}" if error_type else ""
            return [f"RESTORE_REPORT Restore Duration: {duration_ms:.2f} ms{end}"]
        if self._quiet and not status:
            return []
        record = {"status": status or "success", "metrics": {"durationMs": round(duration_ms, 3)}}
        record |= {"errorType": error_type} if error_type else {}
        return [_event(now_ms, "platform.restoreReport", record)]

    def init_failed(self, now_ms: int, duration_ms: float, phase: str, status: str, error_type: str) -> list[str]:
        if not self._json:
            end = f"\tError Type: {error_type}" if error_type else ""
            return [f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{end}"]
        record: dict[str, Any] = {
            "initializationType": "on-demand",
            "phase": phase,
            "status": status,
            "metrics": {"durationMs": round(duration_ms, 3)},
        }
        return [_event(now_ms, "platform.initReport", record | ({"errorType": error_type} if error_type else {}))]

    def start(self, now_ms: int, request_id: str) -> list[str]:
        if not self._json:
            return [f"START RequestId: {request_id} Version: {self._version.version}"]
        if self._quiet:
            return []
        return [_event(now_ms, "platform.start", {"requestId": request_id, "version": self._version.version})]

    def end(self, now_ms: int, report: Report) -> list[str]:
        if self._json:
            if self._quiet and not report.status:
                return []
            return [_event(now_ms, "platform.report", self._record(report))]
        parts = [
            f"REPORT RequestId: {report.request_id}",
            f"Duration: {report.duration_ms:.2f} ms",
            f"Billed Duration: {report.billed_ms} ms",
            f"Memory Size: {self._version.memory_mb} MB",
            f"Max Memory Used: {report.memory_used_mb} MB",
        ]
        if report.init_ms is not None:
            parts.append(f"Init Duration: {report.init_ms:.2f} ms")
        if report.restore_ms is not None:
            parts.append(f"Restore Duration: {report.restore_ms:.2f} ms")
            parts.append(f"Billed Restore Duration: {report.billed_restore_ms} ms")
        if report.status:
            parts.append(f"Status: {report.status}")
        if report.error_type:
            parts.append(f"Error Type: {report.error_type}")
        return [f"END RequestId: {report.request_id}", "\t".join(parts) + "\t"]

    def _record(self, report: Report) -> dict[str, Any]:
        metrics: dict[str, Any] = {
            "durationMs": round(report.duration_ms, 3),
            "billedDurationMs": report.billed_ms,
            "memorySizeMB": self._version.memory_mb,
            "maxMemoryUsedMB": report.memory_used_mb,
        }
        if report.init_ms is not None:
            metrics["initDurationMs"] = round(report.init_ms, 3)
        if report.restore_ms is not None:
            metrics["restoreDurationMs"] = round(report.restore_ms, 3)
            metrics["billedRestoreDurationMs"] = report.billed_restore_ms
        status = report.status or "success"
        record: dict[str, Any] = {"requestId": report.request_id, "metrics": metrics, "status": status}
        return record | ({"errorType": report.error_type} if report.error_type else {})

    def timed_out(self, now_ms: int, request_id: str) -> list[str]:
        seconds = self._version.timeout_seconds
        return [f"{_moment(now_ms)} {request_id} Task timed out after {seconds:.2f} seconds\n"]

    def exited(self, failure: Failure) -> list[str]:
        return [f"{failure.message}\n{failure.error_type}"]


def _event(now_ms: int, kind: str, record: dict[str, Any]) -> str:
    return json.dumps({"time": _moment(now_ms), "type": kind, "record": record}, separators=(",", ":"))


def _moment(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{now_ms % 1000:03}Z"
