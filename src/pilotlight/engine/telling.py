"""What an instance tells the subscribers of telemetry of its life. Nothing is built while nobody listens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pilotlight.engine import frames
from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.report import Report
from pilotlight.engine.runtime_api.extensions import Extension
from pilotlight.engine.runtime_api.records import span
from pilotlight.engine.runtime_api.telemetry import Telemetry
from pilotlight.engine.under_way import UnderWay


class Telling:
    def __init__(self, version: FunctionVersion, telemetry: Telemetry, *, kind: str, instance: str) -> None:
        self._version = version
        self._telemetry = telemetry
        self._instance = instance
        self.init = {"initializationType": kind, "phase": "init"}

    @property
    def on(self) -> bool:
        return self._telemetry.wanted

    def init_start(self, runtime: str, arn: str) -> None:
        record = {
            **self.init,
            "runtimeVersion": runtime,
            "runtimeVersionArn": arn,
            "functionName": self._version.name,
            "functionVersion": self._version.version,
            "instanceId": self._instance,
            "instanceMaxMemory": self._version.memory_mb * 1_048_576,
        }
        self._telemetry.tell("platform.initStart", record)

    def init_runtime_done(self, status: str, error_type: str = "") -> None:
        self._telemetry.tell("platform.initRuntimeDone", _with({**self.init, "status": status}, error_type))

    def init_report(self, duration_ms: float, status: str, error_type: str = "") -> None:
        record = {**self.init, "status": status, "metrics": {"durationMs": round(duration_ms, 3)}}
        self._telemetry.tell("platform.initReport", _with(record, error_type))

    def extension(self, one: Extension) -> None:
        record = {"name": one.name, "state": one.state.value, "events": list(one.events)}
        self._telemetry.tell("platform.extension", _with(record, one.error_type))

    def start(self, request_id: str, trace_id: str) -> None:
        record = {"requestId": request_id, "version": self._version.version, **_tracing(trace_id)}
        self._telemetry.tell("platform.start", record)

    def runtime_done(self, under: UnderWay, duration_ms: float, *, status: str = "", error_type: str = "") -> None:
        kind, _, produced = under.answer or (frames.RESPONSE, b"", 0)
        record: dict[str, Any] = {
            "requestId": under.request_id,
            "status": status or ("error" if kind == frames.FAILURE else "success"),
            "metrics": {"durationMs": round(duration_ms, 3), "producedBytes": produced},
            **_tracing(under.trace_id),
        }
        if under.answer is not None:
            answered_at = under.began_ms + int(under.answered_ms)
            record["spans"] = [
                span("responseLatency", under.began_ms, under.answered_ms),
                span("responseDuration", answered_at, 0.0),
                span("runtimeOverhead", answered_at, max(0.0, duration_ms - under.answered_ms)),
            ]
        self._telemetry.tell("platform.runtimeDone", _with(record, error_type))

    def report(self, report: Report, trace_id: str, status: str) -> None:
        metrics: dict[str, Any] = {
            "durationMs": round(report.duration_ms, 3),
            "billedDurationMs": report.billed_ms,
            "memorySizeMB": self._version.memory_mb,
            "maxMemoryUsedMB": report.memory_used_mb,
        }
        if report.init_ms is not None:
            metrics["initDurationMs"] = round(report.init_ms, 3)
        record = {"requestId": report.request_id, "metrics": metrics, "status": status, **_tracing(trace_id)}
        self._telemetry.tell("platform.end", {"requestId": report.request_id})
        self._telemetry.tell("platform.report", _with(record, report.error_type))

    def fault(self, text: str) -> None:
        self._telemetry.tell("platform.fault", text)

    def function_lines(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._telemetry.tell("function", self._as_record(text))

    def extension_lines(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._telemetry.tell("extension", text)

    def _as_record(self, text: str) -> Any:
        """AWS: a line of a function that logs JSON is a JSON object here too."""
        if self._version.log_format == "JSON" and text.startswith("{"):
            try:
                return json.loads(text)
            except ValueError:
                pass
        return text


def _with(record: dict[str, Any], error_type: str) -> dict[str, Any]:
    return record | {"errorType": error_type} if error_type else record


def _tracing(trace_id: str) -> dict[str, Any]:
    return {"tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id}} if trace_id else {}
