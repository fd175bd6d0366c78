"""Going inside a sandbox: the last steps between a trusted process of ours and a function's code.

One file, the standard library only, Python 3.8 or newer: zygotes on any interpreter load it by its path.
Call `fork_into` from a single-threaded process (`setns` refuses a threaded one). Its child comes back with
nothing left of the host: namespaces joined, cgroups joined, an unprivileged uid, no capability, no way to
gain one, and the seccomp filter loaded last. Whoever imports this file must have imported all that the
child needs, since modules loaded later come from the sandbox's own files.

The plan, as JSON:
  holder      index (in the descriptors) of a pidfd of the sandbox's pid 1
  namespaces  flags of the namespaces to join through it
  cgroups     indices of descriptors of `cgroup.procs` files, open for writing
  uid, gid    whom to become; both are used by this one sandbox only
  groups      whether supplementary groups can be left (not in a user namespace of an ordinary user)
  limits      rlimits by name ("nofile": 1024)
  seccomp     the filter, base64 of an array of `struct sock_filter`
  directory   where to stand afterwards
"""

from __future__ import annotations

import base64
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any

CLONE_NEWPID = 0x20000000
CLONE_NEWUSER = 0x10000000
ENTRY_FAILED = 70
"""Exit status of a child that could not come inside; the reason is on its stderr."""

_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = 64
_DESCRIPTORS_MAX = 1 << 20
_SETNS = {"x86_64": 308, "aarch64": 268}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def fork_into(plan: dict[str, Any], fds: Sequence[int], keep: Iterable[int] | None = None) -> int:
    """Fork a child inside. Returns its pid, as the caller sees it, and 0 in the child, which is inside.

    The child is the caller's own: `waitpid` gives its exit status, although it lives in another pid
    namespace. One fork is enough, because the caller points its future children at that namespace and
    back again. The caller keeps `fds` and closes them; in the child they are closed,
    and all others but 0, 1, 2 and those in `keep`, if that is given.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    in_pid_namespace = plan["namespaces"] & CLONE_NEWPID
    pid = -1
    try:
        if in_pid_namespace:
            _setns(fds[plan["holder"]], CLONE_NEWPID)
        pid = os.fork()
    finally:
        if pid != 0 and in_pid_namespace:
            _setns(own, CLONE_NEWPID)
        os.close(own)
    if pid:
        return pid
    inside = False
    try:
        enter_forked(plan, fds, keep)
        inside = True
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        os.write(2, f"could not enter the sandbox: {type(error).__name__}: {error}\n".encode())
    finally:
        if not inside:
            os._exit(ENTRY_FAILED)
    return 0


def enter(
    plan: dict[str, Any], fds: Sequence[int], report: int | None = None, keep: Iterable[int] | None = None
) -> None:
    """Go inside from a process that was forked already; returns only in a further child, which is inside.

    The process in between writes that child's pid to the descriptor `report`, waits, and ends as it ended.
    `fork_into` needs no process in between and is to be preferred.
    """
    pid = fork_into(plan, fds, keep)
    if not pid:
        return
    for descriptor in fds:
        os.close(descriptor)
    if report is not None:
        os.write(report, b"%d\n" % pid)
        os.close(report)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.WTERMSIG(status) not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def enter_forked(plan: dict[str, Any], fds: Sequence[int], keep: Iterable[int] | None = None) -> None:
    """All that follows the fork, in the order the kernel needs. Any failure must end the process."""
    # What our memory holds is not for the processes that are inside already: until this one is theirs or a program of
    # theirs, they may not look at it in /proc.
    set_dumpable(False)
    for index in plan["cgroups"]:
        os.write(fds[index], b"0")
    _setns(fds[plan["holder"]], plan["namespaces"] & ~CLONE_NEWPID)
    for descriptor in fds:
        os.close(descriptor)
    if keep is not None:
        close_others(keep)
    os.setsid()  # signals to one's process group stay inside
    os.chdir(plan.get("directory", "/"))
    os.umask(0o022)
    for name, value in plan.get("limits", {}).items():
        _limit(getattr(resource, "RLIMIT_" + name.upper()), value)
    drop_privileges(plan["uid"], plan["gid"], groups=plan.get("groups", True))
    if keep is None:
        # Nothing is executed that would do it: without this, /proc/self belongs to root and a program cannot open its
        # own /dev/stdout.
        set_dumpable(True)
    load_seccomp(base64.b64decode(plan["seccomp"]))


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor but 0, 1, 2 and these."""
    start = 3
    for descriptor in sorted(set(keep)):
        if descriptor >= start:
            os.closerange(start, descriptor)
            start = descriptor + 1
    os.closerange(start, _DESCRIPTORS_MAX)


def drop_privileges(uid: int, gid: int, groups: bool = True) -> None:
    """Become `uid` for good. The bounding set goes first, since dropping from it needs a capability."""
    for capability in range(_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # EINVAL: beyond the last capability this kernel knows
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if groups:
        os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)), "capset")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def set_dumpable(value: bool) -> None:
    _check(_libc.prctl(_PR_SET_DUMPABLE, int(value), 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def load_seccomp(program: bytes) -> None:
    """Load the filter. From here on only listed system calls work."""
    code = ctypes.create_string_buffer(program, len(program))
    wrapped = _Program(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    address = ctypes.addressof(wrapped)
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, address, 0, 0), "prctl(PR_SET_SECCOMP)")


def _limit(kind: int, value: int) -> None:
    """Set an rlimit, or as much of it as the hard limit leaves."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY and value > hard:
        value = hard
    resource.setrlimit(kind, (value, value))


def _setns(descriptor: int, flags: int) -> None:
    number = _SETNS[os.uname().machine]
    _check(_libc.syscall(number, ctypes.c_long(descriptor), ctypes.c_long(flags)), "setns")


def _check(result: int, name: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
