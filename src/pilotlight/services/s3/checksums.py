"""MD5 and the checksums that SDKs send: computed while a body passes, compared at its end, combined over parts.

A full-object checksum is of the whole bytes. A composite one is of the parts' checksums, one after the
other, with `-N`. CRCs of parts can be combined into the CRC of the whole without reading it again.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pilotlight.errors import NotImplementedHere
from pilotlight.services.s3 import errors

ChecksumType = Literal["FULL_OBJECT", "COMPOSITE"]

DEFAULT = "CRC64NVME"
"""AWS: an upload that brings no checksum is given this one."""

CRC_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8}
SIZES = {**CRC_BYTES, "SHA1": 20, "SHA256": 32, "SHA512": 64, "MD5": 16}
UNSUPPORTED = ("XXHASH64", "XXHASH3", "XXHASH128")
ALGORITHMS = (*SIZES, *UNSUPPORTED)
HEADER = "x-amz-checksum-"


@functools.cache
def crt() -> Any:
    """AWS's own checksums. Loaded with the first upload: it takes a tenth of the node's start."""
    from awscrt import checksums

    return checksums


_crc: Mapping[str, Callable[[bytes, int], int]] = {
    "CRC32": zlib.crc32,
    "CRC32C": lambda data, value: int(crt().crc32c(data, value)),
    "CRC64NVME": lambda data, value: int(crt().crc64nvme(data, value)),
}
_combine: Mapping[str, Callable[[int, int, int], int]] = {
    "CRC32": lambda one, two, size: int(crt().combine_crc32(one, two, size)),
    "CRC32C": lambda one, two, size: int(crt().combine_crc32c(one, two, size)),
    "CRC64NVME": lambda one, two, size: int(crt().combine_crc64nvme(one, two, size)),
}


class Digests:
    """MD5 and the checksums of what `update` is given."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crcs = {name: 0 for name in algorithms if name in CRC_BYTES}
        others = [name for name in algorithms if name not in CRC_BYTES]
        self._hashes: dict[str, Any] = {name: hashlib.new(name.lower(), usedforsecurity=False) for name in others}
        self.size = 0

    def update(self, data: bytes) -> None:
        self.size += len(data)
        self._md5.update(data)
        for name, value in self._crcs.items():
            self._crcs[name] = _crc[name](data, value)
        for digest in self._hashes.values():
            digest.update(data)

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    def values(self) -> dict[str, str]:
        """Base64 by algorithm, as the headers have them."""
        crcs = {name: encode_crc(name, value) for name, value in self._crcs.items()}
        return crcs | {name: base64.b64encode(digest.digest()).decode() for name, digest in self._hashes.items()}


def encode_crc(algorithm: str, value: int) -> str:
    return base64.b64encode(value.to_bytes(CRC_BYTES[algorithm], "big")).decode()


def given(request: Mapping[str, Any]) -> dict[str, str]:
    """The checksum that came with a request's headers: at most one. Raises for what is malformed."""
    found = {name: str(request[f"Checksum{name}"]) for name in ALGORITHMS if f"Checksum{name}" in request}
    if len(found) > 1:
        raise errors.invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    for name, value in found.items():
        _refuse_unsupported(name)
        check_form(name, value)
    return found


def _refuse_unsupported(algorithm: str) -> None:
    if algorithm in UNSUPPORTED:
        raise NotImplementedHere(f"the checksum algorithm {algorithm}")


def check_form(algorithm: str, value: str) -> None:
    """A composite value's `-N` is allowed where the caller strips it first."""
    try:
        size = len(base64.b64decode(value, validate=True))
    except binascii.Error:
        size = -1
    if size != SIZES[algorithm]:
        raise errors.invalid_request(f"Value for {HEADER}{algorithm.lower()} header is invalid.")


def wanted(request: Mapping[str, Any], declared: Sequence[str], also: str = "") -> list[str]:
    """The algorithms to compute: what was sent or what a trailer promises, and `also` or else the default."""
    names = list(given(request))
    names += [name.removeprefix(HEADER).upper() for name in declared if name.startswith(HEADER)]
    asked = request.get("ChecksumAlgorithm")
    if asked and not names:
        raise errors.invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found."
        )
    if asked and asked not in names:
        raise errors.invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    for name in names:
        check_algorithm(name)
    if also and also not in names:
        names.append(also)
    return names or [DEFAULT]


def check_algorithm(name: str) -> None:
    if name not in ALGORITHMS:
        raise errors.invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )
    _refuse_unsupported(name)


def compare(promised: Mapping[str, str], computed: Mapping[str, str]) -> None:
    for name, value in promised.items():
        if name in computed and computed[name] != value:
            raise errors.bad_checksum(name)


def of_trailers(trailers: Mapping[str, str]) -> dict[str, str]:
    """Checksums among the trailers, by algorithm."""
    found = {}
    for header, value in trailers.items():
        name = header.lower().removeprefix(HEADER).upper()
        if header.lower().startswith(HEADER) and name in SIZES:
            check_form(name, value)
            found[name] = value
    return found


def decode_md5(text: str) -> bytes:
    """The value of `Content-MD5`."""
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 16:
        raise errors.invalid_digest(text)
    return digest


def composite(algorithm: str, values: Sequence[str]) -> str:
    """The checksum of the parts' checksums, with their number."""
    digests = Digests([algorithm])
    for value in values:
        digests.update(base64.b64decode(value))
    return f"{digests.values()[algorithm]}-{len(values)}"


def combined(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of the whole, from (CRC, size) of its parts."""
    total = 0
    for value, size in parts:
        total = _combine[algorithm](total, int.from_bytes(base64.b64decode(value), "big"), size)
    return encode_crc(algorithm, total)


def type_for(algorithm: str, asked: str | None) -> ChecksumType:
    """A multipart upload's checksum type. Raises where the two do not go together."""
    if algorithm == "CRC64NVME" and asked == "COMPOSITE":
        raise errors.invalid_request(
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."
        )
    if algorithm not in CRC_BYTES and asked == "FULL_OBJECT":
        raise errors.invalid_request(
            f"The FULL_OBJECT checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    if asked == "FULL_OBJECT" or (asked is None and algorithm == "CRC64NVME"):
        return "FULL_OBJECT"
    return "COMPOSITE"


def multipart_etag(etags: Sequence[str]) -> str:
    """AWS: the MD5 of the parts' MD5s, and how many they are. Without quotes."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"
