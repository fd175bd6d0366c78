"""When the platform is killed, nothing that it started lives on, although nobody tells it to end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pilotlight.engine.sandbox.factory import NamespaceFactory
from pilotlight.ids import Ids
from pilotlight.settings import Settings
from tests.faults.processes import alive, descendants

pytestmark = [pytest.mark.slow, pytest.mark.linux, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

ROOT = Path(__file__).parents[2]
PLATFORM = """
    import asyncio, os, sys
    from pathlib import Path
    from tests.engine.world import world

    async def main(directory, isolation, road):
        async with world(directory, isolation, road) as made:
            version = made.version(
                "import subprocess\\ndef handler(event, context):\\n    print('spinning')\\n    while True: pass"
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(made.invoke(version))
                await made.log_line(version, "spinning")
                print("spinning", flush=True)

    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
    """


@pytest.mark.parametrize("road", ["boto3", "bare", "exec"])
@pytest.mark.parametrize("isolation", ["plain", "namespaces"])
def test_a_killed_platform_leaves_no_process(tmp_path: Path, isolation: str, road: str) -> None:
    if isolation == "namespaces" and os.geteuid() != 0:
        pytest.skip("sandboxes of namespaces need root")
    script = tmp_path / "start_a_platform.py"
    script.write_text(textwrap.dedent(PLATFORM))
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), isolation, road],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.readline()
        started = descendants(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (said, bool(started)) == (b"spinning\n", True)
    deadline = time.monotonic() + 10
    while (left := [pid for pid in started if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    if isolation == "namespaces":
        asyncio.run(_start_again(tmp_path / "sandboxes"))
    assert not left, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]


async def _start_again(directory: Path) -> None:
    """A successor removes the cgroups."""
    factory = NamespaceFactory(directory, Settings(), Ids(), pool_size=1)
    await factory.start()
    await factory.close()
