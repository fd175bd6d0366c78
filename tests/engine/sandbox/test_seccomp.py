"""The filter, evaluated here as the kernel does it: every number of both architectures."""

from __future__ import annotations

import errno
import struct

import pytest

from pilotlight.engine.sandbox import seccomp
from pilotlight.engine.sandbox.syscalls import ALLOWED, numbers

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def evaluate(program: bytes, number: int, architecture: int, *arguments: int) -> int:
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, value)[0]
            case 0x54:
                accumulator &= value
            case 0x05:
                at += value
            case 0x06:
                return value
            case 0x15:
                at += yes if accumulator == value else no
            case 0x25:
                at += yes if accumulator > value else no
            case 0x35:
                at += yes if accumulator >= value else no
            case 0x45:
                at += yes if accumulator & value else no
            case other:
                raise AssertionError(f"unknown operation {other:#x}")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_exactly_the_listed_calls_are_not_answered_with_enosys(machine):
    program = seccomp.program(machine)
    allowed = set(numbers(machine).values())
    for number in range(600):
        answer = evaluate(program, number, ARCHITECTURES[machine])
        assert (answer != ERRNO | errno.ENOSYS) == (number in allowed), number


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_of_another_architecture_end_the_process(machine):
    assert evaluate(seccomp.program(machine), 0, 0x40000003) == KILL


def test_calls_of_the_x32_interface_do_not_exist():
    assert evaluate(seccomp.program("x86_64"), 0x40000000, ARCHITECTURES["x86_64"]) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (0x10000000,), ERRNO | errno.EPERM),
        ("clone", (0x00020011,), ERRNO | errno.EPERM),
        ("clone", (0x40000011,), ERRNO | errno.EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), ERRNO | errno.EPERM),
        ("ioctl", (0, 0x1_0000_5412), ERRNO | errno.EPERM),
        ("personality", (0xFFFFFFFF,), ALLOW),
        ("personality", (0x0040000,), ERRNO | errno.EPERM),
        ("socket", (1, 1, 0), ALLOW),
        ("socket", (2, 0x80801, 0), ALLOW),
        ("socket", (10, 2, 17), ALLOW),
        ("socket", (2, 3, 1), ERRNO | errno.EPERM),
        ("socket", (16, 3, 0), ALLOW),
        ("socket", (16, 3, 12), ERRNO | errno.EPERM),
        ("socket", (17, 3, 0), ERRNO | errno.EAFNOSUPPORT),
        ("socket", (38, 5, 0), ERRNO | errno.EAFNOSUPPORT),
        ("socket", (40, 1, 0), ERRNO | errno.EAFNOSUPPORT),
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (2, 1, 0), ERRNO | errno.EAFNOSUPPORT),
    ],
)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_arguments_of_some_calls_are_looked_at(machine, name, arguments, answer):
    assert evaluate(seccomp.program(machine), numbers(machine)[name], ARCHITECTURES[machine], *arguments) == answer


@pytest.mark.parametrize(
    "name",
    [
        *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "clone3", "ptrace", "process_vm_readv"),
        *("bpf", "keyctl", "add_key", "request_key", "io_uring_setup", "userfaultfd", "perf_event_open"),
        *("open_tree", "move_mount", "fsopen", "mount_setattr", "open_by_handle_at", "name_to_handle_at"),
        *("init_module", "finit_module", "kexec_load", "reboot", "swapon", "settimeofday", "clock_settime", "kcmp"),
        *("quotactl", "acct", "syslog", "iopl", "ioperm", "pidfd_getfd", "fanotify_init", "vhangup"),
    ],
)
def test_calls_that_break_out_are_not_listed(name):
    assert all(name not in names.replace(":", " ").split() for _reason, names in ALLOWED)


def test_every_call_has_a_reason():
    assert all(len(reason) > 5 and names for reason, names in ALLOWED)
