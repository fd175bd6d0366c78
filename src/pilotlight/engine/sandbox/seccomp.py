"""The seccomp filter, assembled here since users have no compiler and no libseccomp.

A search tree over the numbers of `syscalls.ALLOWED`, with a closer look at the arguments of a few. The
kernel evaluates it once per number where arguments do not matter, so its length costs nothing later.
A breakout through it would be a bug in an allowed system call, or a number that means something else:
that is why the architecture is compared first, and calls of the x32 interface are refused.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Sequence

from pilotlight.engine.sandbox.syscalls import numbers

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP_EQUAL, _JUMP_GREATER, _JUMP_AT_LEAST, _JUMP_BITS = 0x15, 0x25, 0x35, 0x45
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME only exists in clone3."""
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR = 0x40086602, 0x401C5820
_PERSONALITY_ASK = 0xFFFFFFFF

_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_AF_NETLINK = 16
_SOCKET_TYPE_MASK = 0xF

Code = list[tuple[int, int, int, int]]


def program(machine: str = "") -> bytes:
    """The filter as an array of `struct sock_filter`, for this or another architecture."""
    machine = machine or os.uname().machine
    names = numbers(machine)
    looks = {names[name]: look for name, look in _looks().items() if name in names}
    plain = sorted(set(names.values()) - set(looks))
    code: Code = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number, look in looks.items():
        code += [(_JUMP_EQUAL, 0, len(look), number), *look]
    code += _search(_ranges(plain))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _looks() -> dict[str, Code]:
    """What is asked of the arguments of a call; each ends with a return."""
    return {
        "clone": [_argument(0), (_JUMP_BITS, 0, 1, _NAMESPACE_FLAGS), _refuse(errno.EPERM), _allow()],
        "ioctl": [
            _argument(1),
            *_refuse_values((_TIOCSTI, _TIOCLINUX, _TIOCSETD, _FS_IOC_SETFLAGS, _FS_IOC_FSSETXATTR), errno.EPERM),
            _allow(),
        ],
        "personality": [_argument(0), *_allow_values((0, _PERSONALITY_ASK)), _refuse(errno.EPERM)],
        "socket": _socket_look(),
        "socketpair": [_argument(0), *_allow_values((socket.AF_UNIX,)), _refuse(errno.EAFNOSUPPORT)],
    }


def _socket_look() -> Code:
    """Unix and internet sockets without raw ones; of netlink only routing, which getifaddrs() reads.

    AF_VSOCK would reach a hypervisor, AF_ALG and AF_PACKET much of the kernel.
    """
    internet: Code = [
        _argument(1),
        (_AND, 0, 0, _SOCKET_TYPE_MASK),
        *_refuse_values((3,), errno.EPERM),
        _allow(),
    ]
    netlink: Code = [_argument(2), *_allow_values((0,)), _refuse(errno.EPERM)]
    families: Code = []
    for index, family in enumerate(_FAMILIES):
        families.append((_JUMP_EQUAL, len(_FAMILIES) - index + 1, 0, family))
    families.append((_JUMP_EQUAL, 1 + len(internet), 0, _AF_NETLINK))
    families.append(_refuse(errno.EAFNOSUPPORT))
    return [_argument(0), *families, *internet, *netlink]


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the low half of an argument: the kernel's own handlers of these look at no more."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)


def _allow() -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ALLOW)


def _refuse(code: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ERRNO | code)


def _allow_values(values: Iterable[int]) -> Code:
    return [step for value in values for step in ((_JUMP_EQUAL, 0, 1, value), _allow())]


def _refuse_values(values: Iterable[int], code: int) -> Code:
    return [step for value in values for step in ((_JUMP_EQUAL, 0, 1, value), _refuse(code))]


def _ranges(values: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of successive numbers, as first and last."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and value == found[-1][1] + 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return found


def _search(ranges: Sequence[tuple[int, int]]) -> Code:
    """Allow the numbers within the ranges: a tree whose jumps stay within a byte."""
    if len(ranges) <= 2:
        return [
            *(
                step
                for first, last in ranges
                for step in ((_JUMP_AT_LEAST, 0, 2, first), (_JUMP_GREATER, 1, 0, last), _allow())
            ),
            _refuse(errno.ENOSYS),
        ]
    middle = len(ranges) // 2
    lower, upper = _search(ranges[:middle]), _search(ranges[middle:])
    return [(_JUMP_AT_LEAST, 1, 0, ranges[middle][0]), (0x05, 0, 0, len(upper)), *upper, *lower]
