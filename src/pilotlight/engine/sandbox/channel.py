"""Messages between the platform and `sandboxd`: JSON, with descriptors beside it, one packet each."""

from __future__ import annotations

import json
import socket
from array import array
from collections.abc import Sequence
from typing import Any

MESSAGE_BYTES_MAX = 192 * 1024
DESCRIPTORS_MAX = 64


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends that keep messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MESSAGE_BYTES_MAX:
        raise ValueError(f"a message of {len(data)} bytes is over {MESSAGE_BYTES_MAX}")
    socket.send_fds(end, [data], list(descriptors))


def receive(end: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message with its descriptors; None when the other side is gone."""
    # Not `socket.recv_fds`: until Python 3.12 it ignores its flags, and every program that is started while a sandbox's
    # listeners are open would have them, too.
    room = socket.CMSG_SPACE(DESCRIPTORS_MAX * array("i").itemsize)
    data, ancillary, _flags, _address = end.recvmsg(MESSAGE_BYTES_MAX, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for level, kind, rights in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(rights[: len(rights) - len(rights) % descriptors.itemsize])
    return json.loads(data) if data else None, list(descriptors)
