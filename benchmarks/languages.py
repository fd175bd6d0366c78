"""Each language's cold and warm invocations, as the caller sees them.

A cold start is the first invocation after a change of the function's settings, so that what was made when it was
published is there, as it is for every later instance.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.images import RegistryClient, image, tar

from benchmarks.bursts import at_once, path_of
from benchmarks.client import Make, Result, Signer
from benchmarks.programs import PROGRAMS, Missing, Program
from benchmarks.report import say
from pilotlight.testing.cloud import Cloud

COLD_STARTS = 30
CALM_SECONDS = 0.4
"""Spares and sandboxes are made again off the cold path."""
PREPARED_SECONDS = 120
PREPARED = ("prepared/*/*/modules.sha256", "prepared/*/*/classes.jsa")
REPOSITORY = "bench"
Measure = Callable[..., Result]


def language_measures(cloud: Cloud, groups: list[str], measure: Measure) -> None:
    """`measure(name, make, callers=…)` is one load with the server's CPU."""
    for group in groups:
        for number, build in enumerate(PROGRAMS[group]):
            try:
                program = build()
            except Missing as missing:
                say(f"{group} ({number + 1})", skipped=str(missing))
                continue
            for memory_mb in program.memories_mb:
                _measure_one(cloud, program, f"{group}-{number}-{memory_mb}", memory_mb, measure)


def _measure_one(cloud: Cloud, program: Program, name: str, memory_mb: int, measure: Measure) -> None:
    lambdas = cloud.client("lambda")
    before = _prepared(cloud)
    if program.image:
        _push(cloud, program.image, name)
    settings = {**program.settings, "Code": _code(program, name), "MemorySize": memory_mb}
    lambdas.create_function(FunctionName=name, Role="arn:aws:iam::000000000000:role/bench", Timeout=30, **settings)
    lambdas.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    _, first, failed = asyncio.run(at_once(cloud.endpoint, [path_of(name)]))
    if failed:
        say(program.label, memory_mb=memory_mb, skipped="its first invocation failed")
        return
    figures: dict[str, Any] = {"first_ms": first[0]}
    if program.prepares:
        figures["prepared_seconds"] = _wait_prepared(cloud, before)
    say(f"{program.label}: first invocation of all", memory_mb=memory_mb, **figures)
    took = sorted(_cold(cloud, lambdas, name, number) for number in range(COLD_STARTS))
    half, most = took[len(took) // 2], took[int(len(took) * 0.99)]
    say(f"{program.label}: cold", memory_mb=memory_mb, p50_ms=half, p99_ms=most, fastest_ms=took[0])
    warm = warm_of(cloud.endpoint, path_of(name))
    for callers in (1, 8):
        measure(f"{program.label}: warm, {memory_mb} MB", warm, callers=callers)


def warm_of(endpoint: str, path: str) -> Make:
    signer = Signer(endpoint)
    return lambda _: signer.request("lambda", "POST", path, b"{}")


def _cold(cloud: Cloud, lambdas: Any, name: str, number: int) -> float:
    lambdas.update_function_configuration(FunctionName=name, Description=str(number))
    time.sleep(CALM_SECONDS)
    _, took, failed = asyncio.run(at_once(cloud.endpoint, [path_of(name)]))
    assert not failed
    return took[0]


def _code(program: Program, name: str) -> dict[str, Any]:
    if program.image:
        return {"ImageUri": f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{REPOSITORY}:{name}"}
    return {"ZipFile": program.package}


def _push(cloud: Cloud, program: bytes, tag: str) -> None:
    registry = cloud.client("ecr")
    if not any(one["repositoryName"] == REPOSITORY for one in registry.describe_repositories()["repositories"]):
        registry.create_repository(repositoryName=REPOSITORY)
    made = image([tar([("main", program, 0o755)])], config={"Entrypoint": ["/main"]})
    RegistryClient(cloud.endpoint).push(REPOSITORY, made, tag)


def _prepared(cloud: Cloud) -> set[Path]:
    return {path for pattern in PREPARED for path in (cloud.directory / "data").glob(pattern)}


def _wait_prepared(cloud: Cloud, before: set[Path]) -> float | str:
    begun = time.perf_counter()
    while time.perf_counter() - begun < PREPARED_SECONDS:
        if _prepared(cloud) - before:
            return time.perf_counter() - begun
        time.sleep(0.05)
    return "never"
