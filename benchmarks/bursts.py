"""Measures of the engine under bursts, and of what idle functions take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.client import Signer, one

SLEEPER = "import time\ndef handler(event, context):\n    time.sleep(0.1)\n"
TRIVIAL = "def handler(event, context):\n    return event\n"
CLIENTS = "import boto3\ns3, db = boto3.client('s3'), boto3.client('dynamodb')\n" + TRIVIAL
CALLS_OPEN_SECONDS = 120
Say = Callable[..., None]
Make = Callable[..., Any]


async def at_once(endpoint: str, paths: Sequence[str]) -> tuple[float, list[float], int]:
    """All of these at the same moment: seconds in all, milliseconds of each in order, and how many failed."""
    signer, parts = Signer(endpoint), urlsplit(endpoint)
    lines = [await asyncio.open_connection(parts.hostname, parts.port) for _ in paths]
    took: list[float] = []
    failed = 0

    async def call(path: str, line: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        nonlocal failed
        begun = time.perf_counter()
        status, _ = await one(*line, signer.request("lambda", "POST", path, b"{}"))
        took.append((time.perf_counter() - begun) * 1000)
        failed += status >= 300

    begun = time.perf_counter()
    async with asyncio.timeout(CALLS_OPEN_SECONDS):
        await asyncio.gather(*(call(path, line) for path, line in zip(paths, lines, strict=True)))
    seconds = time.perf_counter() - begun
    for _, writer in lines:
        writer.close()
    return seconds, sorted(took), failed


def path_of(name: str, qualifier: str = "") -> str:
    query = f"?Qualifier={qualifier}" if qualifier else ""
    return f"/2015-03-31/functions/{name}/invocations{query}"


def pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def burst_measures(endpoint: str, make: Make, say: Say) -> None:
    """`make(name, code)` creates a function."""
    for number in range(3):
        make(f"burst-{number}", SLEEPER)
        seconds, took, failed = asyncio.run(at_once(endpoint, [path_of(f"burst-{number}")] * 100))
        say("100 cold at once, one sleeper of 100 ms", seconds=seconds, p50_ms=took[50], failures=failed)
        time.sleep(1.5)
    names = [f"different-{number}" for number in range(200)]
    begun = time.perf_counter()
    for name in names:
        make(name, TRIVIAL)
    say("CreateFunction to Active, by boto3", ms_each=(time.perf_counter() - begun) / len(names) * 1000)
    time.sleep(1.5)
    seconds, took, failed = asyncio.run(at_once(endpoint, [path_of(name) for name in names]))
    say("200 cold at once, 200 functions", seconds=seconds, p50_ms=took[100], max_ms=took[-1], failures=failed)


def density_measures(endpoint: str, pid: int, make: Make, say: Say, cpu_seconds: Callable[[int], float]) -> None:
    """What 1,000 functions without an instance take, and the frozen instances of the burst before."""
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    frozen = [one for one in _below(children) if "python" in _command(one) and "zygote" not in _command(one)]
    if frozen:
        time.sleep(0.5)
        shares = sorted(pss_kb(one) for one in frozen)
        say("frozen Python instances (PSS)", count=len(frozen), mb_each=sum(shares) / len(shares) / 1024)
    before_kb = pss_kb(pid)
    for number in range(1000):
        make(f"idle-{number}", TRIVIAL)
    time.sleep(2)
    after_kb, begun = pss_kb(pid), cpu_seconds(pid)
    time.sleep(5)
    say(
        "1,000 functions without an instance",
        kb_each=(after_kb - before_kb) / 1000,
        percent_of_a_core=(cpu_seconds(pid) - begun) / 5 * 100,
    )


def snapstart_measures(endpoint: str, client: Any, make: Make, say: Say) -> None:
    """A new version each time, so that each first invocation is a restore."""
    make("snap", CLIENTS, SnapStart={"ApplyOn": "PublishedVersions"})
    took = []
    for number in range(20):
        client.update_function_configuration(FunctionName="snap", Description=str(number))
        version = client.publish_version(FunctionName="snap")["Version"]
        time.sleep(0.5)
        _, each, failed = asyncio.run(at_once(endpoint, [path_of("snap", version)]))
        assert not failed
        took += each
    took.sort()
    say("invoke, cold with SnapStart, boto3 and two clients", p50_ms=took[10], p99_ms=took[-1])


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _below(pids: Sequence[int]) -> list[int]:
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            waiting += [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            continue
    return found
