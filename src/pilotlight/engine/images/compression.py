"""A layer's bytes as they were before they were compressed: gzip by Python, zstd by the host's own library.

Read in small pieces, counted and hashed: a kilobyte may hold a gigabyte.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import gzip
import hashlib
import io
import zlib
from typing import BinaryIO, Protocol

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PIECE = 1 << 17


class ImageInvalid(Exception):
    """No image, or not one that may be run; the message says why."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def plain(file: BinaryIO) -> Readable:
    """The uncompressed content, whatever the manifest calls it: the first bytes tell."""
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=file)
    if magic == ZSTD_MAGIC:
        return io.BufferedReader(_Zstd(file), PIECE)
    return file


class Counted:
    """Hashes what is read, and refuses more than `most` bytes of it."""

    def __init__(self, source: Readable, most: int) -> None:
        self._source = source
        self._left = most
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        wanted = PIECE if size < 0 else min(size, PIECE)
        try:
            data = self._source.read(wanted)
        except (OSError, EOFError, zlib.error) as error:
            raise ImageInvalid(f"a layer cannot be decompressed: {error}") from None
        self._left -= len(data)
        if self._left < 0:
            raise ImageInvalid("the image is larger than 10 GB when it is unpacked")
        self.digest.update(data)
        return data

    def drain(self) -> str:
        """Read what is left; the digest of all of it."""
        while self.read(PIECE):
            pass
        return f"sha256:{self.digest.hexdigest()}"


class _Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


@functools.cache
def _library() -> ctypes.CDLL:
    """libzstd, which nearly every system has, since its package manager needs it."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    except OSError:
        raise ImageInvalid("a layer is compressed with zstd, and this host has no libzstd") from None
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    return library


class _Zstd(io.RawIOBase):
    def __init__(self, source: BinaryIO) -> None:
        self._library = _library()
        self._stream = self._library.ZSTD_createDStream()
        self._source = source
        self._data = ctypes.create_string_buffer(PIECE)
        self._input = _Buffer(ctypes.addressof(self._data), 0, 0)
        self._frame_open = False

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        view = memoryview(into).cast("B")  # type: ignore[arg-type]
        target = (ctypes.c_char * len(view)).from_buffer(view)
        output = _Buffer(ctypes.addressof(target), len(view), 0)
        while output.position == 0:
            if self._input.position == self._input.size:
                piece = self._source.read(PIECE)
                if not piece and not self._frame_open:
                    return 0
                ctypes.memmove(self._data, piece, len(piece))
                self._input.size, self._input.position = len(piece), 0
            before = self._input.position
            left = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(output), ctypes.byref(self._input))
            if self._library.ZSTD_isError(left):
                raise OSError("not zstd, or damaged")
            self._frame_open = left != 0
            if output.position == 0 and self._input.size == 0 and self._input.position == before:
                raise EOFError("it ends too early")
        return int(output.position)

    def close(self) -> None:
        if not self.closed and self._stream:
            self._library.ZSTD_freeDStream(self._stream)
            self._stream = None
        super().close()
