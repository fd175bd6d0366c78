"""Attacks from inside a sandbox. Each is tried by code that could be a function's, and each must fail."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from pilotlight.engine.sandbox.contract import Launch, SandboxSpec
from tests.engine.sandbox.conftest import ROOTLESS, factory, needs_linux, sandbox
from tests.engine.sandbox.inside import PYTHON, command, run, spec_for

__all__ = ["factory", "sandbox"]
pytestmark = [pytest.mark.linux, pytest.mark.slow, needs_linux]

INSIDE = ("dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "tmp", "var")
SYSCALL = """
import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    code = ctypes.get_errno()
    print(name, 'refused' if result == -1 and code in (1, 13, 38, 97) else f'{result} {code}')
"""


async def refused(box, script: str) -> None:
    """Every line that the script prints must end in `refused`."""
    result = await run(box, SYSCALL + script)
    lines = result.output.splitlines()
    assert lines, "nothing was tried"
    assert all(line.endswith("refused") for line in lines), result.output


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ssh", "/media", "/home", "/var/lib", "/sys", "/boot", "/work"])
async def test_files_of_the_host_do_not_exist(sandbox, path):
    script = f"import os\ntry: print(os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read())\n"
    result = await run(sandbox, script + "except OSError as e: print(e.strerror)")
    assert result.output in ("No such file or directory\n", "[]\n")


async def test_the_data_directory_does_not_exist(factory, sandbox, tmp_path):
    secret = tmp_path / "core.db"
    secret.write_text("secret")
    secret.chmod(0o666)
    result = await run(sandbox, f"print(open({str(secret)!r}).read())")
    assert "FileNotFoundError" in result.output
    beside = f"import os; print(os.listdir({str(tmp_path)!r}))"
    assert "FileNotFoundError" in (await run(sandbox, beside)).output


async def test_what_lies_beside_an_interpreter_is_not_shown(factory, tmp_path):
    prefix = tmp_path / "versions" / "3"
    prefix.mkdir(parents=True)
    (tmp_path / "versions").chmod(0o700)
    (tmp_path / "versions" / "secret").write_text("x")
    box = await factory.take(
        spec_for(
            tmp_path / "code",
        )
    )
    assert box

    box = await factory.take(SandboxSpec(code=tmp_path / "code", readable=(prefix,)))
    result = await command(box, ["/bin/ls", str(tmp_path / "versions")])
    assert result.output == "3\n"


async def test_processes_of_the_host_are_not_seen(sandbox):
    script = (
        "import os; print({n for n in os.listdir('/proc') if n.isdigit()} - {'1'} == {str(os.getpid())})\n"
        "try: print(open('/proc/1/environ').read() or 'No such file or directory')\n"
        "except OSError as e: print(e.strerror)\n"
        f"try: os.kill({os.getpid()}, 0)\nexcept OSError as e: print(e.strerror)\n"
        "try: os.kill(1, 9); print('nothing happened')\nexcept OSError as e: print(e.strerror)\n"
    )
    lines = (await run(sandbox, script)).output.splitlines()
    assert lines[:3] == ["True", "No such file or directory", "No such process"]
    # Where pid 1 has the function's own id, it ignores what comes from inside.
    assert lines[3:] == ["nothing happened" if ROOTLESS else "Operation not permitted"]


async def test_another_sandbox_is_out_of_reach(factory, tmp_path):
    """Its /tmp, its processes, its System V queues, its endpoint."""
    spec = spec_for(tmp_path / "code")
    victim, attacker = await factory.take(spec), await factory.take(spec)
    argv = [str(PYTHON), "-I", "-c", "open('/tmp/secret', 'w').write('x'); import time; time.sleep(60)"]
    pid = await victim.spawn(Launch(argv=argv, environment={"SECRET": "x"}))
    script = (
        "import os\nprint(os.listdir('/tmp'), os.path.exists('/tmp/secret'))\n"
        f"print(os.path.exists('/proc/{pid}'))\n"
        "import socket\nfor a in ('198.18.0.3', '198.18.0.5'):\n"
        "    try: socket.create_connection((a, 4566), 2); print('reached')\n"
        "    except OSError: print('unreachable')\n"
    )
    assert (await run(attacker, script)).output.splitlines() == ["[] False", "False", "unreachable", "unreachable"]
    assert victim.uid != attacker.uid or ROOTLESS


async def test_new_namespaces_mounts_and_roots_are_refused(sandbox):
    await refused(
        sandbox,
        "for flag in (0x20000, 0x10000000, 0x20000000, 0x40000000, 0x02000000, 0x80):\n"
        "    refused('unshare', 272, flag)\n"
        "refused('clone', 56, 0x10000011, 0, 0, 0, 0)\n"
        "refused('clone3', 435, ctypes.create_string_buffer(88), 88)\n"
        "refused('setns', 308, os.open('/proc/self/ns/net', 0), 0)\n"
        "refused('mount', 165, b'none', b'/tmp', b'tmpfs', 0, 0)\n"
        "refused('umount', 166, b'/tmp', 2)\n"
        "refused('chroot', 161, b'/tmp')\n"
        "refused('pivot_root', 155, b'/tmp', b'/tmp')\n"
        "refused('open_tree', 428, -100, b'/', 1)\n"
        "refused('fsopen', 430, b'ext4', 0)\n",
    )


async def test_the_kernels_doors_are_closed(sandbox):
    await refused(
        sandbox,
        "buffer = ctypes.create_string_buffer(256)\n"
        "refused('bpf', 321, 0, buffer, 128)\n"
        "refused('keyctl', 250, 0, -3, 0)\n"
        "refused('add_key', 248, b'user', b'x', b'y', 1, -3)\n"
        "refused('io_uring_setup', 425, 8, buffer)\n"
        "refused('userfaultfd', 323, 0)\n"
        "refused('perf_event_open', 298, buffer, 0, -1, -1, 0)\n"
        "refused('ptrace', 101, 0, 0, 0, 0)\n"
        "refused('process_vm_readv', 310, 1, 0, 0, 0, 0, 0)\n"
        "refused('kexec_load', 246, 0, 0, 0, 0)\n"
        "refused('init_module', 175, 0, 0, 0)\n"
        "refused('open_by_handle_at', 304, -100, buffer, 0)\n"
        "refused('settimeofday', 164, 0, 0)\n"
        "refused('sethostname', 170, b'x', 1)\n"
        "refused('tiocsti', 16, 0, 0x5412, b'x')\n",
    )


async def test_sockets_below_tcp_and_udp_are_refused(sandbox):
    await refused(
        sandbox,
        "refused('raw', 41, 2, 3, 1)\n"
        "refused('packet', 41, 17, 3, 768)\n"
        "refused('netfilter', 41, 16, 3, 12)\n"
        "refused('audit', 41, 16, 3, 9)\n"
        "refused('vsock', 41, 40, 1, 0)\n"
        "refused('alg', 41, 38, 5, 0)\n",
    )


async def test_the_network_cannot_be_changed(sandbox):
    """Reading routes works, as getifaddrs() needs; adding one does not."""
    script = (
        "import socket, struct\n"
        "s = socket.socket(16, 3, 0)\n"
        "body = struct.pack('=BBBBBBBBI', 2, 8, 0, 0, 254, 3, 0, 1, 0)\n"
        "body += struct.pack('=HH4s', 8, 1, bytes([10, 0, 0, 0]))\n"
        "body += struct.pack('=HHI', 8, 4, 1)\n"
        "s.send(struct.pack('=IHHII', 16 + len(body), 24, 0x605, 1, 0) + body)\n"
        "print(struct.unpack_from('=i', s.recv(4096), 16)[0])\n"
    )
    assert (await run(sandbox, script)).output == "-1\n"


async def test_devices_and_kernel_settings_cannot_be_touched(sandbox):
    script = (
        "import os\n"
        "def attempt(name, what):\n"
        "    try: what(); print(name, 'done')\n"
        "    except (OSError, ValueError): print(name, 'refused')\n"
        "attempt('mem', lambda: open('/dev/mem', 'rb'))\n"
        "attempt('kcore', lambda: open('/proc/kcore', 'rb').read(1) or open('/nonexistent'))\n"
        "attempt('mknod', lambda: os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0)))\n"
        "attempt('mknod', lambda: os.mknod('/tmp/null', 0o20666, os.makedev(1, 3)))\n"
        "attempt('sysctl', lambda: open('/proc/sys/kernel/core_pattern', 'w'))\n"
        "attempt('sysrq', lambda: open('/proc/sysrq-trigger', 'w').write('x') and open('/nonexistent'))\n"
        "attempt('oom', lambda: os.write(os.open('/proc/self/oom_score_adj', 1), b'-1000'))\n"
        "attempt('root', lambda: open('/x', 'w'))\n"
        "attempt('usr', lambda: open('/usr/x', 'w'))\n"
        "attempt('etc', lambda: open('/etc/passwd', 'a'))\n"
        "attempt('uid', lambda: os.setuid(0))\n"
        "attempt('chown', lambda: (open('/tmp/f', 'w').close(), os.chown('/tmp/f', 0, 0)))\n"
        "attempt('nice', lambda: os.setpriority(0, 0, -20))\n"
        "attempt('limit', lambda: __import__('resource').setrlimit(7, (4096, 4096)))\n"
    )
    result = await run(sandbox, script)
    lines = result.output.splitlines()
    assert len(lines) == 14, result.output
    assert all(line.endswith("refused") for line in lines), result.output


async def test_programs_with_setuid_gain_nothing(sandbox):
    script = (
        "import os, subprocess, stat\n"
        "found = [p for d in ('/usr/bin', '/usr/sbin') for n in os.listdir(d) for p in [d + '/' + n] "
        "if os.path.isfile(p) and os.stat(p).st_mode & stat.S_ISUID]\n"
        "status = open('/proc/self/status').read()\n"
        "print(len(found) >= 0, 'NoNewPrivs:\\t1' in status, 'CapBnd:\\t' + '0' * 16 in status)\n"
        "print(subprocess.run(['/bin/su', '-c', 'id'], capture_output=True).returncode != 0)\n"
        "open('/tmp/p', 'wb').write(open('/usr/bin/id', 'rb').read()); os.chmod('/tmp/p', 0o6755)\n"
        "print(subprocess.run(['/tmp/p', '-u'], capture_output=True, text=True).stdout.strip() == str(os.getuid()))\n"
    )
    result = await run(sandbox, script)
    assert result.output.splitlines() == ["True True True", "True", "True"], result.output


async def test_a_fork_bomb_stops_at_the_limit(factory, tmp_path):
    sandbox = await factory.take(spec_for(tmp_path / "code", memory_mb=3008))
    script = (
        "import os, errno, time\nn = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0: time.sleep(60); os._exit(0)\n"
        "        n += 1\n"
        "except OSError as e: print(n < 1024, errno.errorcode[e.errno], flush=True)\n"
        "os.kill(0, 9)\n"
    )
    result = await run(sandbox, script)
    assert result.output == "True EAGAIN\n"
    sandbox.kill()
    await sandbox.destroy()


async def test_eating_memory_ends_the_function_alone(factory, tmp_path):
    eater = await factory.take(spec_for(tmp_path / "code", memory_mb=128))
    other = await factory.take(spec_for(tmp_path / "code", memory_mb=128))
    result = await run(eater, "x = []\nwhile True: x.append(bytearray(1 << 20))")
    if not eater.charged:
        assert "MemoryError" in result.output
        return
    assert result.status == -9
    assert eater.out_of_memory()
    assert not other.out_of_memory()
    assert (await command(other, ["/bin/echo", "fine"])).output == "fine\n"


async def test_filling_the_disk_fills_only_its_own(sandbox):
    script = (
        "import errno, os\nn = 0\n"
        "try:\n"
        "    with open('/tmp/f', 'wb', 0) as f:\n"
        "        while True: n += f.write(bytes(1 << 22))\n"
        "except OSError as e: print(errno.errorcode[e.errno], 512 <= n >> 20 < 540)\n"
        "os.remove('/tmp/f')\nn = 0\n"
        "try:\n"
        "    while True: open('/tmp/%d' % n, 'w').close(); n += 1\n"
        "except OSError as e: print(errno.errorcode[e.errno], n < 40000)\n"
    )
    before = os.statvfs("/tmp").f_bavail * os.statvfs("/tmp").f_bsize
    result = await run(sandbox, script)
    assert result.output.splitlines() == ["ENOSPC True", "ENOSPC True"], result.output
    await sandbox.destroy()
    assert before - os.statvfs("/tmp").f_bavail * os.statvfs("/tmp").f_bsize < 400 << 20


async def test_the_hosts_own_services_are_not_reached(factory, tmp_path):
    """On loopback, on every address the host has, and by IPv6."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        own = _addresses()
        box = await factory.take(spec_for(tmp_path / "code"))
        script = (
            "import socket\n"
            f"for address in {['127.0.0.1', *own]!r}:\n"
            f"    try: socket.create_connection((address, {port}), 1); print(address, 'reached')\n"
            "    except OSError as e: print(address, 'refused')\n"
        )
        lines = (await run(box, script)).output.splitlines()
        assert len(lines) == 1 + len(own)
        assert all(line.endswith("refused") for line in lines), lines


