"""Addresses of packages that need no signature: `Code.Location` of GetFunction, good for ten minutes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import parse_qs

from pilotlight.clock import Clock
from pilotlight.services.awslambda.surroundings import PackageStore

SECONDS = 600
DIGITS_MAX = 12
PATH = "/_pilotlight/packages/"


class PackageLinks:
    """`base_url` is asked each time, since the port may be known late."""

    def __init__(self, packages: PackageStore, clock: Clock, *, secret: bytes, base_url: Callable[[], str]) -> None:
        self._packages = packages
        self._clock = clock
        self._secret = secret
        self._base_url = base_url

    def link(self, package: str) -> str:
        expires = self._clock.wall_ms() // 1000 + SECONDS
        return f"{self._base_url()}{PATH}{package}?expires={expires}&signature={self._sign(package, expires)}"

    async def open(self, path: str, query: str) -> bytes | None:
        """The zip behind an address that `link` made; None for any other."""
        package = path.removeprefix(PATH)
        values = parse_qs(query)
        expires = values.get("expires", ["0"])[0]
        signature = values.get("signature", [""])[0]
        if not expires.isdecimal() or not expires.isascii() or len(expires) > DIGITS_MAX:
            return None
        if int(expires) < self._clock.wall_ms() // 1000:
            return None
        if not hmac.compare_digest(signature.encode(), self._sign(package, int(expires)).encode()):
            return None
        return await self._packages.read(package)

    def _sign(self, package: str, expires: int) -> str:
        return hmac.new(self._secret, f"{package}:{expires}".encode(), hashlib.sha256).hexdigest()
