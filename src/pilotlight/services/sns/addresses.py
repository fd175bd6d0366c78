"""Where a web server that subscribes is, and who may have it posted to.

The cloud posts from its own host, so whoever names the address borrows the host's place in its networks: a person may,
a function may not. What its sandbox keeps from it (the host itself, private networks, IPv6), a subscription of its
does not reach either. The cloud's own address is nobody's, but for HTTP APIs and function URLs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

OPEN_HOSTS = (".execute-api.", ".lambda-url.")
OWN_PAGES = ("/_pilotlight", "/_localstack")
NAME = re.compile(r"[A-Za-z0-9._:%-]+")
AS_THEY_ARE = "%/:=&?~#+!$,;'@()*[]"
LOOKUPS_MAX = 4
"""Threads of their own: a name server that does not answer holds up no one but those who ask for names."""


class Refused(Exception):
    """An address that is not posted to."""


class Credentials(ValueError):
    """A URL with a name or a password in it."""


@dataclass(frozen=True, slots=True)
class Address:
    secure: bool
    host: str
    """In ASCII, IPv6 without brackets."""
    port: int
    path: str
    query: str

    @property
    def target(self) -> str:
        """What a request line holds."""
        return quote((self.path or "/") + (f"?{self.query}" if self.query else ""), safe=AS_THEY_ARE)

    @property
    def authority(self) -> str:
        """What a `Host` header holds."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


def read(url: str) -> Address:
    """Raises ValueError."""
    parts = urlsplit(url)
    if parts.username is not None:
        raise Credentials("it has a name or a password in it")
    host = parts.hostname or ""
    if not host.isascii():
        host = host.encode("idna").decode()
    if parts.scheme not in ("http", "https") or not NAME.fullmatch(host):
        raise ValueError("it is no URL of a web server")
    secure = parts.scheme == "https"
    return Address(secure, host, parts.port or (443 if secure else 80), parts.path, parts.query)


class Addresses:
    """Which of them this cloud posts to. `own` is its URL; `egress` says whether functions may reach the internet."""

    def __init__(self, own: Callable[[], str], *, egress: bool) -> None:
        self._own = own
        self._egress = egress
        self._lookups = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="names")

    async def look_up(self, address: Address, *, guest: bool) -> list[str]:
        """The IP addresses to connect to. A `guest` is a function, or what it set in motion.

        Raises Refused, OSError where the name is unknown, and ValueError where it cannot be one.
        """
        return await asyncio.get_running_loop().run_in_executor(self._lookups, self._look_up, address, guest)

    def _look_up(self, address: Address, guest: bool) -> list[str]:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        places = list(dict.fromkeys(str(one[4][0]) for one in found))
        if self._is_own(address, places):
            if address.path.startswith(OWN_PAGES) or not any(mark in address.host for mark in OPEN_HOSTS):
                raise Refused("it is the cloud itself")
            return places
        if not guest:
            return places
        if not self._egress:
            raise Refused("functions do not reach the internet here (--no-egress), and their subscriptions do not")
        reachable = [place for place in places if ":" not in place]
        if not reachable or not all(_is_of_the_internet(place) for place in reachable):
            raise Refused("a function's subscription reaches public IPv4 addresses only, as the function itself does")
        return reachable

    def _is_own(self, address: Address, places: Sequence[str]) -> bool:
        own = urlsplit(self._own())
        if address.port != own.port:
            return False
        return address.host == own.hostname or any(_is_of_this_host(place) for place in places)


def _is_of_the_internet(place: str) -> bool:
    address = ipaddress.ip_address(place)
    return address.is_global and not address.is_multicast and not _is_of_this_host(place)


def _is_of_this_host(place: str) -> bool:
    """What can be bound is ours: loopback, by whatever way it is written, and the addresses of our interfaces."""
    with socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((place, 0))
        except OSError:
            return False
    return True
