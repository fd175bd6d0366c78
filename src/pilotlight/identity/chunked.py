"""Bodies that prove themselves while they are read: `aws-chunked`, and the hash that S3's header promised.

A chunk is `SIZE[;chunk-signature=HEX]\\r\\nDATA\\r\\n`; the last has no data and may be followed by trailers, of which
one may be a checksum and one the trailers' own signature. Data is handed on as it comes, so whoever stores it
must wait for the end of the iteration before it counts.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256

from pilotlight.errors import AwsError
from pilotlight.identity.sigv4 import EMPTY_SHA256, sign
from pilotlight.protocols.messages import BodyStream

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
FORMS = (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER)
LINE_BYTES_MAX = 16_384
CHUNK_BYTES_MIN = 8_192
PIECE_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSigner:
    """What chunk signatures are made from; `seed` is the signature of the request's headers."""

    key: bytes
    timestamp: str
    scope: str
    seed: str

    def of_chunk(self, previous: str, data_sha256: str) -> str:
        head = f"AWS4-HMAC-SHA256-PAYLOAD\n{self.timestamp}\n{self.scope}\n{previous}"
        return sign(self.key, f"{head}\n{EMPTY_SHA256}\n{data_sha256}")

    def of_trailer(self, previous: str, trailer_sha256: str) -> str:
        head = f"AWS4-HMAC-SHA256-TRAILER\n{self.timestamp}\n{self.scope}\n{previous}"
        return sign(self.key, f"{head}\n{trailer_sha256}")


def _incomplete() -> AwsError:
    return AwsError("IncompleteBody", "The request body terminated unexpectedly")


def _mismatch() -> AwsError:
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )
    return AwsError("SignatureDoesNotMatch", message, status=403)


def _malformed_trailer() -> AwsError:
    return AwsError(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )


class _Reader:
    """Lines and counted bytes from a stream of arbitrary pieces."""

    def __init__(self, stream: BodyStream) -> None:
        self._pieces = aiter(stream)
        self._buffer = b""

    async def _more(self) -> bool:
        piece = await anext(self._pieces, b"")
        self._buffer += piece
        return bool(piece)

    async def line(self) -> bytes:
        """Up to the next line end, without it; what is left, where the stream ends first."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LINE_BYTES_MAX:
                raise _incomplete()
            if not await self._more():
                line, self._buffer = self._buffer, b""
                return line
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.removesuffix(b"\r")

    async def pieces(self, size: int) -> AsyncIterator[bytes]:
        while size:
            if not self._buffer and not await self._more():
                raise _incomplete()
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece


@dataclass(slots=True, kw_only=True)
class ChunkedBody:
    """The decoded body of an `aws-chunked` request. `trailers` are complete once it was read to its end."""

    stream: BodyStream
    length: int
    """`x-amz-decoded-content-length`."""
    signer: ChunkSigner | None = None
    """None: chunks are unsigned, or the caller's secret is unknown and is not asked for."""
    declared: tuple[str, ...] = ()
    """Trailers that `x-amz-trailer` promises, in lower case."""
    trailers: dict[str, str] = field(default_factory=dict)

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reader = _Reader(self.stream)
        signature = self.signer.seed if self.signer else ""
        total, size, last_size = 0, 1, CHUNK_BYTES_MIN
        while size:
            size, claimed = _parse_head(await reader.line())
            total += size
            if total > self.length:
                raise _incomplete()
            if self.signer and size and last_size < CHUNK_BYTES_MIN:
                message = "Only the last chunk is allowed to have a size less than 8192 bytes"
                raise AwsError("InvalidChunkSizeError", message, status=403)
            last_size = size
            digest = sha256()
            async for piece in reader.pieces(size):
                if self.signer:
                    digest.update(piece)
                yield piece
            if size and await reader.line():
                raise _incomplete()
            if self.signer:
                signature = self.signer.of_chunk(signature, digest.hexdigest())
                if not hmac.compare_digest(signature, claimed):
                    raise _mismatch()
        if total != self.length:
            raise _incomplete()
        await self._read_trailers(reader, signature)

    async def _read_trailers(self, reader: _Reader, previous: str) -> None:
        signed = ""
        while line := await reader.line():
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise _malformed_trailer()
            name, value = name.strip().lower(), value.strip()
            if name == "x-amz-trailer-signature":
                self._check_trailer(previous, signed, value)
                signed = ""
            else:
                self.trailers[name] = value
                signed += f"{name}:{value}\n"
        if set(self.declared) - set(self.trailers) or (self.signer and signed):
            raise _malformed_trailer()

    def _check_trailer(self, previous: str, signed: str, claimed: str) -> None:
        if self.signer is None:
            return
        expected = self.signer.of_trailer(previous, sha256(signed.encode("latin-1")).hexdigest())
        if not hmac.compare_digest(expected, claimed):
            raise _mismatch()


def _parse_head(line: bytes) -> tuple[int, str]:
    """A chunk's size and the signature that it claims."""
    size, _, extension = line.partition(b";")
    try:
        count = int(size, 16)
    except ValueError:
        raise _incomplete() from None
    if count < 0:
        raise _incomplete()
    return count, extension.partition(b"chunk-signature=")[2].decode("latin-1")


@dataclass(slots=True)
class HashedBody:
    """A body whose SHA-256 was promised in `x-amz-content-sha256`, checked at its end."""

    stream: BodyStream
    promised: str

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        digest = sha256()
        async for piece in self.stream:
            digest.update(piece)
            yield piece
        check_hash(self.promised, digest.hexdigest())


def check_hash(promised: str, computed: str) -> None:
    if promised != computed:
        raise AwsError(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            members={"ClientComputedContentSHA256": promised, "S3ComputedContentSHA256": computed},
        )
