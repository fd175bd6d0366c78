"""The only place that rolls dice: ids in the shapes AWS gives them."""

from __future__ import annotations

import os
import random
import secrets

_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_CHANCE_DIGITS = 8192


class Ids:
    """Random ids. A test may hand in a subclass that counts instead."""

    def __init__(self) -> None:
        self._chance = ""
        self._at = 0

    def uuid(self) -> str:
        """A request id, a revision id: `8-4-4-4-12` hex digits."""
        text = self.mark(32)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:]}"

    def mark(self, digits: int) -> str:
        """Hex digits that are no secret, of which each request needs some: trace ids. At most 128."""
        if self._at + digits > len(self._chance):
            self._chance, self._at = os.urandom(_CHANCE_DIGITS // 2).hex(), 0
        self._at += digits
        return self._chance[self._at - digits : self._at]

    def lower(self, length: int) -> str:
        """Lower-case letters and digits: API ids."""
        return "".join(secrets.choice(_LOWER) for _ in range(length))

    def unique(self, prefix: str) -> str:
        """An IAM unique id or access key id: `AROA…`, `AKIA…`, 20 characters with its prefix."""
        return prefix + "".join(secrets.choice(_UPPER) for _ in range(20 - len(prefix)))

    def hex(self, digits: int) -> str:
        return secrets.token_hex((digits + 1) // 2)[:digits]

    def token(self, size_bytes: int = 32) -> str:
        """URL-safe text with `size_bytes` of randomness: lease tokens, pagination salts."""
        return secrets.token_urlsafe(size_bytes)

    def number(self, bits: int) -> int:
        return secrets.randbits(bits)

    def secret(self, size_bytes: int) -> bytes:
        return secrets.token_bytes(size_bytes)


def seeded(seed: object) -> random.Random:
    """Not chance but its look: the same seed gives the same numbers again, so that what used them can be repeated."""
    return random.Random(str(seed))
