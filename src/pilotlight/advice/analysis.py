"""What `pilotlight analyze` measures: package, imports, starts, one invocation, and what each cure would save here."""

from __future__ import annotations

import json
import statistics
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.advice.copies import Copy, Original, Progress, Run, Unsuitable, copied, told
from pilotlight.advice.imports import Import, dearest, node_imports, python_imports
from pilotlight.advice.packages import Weight, slimmed, weigh, with_files
from pilotlight.clock import Clock

PROBES = Path(__file__).parent.parent / "engine" / "runtimes" / "bootstraps" / "probe"
IDLE = json.dumps({"probe": "idle"}).encode()
SNAPSHOT_ROUNDS = 3
SNAPSTART = ("python3.12", "python3.13", "python3.14", "java11", "java17", "java21", "java25", "dotnet8")


@dataclass(frozen=True, slots=True)
class Start:
    """Medians of some cold starts. Milliseconds."""

    caller: float
    """As the caller waits."""
    init: float
    """As REPORT tells of it."""
    warm: float
    """The same call to a warm instance, as the caller waits."""


@dataclass(frozen=True, slots=True)
class Cure:
    name: str
    before: float
    """Milliseconds that a caller waits at a cold start."""
    after: float | None
    """None where it could not be measured; the note says why."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Analysis:
    function: str
    runtime: str
    memory_mb: int
    weight: Weight
    layers: Mapping[str, int]
    """Bytes of each layer, packed."""
    start: Start | None
    imports: list[Import] = field(default_factory=list)
    import_ms: float = 0.0
    invocation: Mapping[str, Any] | None = None
    """The probe's answer: duration_ms, failure, made (clients), top (functions)."""
    memory_used_mb: float = 0.0
    cures: list[Cure] = field(default_factory=list)


class Analyst:
    """Raises Unsuitable where a function cannot be measured, and botocore's ClientError where the cloud refuses."""

    def __init__(self, client: Any, logs: Any, progress: Progress, *, rounds: int = 5) -> None:
        self._client = client
        self._logs = logs
        self._progress = progress
        self._rounds = rounds
        self._clock = Clock()

    def analyse(self, original: Original, payload: Any = None, *, run: bool = False) -> Analysis:
        """`run`: call the handler with `payload`; otherwise nothing of the function runs but its imports."""
        if original.image:
            raise Unsuitable("an image's files are not looked at: `pilotlight tune` measures it as a whole")
        configuration = original.configuration
        try:
            weight = weigh(original.package, original.runtime)
        except zipfile.BadZipFile as error:
            raise Unsuitable(f"the package cannot be read: {error}") from None
        known: dict[str, Any] = {
            "function": configuration["FunctionName"],
            "runtime": original.runtime,
            "memory_mb": configuration["MemorySize"],
            "weight": weight,
            "layers": {layer["Arn"]: layer.get("CodeSize", 0) for layer in configuration.get("Layers", [])},
        }
        if not original.runtime.startswith(("python", "nodejs")):
            return Analysis(**known, start=None)
        probed = self._probed(original)
        with self._copy(original, probed, "probe") as copy:
            self._progress("cold and warm starts")
            start = self._starts(copy)
            idle = copy.invoke(IDLE)
            invocation = self._invocation(copy, payload) if run else None
            used = copy.invoke(IDLE).memory_used
        self._progress("imports")
        imports = self._imports(original, probed)
        return Analysis(
            **known,
            start=start,
            imports=dearest(imports),
            import_ms=sum(one.total for one in imports if one.depth == 1) or told(idle)["import_ms"],
            invocation=invocation,
            memory_used_mb=used,
            cures=self._cures(original, weight, start),
        )

    def _probed(self, original: Original, package: bytes | None = None) -> bytes:
        name = "pilotlight_probe.py" if original.runtime.startswith("python") else "pilotlight_probe.mjs"
        return with_files(package or original.package, {name: (PROBES / name).read_text()})

    def _copy(self, original: Original, package: bytes, purpose: str, **changes: Any) -> Any:
        environment = {"PILOTLIGHT_PROBE_HANDLER": original.handler, **changes.pop("environment", {})}
        settings = {"Handler": "pilotlight_probe.handler", "environment": environment, **changes}
        return copied(self._client, self._logs, original, purpose, package=package, **settings)

    def _starts(self, copy: Copy) -> Start:
        told(copy.invoke(IDLE))  # the first start of a language or a package is not what the next ones cost
        waits, inits = [], []
        for _ in range(self._rounds):
            copy.start_anew()
            wait, run = self._timed(copy, IDLE)
            waits.append(wait)
            inits.append(run.init or run.restore or 0.0)
        warm = [self._timed(copy, IDLE)[0] for _ in range(2 * self._rounds)]
        return Start(statistics.median(waits), statistics.median(inits), statistics.median(warm))

    def _timed(self, copy: Copy, payload: bytes, qualifier: str = "$LATEST") -> tuple[float, Run]:
        began = self._clock.monotonic()
        run = copy.invoke(payload, qualifier)
        return (self._clock.monotonic() - began) * 1000, run

    def _invocation(self, copy: Copy, payload: Any) -> Mapping[str, Any]:
        self._progress("an invocation, timed and profiled")
        event = json.dumps({"probe": "run", "event": payload}).encode()
        told(copy.invoke(event))
        return told(copy.invoke(event))

    def _imports(self, original: Original, probed: bytes) -> list[Import]:
        """Python tells by itself; Node.js's probe does. Python's are measured without anything preloaded."""
        python = original.runtime.startswith("python")
        environment = {"PYTHONPROFILEIMPORTTIME": "1"} if python else {}
        with self._copy(original, probed, "imports", environment=environment) as copy:
            told(copy.invoke(IDLE))
            lines = self._lines(copy.name)
        return python_imports(lines) if python else node_imports(lines)

    def _lines(self, name: str) -> list[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
        events = sorted((event for page in pages for event in page["events"]), key=lambda event: event["timestamp"])
        return [line for event in events for line in event["message"].splitlines()]

    # Cures.

    def _cures(self, original: Original, weight: Weight, start: Start) -> list[Cure]:
        cures = [Cure("provisioned concurrency, or a ping that keeps one warm", start.caller, start.warm)]
        spare = weight.needless + sum(part.size for part in weight.parts if part.provided)
        if spare:
            self._progress("the package without what it need not have")
            note = f"{spare / 1e6:.1f} MB less"
            cures.append(self._slim(original, start, note))
        if original.runtime in SNAPSTART:
            self._progress("SnapStart")
            cures.append(self._snapstart(original, start))
        return cures

    def _slim(self, original: Original, start: Start, note: str) -> Cure:
        name = "a slimmer package"
        package = self._probed(original, slimmed(original.package, original.runtime))
        try:
            with self._copy(original, package, "slim") as copy:
                return Cure(name, start.caller, self._starts(copy).caller, note)
        except Unsuitable as error:
            return Cure(name, start.caller, None, f"something that is needed would be left out: {error}")

    def _snapstart(self, original: Original, start: Start) -> Cure:
        from botocore.exceptions import ClientError, WaiterError

        snap = {"SnapStart": {"ApplyOn": "PublishedVersions"}}
        waits = []
        try:
            with self._copy(original, self._probed(original), "snap", **snap) as copy:
                for _ in range(SNAPSHOT_ROUNDS):
                    copy.start_anew()
                    version = copy.publish()
                    waits.append(self._timed(copy, IDLE, version)[0])
        except (ClientError, WaiterError, Unsuitable) as error:
            return Cure("SnapStart", start.caller, None, str(error))
        return Cure("SnapStart", start.caller, statistics.median(waits))
