"""Netlink messages: netlink(7), rtnetlink(7). Enough of them for links, addresses, routes and nftables."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
REQUEST, ACKNOWLEDGE = 1, 4
EXCLUSIVE, CREATE, APPEND = 0x200, 0x400, 0x800
_NESTED = 0x8000
_ERROR = 2
_GET_LINK = 18
_HEADER = struct.Struct("=IHHII")
_RECEIVE_BYTES = 65536


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute: length, kind, value, padded to four bytes."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """32 bits in the host's order, as rtnetlink has them."""
    return attribute(kind, struct.pack("=I", value))


def big_endian(kind: int, value: int) -> bytes:
    """32 bits in network order, as nftables has them."""
    return attribute(kind, struct.pack(">i" if value < 0 else ">I", value))


def message(kind: int, flags: int, body: bytes, sequence: int = 1) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


class Netlink:
    """A netlink socket. It stays in the network namespace in which it was opened."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def request(self, name: str, kind: int, body: bytes, flags: int = 0) -> None:
        """Send one request, and raise OSError with `name` if the kernel refuses it."""
        self._socket.send(message(kind, REQUEST | ACKNOWLEDGE | flags, body))
        self._wait(name, 1)

    def batch(self, name: str, messages: Sequence[bytes], acknowledged: int) -> None:
        """Send a batch, of which so many messages ask for acknowledgement."""
        self._socket.send(b"".join(messages))
        self._wait(name, acknowledged)

    def index(self, name: str) -> int:
        """The index of an interface in the socket's namespace, which may not be the caller's."""
        self._socket.send(message(_GET_LINK, REQUEST, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + text(3, name)))
        data = self._socket.recv(_RECEIVE_BYTES)
        kind = _HEADER.unpack_from(data)[1]
        if kind == _ERROR:
            code = -struct.unpack_from("=i", data, _HEADER.size)[0]
            raise OSError(code, f"{name}: {os.strerror(code)}")
        return int(struct.unpack_from("=BBHiII", data, _HEADER.size)[3])

    def _wait(self, name: str, acknowledged: int) -> None:
        while acknowledged > 0:
            data = self._socket.recv(_RECEIVE_BYTES)
            offset = 0
            while offset < len(data):
                length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
                if kind == _ERROR:
                    code = struct.unpack_from("=i", data, offset + _HEADER.size)[0]
                    if code:
                        raise OSError(-code, f"{name}: {os.strerror(-code)}")
                    acknowledged -= 1
                offset += (length + 3) & ~3
