"""What a function's neighbours cost it: its warm p50 beside one that floods, against beside one that only computes.

`python -m benchmarks.fairness`, on a cloud of its own. Pairs in one run: on a busy machine only the ratios count.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from benchmarks.report import say
from benchmarks.run import TRUST, client, function
from pilotlight.testing.cloud import launch, stop

SECONDS = 4
HONEST = "def handler(event, context):\n    return event\n"
NEIGHBOURS = {
    "cpu": "def handler(e, c):\n    while True: pass\n",
    "log": "import os\ndef handler(e, c):\n    while True: os.write(1, b'a line of a log\\n' * 4096)\n",
    "forks": (
        "import os\ndef handler(e, c):\n    while True:\n        try:\n            if os.fork() == 0: os._exit(0)\n"
        "            os.wait()\n        except OSError: pass\n"
    ),
}


def beside(endpoint: str, neighbour: str) -> float:
    """p50 in milliseconds, by one caller."""
    calls = client(endpoint, "lambda")
    thread = threading.Thread(target=_occupy, args=(endpoint, neighbour))
    thread.start()
    times = []
    time.sleep(0.5)
    while thread.is_alive():
        began = time.perf_counter()
        calls.invoke(FunctionName="honest", Payload=b"1")
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


def _occupy(endpoint: str, name: str) -> None:
    client(endpoint, "lambda").invoke(FunctionName=name)


def main() -> None:
    with tempfile.TemporaryDirectory() as data:
        cloud = launch(Path(data))
        try:
            endpoint = cloud.endpoint
            client(endpoint, "iam").create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))
            function(endpoint, "honest", HONEST, 1769)
            for name, code in NEIGHBOURS.items():
                function(endpoint, name, code, 1769)
                client(endpoint, "lambda").update_function_configuration(FunctionName=name, Timeout=SECONDS)
            client(endpoint, "lambda").invoke(FunctionName="honest", Payload=json.dumps(1))
            honest = beside(endpoint, "cpu")
            for name in NEIGHBOURS:
                p50 = honest if name == "cpu" else beside(endpoint, name)
                say(f"warm invoke beside {name}", p50_ms=p50, ratio=p50 / honest)
        finally:
            stop(cloud)


if __name__ == "__main__":
    main()
