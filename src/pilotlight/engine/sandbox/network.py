"""A sandbox's own network: network_namespaces(7), veth(4), rtnetlink(7).

Inside there is loopback, where the cloud listens, and one end of a veth pair towards the internet.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1


@dataclass(frozen=True, slots=True)
class Link:
    """One sandbox's way out: the name of the host's end, and both addresses."""

    name: str
    host_address: str
    address: str


@dataclass(frozen=True, slots=True)
class Outside:
    """What was opened in the host's network namespace before leaving it."""

    @classmethod
    def open(cls) -> Outside:
        return cls()


def raise_loopback() -> None:
    """Bring `lo` up in a new namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def connect(link: Link, outside: Outside) -> None:
    raise NotImplementedError


def disconnect(pidfd: int) -> None:
    del pidfd