def _addresses() -> list[str]:
    """The host's IPv4 addresses, by the route a packet would take, and of the sandboxes' gateways."""
    found = {"198.18.0.2", "192.168.0.1", "10.0.0.1", "172.17.0.1", "169.254.169.254", "100.64.0.1"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
            found.add(probe.getsockname()[0])
        except OSError:
            pass
    return sorted(found)


async def test_a_gateway_of_its_own_is_not_reached(factory, sandbox):
    with socket.create_server(("0.0.0.0", 0)) as server:
        if not factory.ground.has_egress:
            pytest.skip(f"no egress here: {factory.describe()['egress']}")
        link = {"host_address": "198.18.0.2"} if ROOTLESS else factory.ground.egress.link(sandbox.slot)
        script = (
            f"import socket\ntry: socket.create_connection(('{link['host_address']}', {server.getsockname()[1]}), 1)\n"
            "except OSError as e: print('refused')"
        )
        assert (await run(sandbox, script)).output == "refused\n"


async def test_no_core_is_dumped(sandbox):
    result = await run(sandbox, "import os, resource; print(resource.getrlimit(4), flush=True); os.abort()")
    assert "(0, 0)" in result.output
    assert result.status == -6


async def test_links_in_code_lead_nowhere(factory, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "link").symlink_to("/etc/shadow")
    (code / "up").symlink_to("../../../../root")
    box = await factory.take(spec_for(code))
    assert "No such file" in (await command(box, ["/bin/cat", "/var/task/link"])).output
    above = (await command(box, ["/bin/ls", "/var/task/../../../../.."])).output.split()
    assert set(above) <= {*INSIDE, "bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr"}


async def test_a_killed_sandbox_does_not_hold_up_the_others(factory, tmp_path):
    spec = spec_for(tmp_path / "code")
    bad = await factory.take(spec)
    await bad.spawn(Launch(argv=["/bin/sh", "-c", "while :; do :; done"], environment={}))
    await asyncio.gather(bad.destroy(), factory.take(spec))
