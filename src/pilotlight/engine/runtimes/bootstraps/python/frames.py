"""The frames between the platform and a bootstrap, seen from inside: standard library, Python 3.8 and newer.

A frame is a length of four bytes, a kind of one, and a body. `engine/frames.py` is the other side.
"""

import json
import os
import socket
import struct
import threading

START, READY, INVOKE, RESPONSE, FAILURE, LOG, INIT_FAILED = b"SRIOFLX"
RESTORE = ord("E")
HEAD = struct.Struct("<IB")
CHUNK = 65536


class Channel:
    """A blocking stream of frames over one socket. Writing is safe from any thread."""

    def __init__(self, descriptor):
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._lock = threading.Lock()
        self._buffer = bytearray()

    def after_fork(self):
        self._lock = threading.Lock()

    def send(self, kind, body):
        frame = HEAD.pack(len(body), kind) + body
        with self._lock:
            self._socket.sendall(frame)

    def send_json(self, kind, value):
        self.send(kind, json.dumps(value).encode())

    def receive(self):
        """(kind, body); ends the process when the platform is gone."""
        size, kind = HEAD.unpack(self._take(HEAD.size))
        return kind, self._take(size)

    def _take(self, size):
        buffer = self._buffer
        while len(buffer) < size:
            data = self._socket.recv(max(CHUNK, size - len(buffer)))
            if not data:
                os._exit(0)
            buffer += data
        taken = bytes(buffer[:size])
        del buffer[:size]
        return taken
