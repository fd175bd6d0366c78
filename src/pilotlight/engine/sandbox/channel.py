"""Messages between the platform and `sandboxd`: JSON, with descriptors beside it, one packet each."""

from __future__ import annotations

import json
import socket
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
    data, descriptors, _flags, _address = socket.recv_fds(
        end, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
    )
    if not data:
        return None, list(descriptors)
    return json.loads(data), list(descriptors)
