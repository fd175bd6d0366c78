"""`make faults`: the platform is killed in the middle of a thousand invocations.

Half of them are asynchronous and must all be carried out in the end; the other half are synchronous, and their callers
see the connection break. Afterwards nothing is left: no process, mount, loop device, link, or cgroup.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from pilotlight.testing.cloud import Cloud, launch, stop
from tests.faults.kill import FUNCTION, QUICK, SETTLE_SECONDS, TABLE, prepare, remains
from tests.faults.processes import alive, descendants

CALLERS = 24
CGROUPS = Path("/sys/fs/cgroup")


def outside(directory: Path) -> list[str]:
    """Cgroups and network devices that bear the mark of a platform's directory."""
    mark = f"{zlib.crc32(str((directory / 'data' / 'sandboxes').absolute()).encode()):08x}"
    groups = [path for pattern in ("*", "*/*", "*/*/*") for path in CGROUPS.glob(f"{pattern}/pilotlight-{mark}")]
    devices = list(Path("/sys/class/net").glob(f"pl{mark}*"))
    return [f"left: {path}" for path in [*groups, *devices]]


class Invocations:
    """As many as asked for, by many callers at once, until the cloud is gone."""

    def __init__(self, cloud: Cloud, count: int, label: str) -> None:
        self.accepted: set[str] = set()
        self.answered = 0
        self.failures: list[str] = []
        self._count = count
        self._label = label
        self._local = threading.local()
        self._cloud = cloud

    def run(self) -> None:
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(self._one, range(self._count)))

    def _one(self, number: int) -> None:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._cloud.client("lambda", config=QUICK)
        identity = f"{self._label}-{number}"
        kind = "Event" if number % 2 else "RequestResponse"
        try:
            client.invoke(FunctionName=FUNCTION, InvocationType=kind, Payload=f'{{"id": "{identity}"}}'.encode())
        except ClientError as error:
            # Throttled, or dying; anything else is wrong.
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status < 500 and status != 429:
                self.failures.append(str(error))
        except (BotoCoreError, OSError):
            pass
        else:
            if kind == "Event":
                self.accepted.add(f"event-{identity}")
            self.answered += 1


def missing(cloud: Cloud, expected: set[str]) -> set[str]:
    """Accepted events that were not carried out in time."""
    pages = cloud.client("dynamodb").get_paginator("scan")
    deadline = time.monotonic() + 2 * SETTLE_SECONDS
    while True:
        items = {item["id"]["S"] for page in pages.paginate(TableName=TABLE) for item in page["Items"]}
        left = expected - items
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def run(count: int, rounds: int, seed: int, options: list[str], say: object = None) -> list[str]:
    """Everything that went wrong, in words."""
    dice = random.Random(seed)
    expected: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="pilotlight-faults-") as name:
        directory = Path(name)
        cloud = launch(directory, options=options)
        prepare(cloud)
        for number in range(rounds):
            load = Invocations(cloud, count, f"{number}")
            working = threading.Thread(target=load.run)
            working.start()
            wanted = int(count * dice.uniform(0.1, 0.6))
            while load.answered < wanted and working.is_alive():
                time.sleep(0.01)
            assert cloud.process is not None
            started = descendants(cloud.process.pid)
            cloud.process.kill()
            cloud.process.wait()
            working.join()
            expected |= load.accepted
            deadline = time.monotonic() + 10
            while any(alive(pid) for pid in started) and time.monotonic() < deadline:
                time.sleep(0.01)
            outlived = [pid for pid in started if alive(pid)]
            assert cloud.process.stdout is not None
            cloud.process.stdout.close()
            cloud = launch(directory, options=options)
            wrong = load.failures + [f"process {pid} outlived the platform" for pid in outlived]
            wrong += [f"event {one}" for one in sorted(missing(cloud, expected))]
            if callable(say):
                say(
                    f"round {number + 1}: killed after {load.answered} of {count} answers, with {len(started)} "
                    f"processes; {len(expected)} events accepted so far, "
                    + (f"WRONG: {wrong[:3]}" if wrong else "all done")
                )
            if wrong:
                stop(cloud)
                return wrong
        stop(cloud)
        return remains(directory) + outside(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invocations", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="options for `pilotlight up`")
    given = parser.parse_args()
    wrong = run(given.invocations, given.rounds, given.seed, given.options, print)
    print("nothing lost, nothing left" if not wrong else "\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
