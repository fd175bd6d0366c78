"""A way to the internet without root: slirp4netns(1), one beside each sandbox.

It speaks TCP and UDP for a sandbox as an ordinary program of the same user, so it would reach what that user reaches.
Three things keep it from that: it refuses the host's loopback; private networks have no route inside; and a firewall
inside, which no function may change, drops what goes to private networks and to the host's own addresses. (The routes
alone would not do: a socket that is bound to the device is sent on its way without one.)
A breakout through here would be a hole in slirp4netns, which runs with seccomp and in a root of its own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.engine.sandbox import firewall, network
from pilotlight.engine.sandbox.netlink import NETLINK_ROUTE, Netlink

_CIDR = "198.18.0.0/24"
"""Addresses set apart for tests of network devices: no host has them."""
_GATEWAY, _RESOLVER = "198.18.0.2", "198.18.0.3"
_TAP = "tap0"
READY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Slirp:
    """What was found. Without a program there is no way out, for `reason`."""

    program: str = ""
    reason: str = ""
    blocked: tuple[str, ...] = field(default=())

    @property
    def available(self) -> bool:
        return bool(self.program)

    @property
    def resolvers(self) -> list[str]:
        return [_RESOLVER] if self.available else []

    def order(self) -> dict[str, Any] | None:
        return {"program": self.program, "blocked": list(self.blocked)} if self.available else None

    def describe(self) -> dict[str, Any]:
        if not self.available:
            return {"egress": f"none, this cloud only: {self.reason}"}
        return {
            "egress": "internet by IPv4, through slirp4netns; the host and private networks are out of reach",
            "resolvers": "the host's, through slirp4netns",
        }


@dataclass(frozen=True, slots=True)
class Ends:
    """What a holder says and hears of slirp4netns, as descriptors."""

    go: int
    ready: int


def find(*, wanted: bool) -> Slirp:
    if not wanted:
        return Slirp(reason="switched off by a setting")
    program = shutil.which("slirp4netns", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if program is None:
        return Slirp(reason="slirp4netns is not installed (apt install slirp4netns)")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return Slirp(reason="/dev/net/tun cannot be opened by this user")
    return Slirp(program, blocked=host_addresses())


def host_addresses(proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Every IPv4 address that is this host's own, as networks of one."""
    found: set[str] = set()
    before = ""
    for line in (proc / "net/fib_trie").read_text().splitlines():
        words = line.split()
        if words[:2] == ["/32", "host"] and words[2:] == ["LOCAL"]:
            found.add(f"{before}/32")
        elif len(words) == 2 and words[0] == "|--":
            before = words[1]
    return tuple(sorted(found))


def block(order: dict[str, Any]) -> None:
    """Before there is any way out: the firewall of the network namespace that the caller is in."""
    own = tuple(address for address in order["blocked"] if not ipaddress.ip_network(address).is_loopback)
    firewall.install_inside(_TAP, _RESOLVER, (*network.PRIVATE, *own))


def execute(order: dict[str, Any], pid: int, ready: int, ending: int) -> None:
    """Become slirp4netns for the sandbox whose pid 1 is `pid`; it ends when the other side of `ending` closes."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.set_inheritable(ready, True)
    os.set_inheritable(ending, True)
    arguments = [
        *(order["program"], "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-seccomp"),
        *("--enable-sandbox", f"--cidr={_CIDR}", f"--ready-fd={ready}", f"--exit-fd={ending}"),
        *("--netns-type=path", f"--userns-path=/proc/{pid}/ns/user", f"/proc/{pid}/ns/net", _TAP),
    ]
    os.execve(arguments[0], arguments, {"PATH": os.defpath})


def wait_ready(ready: int) -> None:
    """In the holder: until slirp4netns is there. Then take private networks' routes, to refuse them at once."""
    if not os.read(ready, 1):
        raise OSError("slirp4netns did not start")
    with Netlink(NETLINK_ROUTE) as own, contextlib.suppress(FileExistsError):
        network.close_private(own)
