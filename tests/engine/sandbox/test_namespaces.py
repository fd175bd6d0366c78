"""What a function sees of its sandbox, and what the platform can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.engine.contract import IsolationUnavailable
from pilotlight.engine.sandbox import enter
from pilotlight.engine.sandbox.choose import make_factory
from pilotlight.engine.sandbox.contract import Launch
from pilotlight.engine.sandbox.factory import NamespaceFactory
from pilotlight.engine.sandbox.rootless import why_refused
from pilotlight.engine.sandbox.userns import Maps
from pilotlight.ids import Ids
from pilotlight.settings import Settings
from tests.engine.sandbox.conftest import needs_root
from tests.engine.sandbox.inside import PYTHON, command, run, spec_for

pytestmark = [pytest.mark.linux, pytest.mark.slow, needs_root]


async def test_code_is_at_var_task_and_cannot_be_changed(factory, tmp_path):
    spec = spec_for(tmp_path / "closed" / "code")
    (tmp_path / "closed").chmod(0o700)
    (tmp_path / "closed" / "code" / "handler.py").write_text("hello")
    sandbox = await factory.take(spec)
    result = await run(sandbox, "import os; print(os.getcwd(), open('handler.py').read()); open('x', 'w')")
    assert "/var/task hello" in result.output
    assert "Read-only file system" in result.output


async def test_a_later_layer_hides_files_of_an_earlier_one(factory, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second:odd"
    for layer, text in ((first, "1"), (second, "2")):
        (layer / "python").mkdir(parents=True)
        (layer / "python" / "both").write_text(text)
    (first / "only").write_text("first")
    sandbox = await factory.take(spec_for(tmp_path / "code", layers=(first, second)))
    result = await command(sandbox, ["/bin/cat", "/opt/python/both", "/opt/only"])
    assert result.output == "2first"


async def test_one_layer_is_at_opt(factory, tmp_path):
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "file").write_text("x")
    sandbox = await factory.take(spec_for(tmp_path / "code", layers=(tmp_path / "layer",)))
    assert (await command(sandbox, ["/bin/cat", "/opt/file"])).output == "x"


async def test_tmp_is_empty_private_and_has_the_size_that_was_asked_for(factory, tmp_path):
    script = (
        "import os, shutil; print(os.listdir('/tmp'), oct(os.stat('/tmp').st_mode & 0o7777), "
        "shutil.disk_usage('/tmp').free >> 20)"
    )
    for size_mb in (512, 1024):
        sandbox = await factory.take(spec_for(tmp_path / "code", ephemeral_mb=size_mb))
        result = await run(sandbox, script)
        free = int(result.output.split()[-1])
        assert result.output.startswith("[] 0o700"), result.output
        assert size_mb <= free <= size_mb * 1.03


async def test_files_in_tmp_are_not_memory(factory, tmp_path):
    sandbox = await factory.take(spec_for(tmp_path / "code", memory_mb=128))
    script = "f = open('/tmp/big', 'wb')\nfor _ in range(300): f.write(bytes(1 << 20))\nprint('written')"
    result = await run(sandbox, script)
    assert result.output == "written\n"
    assert not sandbox.out_of_memory()
    assert sandbox.memory_peak_bytes() < 64 << 20


async def test_the_cloud_is_reached_at_loopback(sandbox):
    script = "import socket; s = socket.create_connection(('127.0.0.1', 4566)); s.sendall(b'hello'); print(s.recv(9))"
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(run(sandbox, script))
        connection, _ = await loop.sock_accept(sandbox.listener)
        with connection:
            assert await loop.sock_recv(connection, 9) == b"hello"
            await loop.sock_sendall(connection, b"welcome")
    assert answer.result().output == "b'welcome'\n"


async def test_a_program_has_only_the_descriptors_it_was_given(sandbox):
    reading, writing = os.pipe()
    argv = [str(PYTHON), "-I", "-c", "import os; os.write(7, ' '.join(sorted(os.listdir('/proc/self/fd'))).encode())"]
    pid = await sandbox.spawn(Launch(argv=argv, environment={}, descriptors={7: writing}))
    os.close(writing)
    assert await sandbox.wait_exit(pid) == 0
    assert os.read(reading, 100) == b"0 1 2 3 7"  # 3 is the listing's own
    os.close(reading)


async def test_exit_statuses_and_signals_are_told(sandbox):
    assert (await run(sandbox, "raise SystemExit(3)")).status == 3
    assert (await run(sandbox, "import os; os.kill(os.getpid(), 15)")).status == -15
    assert (await command(sandbox, ["/nonexistent"])).status == 127


async def test_a_frozen_program_stands_still_and_can_be_killed(sandbox):
    reading, writing = os.pipe()
    script = "import os, itertools\nfor _ in itertools.count(): os.write(1, b'x')"
    launch = Launch(argv=[str(PYTHON), "-I", "-c", script], environment={}, descriptors={1: writing})
    pid = await sandbox.spawn(launch)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    sandbox.freeze()
    await _wait_for(lambda: b"frozen 1" in Path(f"{_v2(sandbox)}/cgroup.events").read_bytes())
    sandbox.thaw()
    for _ in range(20):
        assert os.read(reading, 65536)
    sandbox.freeze()
    sandbox.kill()
    assert await sandbox.wait_exit(pid) == -9
    os.close(reading)


def _v2(sandbox) -> Path:
    return sandbox.cgroup._paths["v2"]


async def _wait_for(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_orphans_are_reaped_by_the_kernel(sandbox):
    script = "import os\nif os.fork() == 0:\n    os.fork()\n    os._exit(0)\nos.wait()\n"
    await run(sandbox, script)
    await _wait_for(lambda: sandbox.cgroup.processes() == [])
    listing = "import os; print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()) == [os.getpid()])"
    assert (await run(sandbox, listing)).output == "True\n"


async def test_out_of_memory_is_told_once(factory, tmp_path):
    sandbox = await factory.take(spec_for(tmp_path / "code", memory_mb=128))
    result = await run(sandbox, "x = bytearray(300 << 20)")
    assert result.status == -9
    assert sandbox.out_of_memory()
    assert not sandbox.out_of_memory()
    assert 100 << 20 < sandbox.memory_peak_bytes() <= 128 << 20


async def test_the_memory_peak_can_be_reset(sandbox):
    await run(sandbox, "x = bytearray(80 << 20)")
    assert sandbox.memory_peak_bytes() > 80 << 20
    sandbox.reset_memory_peak()
    assert sandbox.memory_peak_bytes() < 40 << 20


async def test_the_cpu_quota_is_set_and_lifted(sandbox):
    burn = "import time; t = time.monotonic()\nwhile time.monotonic() - t < 0.4: pass\nprint(time.process_time())"
    sandbox.limit_cpu(0.1)
    assert float((await run(sandbox, burn)).output) < 0.15
    sandbox.limit_cpu(None)
    assert float((await run(sandbox, burn)).output) > 0.15


async def test_destroying_leaves_nothing(factory, tmp_path):
    sandbox = await factory.take(spec_for(tmp_path / "code"))
    pid = await sandbox.spawn(Launch(argv=["/bin/sleep", "100"], environment={}))
    # It is in the cgroup before it is inside; killed in between, it ends because it cannot come in.
    await _wait_for(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/bin/sleep"))
    assert sandbox.cgroup.processes() == [pid]
    await sandbox.destroy()
    assert await sandbox.wait_exit(pid) == -9
    assert not any(path.exists() for path in sandbox.cgroup._paths.values())
    assert sandbox.id not in factory.ground.parent.children()


async def test_a_zygote_forks_into_a_sandbox(sandbox, tmp_path):
    """By a program of its own, as zygotes are: single-threaded, with descriptors it was sent."""
    entry = sandbox.entry()
    zygote = (
        "import sys, json, os, importlib.util as u\n"
        "s = u.spec_from_file_location('enter', sys.argv[1]); e = u.module_from_spec(s); s.loader.exec_module(e)\n"
        "plan, fds = json.loads(sys.argv[2]), json.loads(sys.argv[3])\n"
        "pid = e.fork_into(plan, fds, keep=[1])\n"
        "if pid == 0:\n"
        "    print(os.getuid() == plan['uid'], os.getcwd(), len(os.listdir('/proc/self/fd')), os.getpid() < 100)\n"
        "    sys.stdout.flush(); os._exit(7)\n"
        "print(os.WEXITSTATUS(os.waitpid(pid, 0)[1]), len(os.listdir('/proc')) > 20)\n"
    )
    arguments = [enter.__file__, json.dumps(entry.plan), json.dumps(entry.descriptors)]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-c", zygote, *arguments],
        pass_fds=entry.descriptors,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True /var/task 4 True\n7 True\n", done.stderr


async def test_a_child_that_cannot_come_inside_never_runs(sandbox):
    entry = sandbox.entry()
    bad = {**entry.plan, "seccomp": "AAAA"}
    script = (
        "import sys, json, os, importlib.util as u\n"
        "s = u.spec_from_file_location('enter', sys.argv[1]); e = u.module_from_spec(s); s.loader.exec_module(e)\n"
        "pid = e.fork_into(json.loads(sys.argv[2]), json.loads(sys.argv[3]))\n"
        "print('inside' if pid == 0 else os.WEXITSTATUS(os.waitpid(pid, 0)[1]))\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-c", script, enter.__file__, json.dumps(bad), json.dumps(entry.descriptors)],
        pass_fds=entry.descriptors,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{enter.ENTRY_FAILED}\n"
    assert "could not enter the sandbox" in done.stderr


async def test_a_missing_code_directory_is_an_error_and_leaves_nothing(factory, tmp_path):
    before = set(factory.ground.parent.children())
    with pytest.raises(IsolationUnavailable, match="No such file"):
        await factory.take(spec_for(tmp_path / "code", layers=(tmp_path / "missing",)))
    assert len(before - factory.ground.parent.children()) == 1


async def test_many_are_taken_at_once(factory, tmp_path):
    spec = spec_for(tmp_path / "code")
    sandboxes = await asyncio.gather(*(factory.take(spec) for _ in range(10)))
    results = await asyncio.gather(*(command(sandbox, ["/usr/bin/id", "-u"]) for sandbox in sandboxes))
    assert len({result.output for result in results}) == 10
    await asyncio.gather(*(sandbox.destroy() for sandbox in sandboxes))


async def test_a_killed_predecessor_is_cleared_away(tmp_path):
    """The platform dies by SIGKILL with a frozen function inside; its successor finds and removes all of it."""
    directory = tmp_path / "sandboxes"
    code = tmp_path / "code"
    code.mkdir()
    script = (
        "import asyncio, sys, os\nfrom pathlib import Path\n"
        "from pilotlight.engine.sandbox.factory import NamespaceFactory\n"
        "from pilotlight.engine.sandbox.contract import *\n"
        "from pilotlight.ids import Ids\nfrom pilotlight.settings import Settings\n"
        "async def main():\n"
        "    f = NamespaceFactory(Path(sys.argv[1]), Settings(), Ids(), pool_size=2)\n"
        "    await f.start()\n"
        "    s = await f.take(SandboxSpec(code=Path(sys.argv[2])))\n"
        "    pid = await s.spawn(Launch(argv=['/bin/sleep', '1000'], environment={}))\n"
        "    s.freeze()\n"
        "    print(pid, f._daemon.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(directory), str(code)], capture_output=True, text=True
    )
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    successor = NamespaceFactory(directory, Settings(), Ids(), pool_size=1)
    await successor.start()
    try:
        await _wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
        assert len(successor.ground.parent.children()) <= 2
    finally:
        await successor.close()
    assert successor.ground.parent.children() == set()
    assert not [name for _, name in socket.if_nameindex() if name.startswith(successor.ground.egress._prefix)]
    assert list((directory / "images").glob("*.tmp")) == []


async def test_a_cgroup_that_was_half_removed_is_cleared_away(tmp_path):
    first = NamespaceFactory(tmp_path, Settings(), Ids(), pool_size=1)
    await first.start()
    record = first.ground._record.read_text()
    await first.close()
    for controller, directory in first.ground.hierarchies.directories(f"{first.ground.name}/half").items():
        if controller != "v2":
            directory.mkdir(parents=True)
    first.ground._record.write_text(record)
    second = NamespaceFactory(tmp_path, Settings(), Ids(), pool_size=1)
    await second.start()
    assert "half" not in second.ground.parent.children()
    await second.close()


async def test_when_sandboxd_is_killed_all_sandboxes_end(factory, sandbox):
    pid = await sandbox.spawn(Launch(argv=["/bin/sleep", "1000"], environment={}))
    os.kill(factory._daemon.pid, 9)
    await _wait_for(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(IsolationUnavailable):
        await sandbox.spawn(Launch(argv=["/bin/true"], environment={}))


async def test_the_host_is_described(factory):
    described = factory.describe()
    assert described["isolation"] == "namespaces"
    assert described["cgroup"] in ("v1", "v2", "hybrid")
    assert "egress" in described


def test_an_unknown_isolation_is_refused(tmp_path):
    with pytest.raises(ValueError, match="isolation must be"):
        make_factory(Settings(isolation="docker"), tmp_path, Ids())


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "max_user_namespaces=15000"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
    ],
)
def test_a_host_that_forbids_user_namespaces_is_named_with_its_cure(tmp_path, name, value, cure):
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(value + "\n")
    said = why_refused("unshare: Operation not permitted", tmp_path)
    assert "forbids user namespaces" in said
    assert cure in said


def test_a_container_that_covers_proc_is_named_with_its_cure(tmp_path):
    assert "systempaths=unconfined" in why_refused("mount proc on /proc: Operation not permitted", tmp_path)


async def test_a_refused_user_namespace_refuses_the_start(tmp_path, monkeypatch):
    """Not root, but not allowed either: here because the map that was asked for is another's."""
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    factory = NamespaceFactory(tmp_path, Settings(), Ids())
    factory.ground.maps = Maps([(0, 0, 1), (0, 0, 1)], [(0, 0, 1)])
    with pytest.raises(IsolationUnavailable, match="--isolation=none"):
        await factory.start()


async def test_a_socket_of_the_inside_reaches_what_listens_there_and_nothing_of_the_hosts(
    sandbox,
) -> None:
    assert sandbox.api_listener is not None
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as of_the_host:
        reaching, refused = await sandbox.socket_inside(), await sandbox.socket_inside()
        with contextlib.closing(reaching), contextlib.closing(refused):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(reaching, ("127.0.0.1", 9001))
            accepted, _ = await loop.sock_accept(sandbox.api_listener)
            accepted.close()
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(refused, of_the_host.getsockname())
