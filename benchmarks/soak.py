"""Hours in minutes: invocations at four fifths of what the machine can do, while functions come, change, fail and go.

What is left at the end is compared with what was there after the first round. `make soak` runs ten minutes;
a test runs a few seconds of the same, from the same seed.
"""

from __future__ import annotations

import asyncio
import glob
import json
import os
import random
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.bursts import at_once, path_of, pss_kb
from benchmarks.client import Signer, load
from benchmarks.run import TRUST, package
from pilotlight.testing.cloud import Cloud, launch, stop

SHARE = 0.8
CALLERS = 8
ROUND_SECONDS = 20.0
SETTLE_SECONDS = 30.0
LOOK_SECONDS = 0.25
CALM_LOOKS = 4
FUNCTIONS_EACH_ROUND = 6
MEMORY_GROWTH_MB = 16.0
CODES = (
    "def handler(event, context):\n    return event\n",
    "def handler(event, context):\n    raise ValueError(event)\n",
    "import os\ndef handler(event, context):\n    os._exit(1)\n",
    "import time\ndef handler(event, context):\n    time.sleep(9)\n",
    "import subprocess\ndef handler(event, context):\n    subprocess.Popen(['sleep', '60'])\n",
    "import threading\ndef handler(event, context):\n    threading.Timer(60, print).start()\n",
    "def handler(event, context):\n    open('/tmp/file', 'wb').write(bytes(1 << 20))\n    print('x' * 10000)\n",
)


@dataclass(frozen=True, slots=True)
class Left:
    """What a cloud holds of the host."""

    processes: int
    descriptors: int
    cgroups: int
    interfaces: int
    directories: int
    memory_mb: float

    def leaked(self, before: Left) -> dict[str, tuple[float, float]]:
        """What has grown, with both figures."""
        grown = {
            name: (getattr(before, name), getattr(self, name))
            for name in ("processes", "descriptors", "cgroups", "interfaces", "directories")
            if getattr(self, name) > getattr(before, name)
        }
        if self.memory_mb > before.memory_mb + MEMORY_GROWTH_MB:
            grown["memory_mb"] = (before.memory_mb, self.memory_mb)
        return grown


def look(cloud: Cloud) -> Left:
    assert cloud.process is not None
    pid = cloud.process.pid
    mark = f"{zlib.crc32(str((cloud.directory / 'data' / 'sandboxes').absolute()).encode()):08x}"
    groups: set[str] = set()
    for folder in glob.glob(f"/sys/fs/cgroup/**/pilotlight-{mark}", recursive=True):
        groups.update(entry.name for entry in os.scandir(folder) if entry.is_dir())
    return Left(
        processes=sum(1 for _ in _below(pid)),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        cgroups=len(groups),
        interfaces=sum(name.startswith(f"pl{mark}") for name in os.listdir("/sys/class/net")),
        directories=sum(1 for path in (cloud.directory / "data" / "sandboxes").rglob("*") if path.is_dir()),
        memory_mb=pss_kb(pid) / 1024,
    )


def _below(root: int) -> Iterator[int]:
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(one) for one in (task / "children").read_text().split()]
        except OSError:
            continue
        yield pid


class Soak:
    def __init__(self, cloud: Cloud, seed: int) -> None:
        self.cloud = cloud
        self.chance = random.Random(seed)
        self.number = 0
        options = Config(retries={"max_attempts": 0}, read_timeout=60)
        self.lambdas: Any = boto3.client(
            "lambda",
            endpoint_url=cloud.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=options,
        )

    def begin(self) -> None:
        self.cloud.client("iam").create_role(RoleName="soak", AssumeRolePolicyDocument=json.dumps(TRUST))
        self.make("steady", CODES[0])

    def make(self, name: str, code: str, **more: Any) -> None:
        self.lambdas.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="app.handler",
            Role="arn:aws:iam::000000000000:role/soak",
            Code={"ZipFile": package(code)},
            Timeout=1,
            **more,
        )

    def round(self, seconds: float, rate: float) -> float:
        """Functions of every kind come and go while `steady` is invoked; invocations a second that it had."""
        names = []
        for _ in range(FUNCTIONS_EACH_ROUND):
            self.number += 1
            names.append(f"f{self.number}")
            self.make(names[-1], self.chance.choice(CODES), MemorySize=self.chance.choice((128, 512, 1769)))
        calls = [path_of(name) for name in names for _ in range(self.chance.randrange(1, 4))]
        asyncio.run(at_once(self.cloud.endpoint, calls))
        for name in names:
            self.lambdas.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
        reached = self.steady(seconds, rate)
        for name in names:
            self.lambdas.delete_function(FunctionName=name)
        return reached

    def steady(self, seconds: float, rate: float = 0.0) -> float:
        """As fast as it goes, or at a rate."""
        signer, begun, path = Signer(self.cloud.endpoint), time.perf_counter(), path_of("steady")

        def make(number: int) -> bytes:
            if rate:
                time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            return signer.request("lambda", "POST", path, b"{}")

        result = asyncio.run(load(self.cloud.endpoint, make, callers=CALLERS, seconds=seconds))
        assert not result.failures, f"{result.failures} of `steady` failed"
        return result.rate

    def settle(self, before: Left | None = None) -> Left:
        """What is left when nothing changes any more, or as soon as it is no more than before."""
        seen, calm, until = look(self.cloud), 0, time.monotonic() + SETTLE_SECONDS
        while calm < CALM_LOOKS and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            now = look(self.cloud)
            if before is not None and not now.leaked(before):
                return now
            same = now.processes == seen.processes and now.cgroups == seen.cgroups
            seen, calm = now, calm + 1 if same else 0
        return seen


def soak(cloud: Cloud, *, seconds: float, round_seconds: float, seed: int) -> dict[str, tuple[float, float]]:
    """What leaked: nothing, one hopes."""
    run = Soak(cloud, seed)
    run.begin()
    # The first round brings zygotes, pools and caches to their size.
    asyncio.run(at_once(cloud.endpoint, [path_of("steady")] * 40))
    rate = run.steady(min(3.0, round_seconds)) * SHARE
    run.round(round_seconds, rate)
    before = run.settle()
    until, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        reached = run.round(round_seconds, rate)
        rounds += 1
        print(json.dumps({"round": rounds, "wanted": round(rate), "rate": round(reached), **_shown(look(cloud))}))
        sys.stdout.flush()
    after = run.settle(before)
    print(json.dumps({"before": _shown(before), "after": _shown(after)}))
    return after.leaked(before)


def _shown(left: Left) -> dict[str, float]:
    return {name: round(getattr(left, name), 1) for name in Left.__slots__}


def main() -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("SOAK_SEED", "1"))
    with tempfile.TemporaryDirectory(prefix="pilotlight-soak-") as name:
        cloud = launch(Path(name))
        try:
            leaked = soak(cloud, seconds=seconds, round_seconds=ROUND_SECONDS, seed=seed)
        finally:
            stop(cloud)
    if leaked:
        sys.exit(f"leaked (before, after): {leaked}")


if __name__ == "__main__":
    main()
