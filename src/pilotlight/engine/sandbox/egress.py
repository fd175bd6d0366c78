"""Whether and how functions reach the internet from here: addresses, forwarding, the firewall's table."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from pathlib import Path
from typing import Any

from pilotlight.engine.sandbox import firewall, network

_RANGE = ipaddress.IPv4Network("198.18.0.0/15")
"""Addresses set apart for tests of network devices: no host has them, and no function sees them elsewhere."""
_PREFIX_BITS = 19
"""One platform's part of the range: 4,096 pairs."""


class Egress:
    """The host's side of all sandboxes' ways out. `mark` tells platforms on one host apart."""

    def __init__(self, mark: int, directory: Path, *, wanted: bool) -> None:
        parts = list(_RANGE.subnets(new_prefix=_PREFIX_BITS))
        self._addresses = parts[mark % len(parts)]
        self._table = f"pilotlight-{mark:08x}"
        self._prefix = f"pl{mark:08x}"
        self._wanted = wanted
        self._turned_on = directory / "forwarding"
        self._reason = "not started" if wanted else "switched off by a setting"
        self.available = False
        self.resolvers: tuple[str, ...] = ()

    def open(self) -> None:
        """Set the host up. Where that cannot be, functions run without egress, and `describe` says why."""
        if not self._wanted:
            return
        try:
            self._open()
        except OSError as error:
            self._reason = f"nftables or forwarding cannot be set up: {error}"
            self.close()

    def _open(self) -> None:
        uplinks = firewall.uplinks()
        if not uplinks:
            self._reason = "the host has no default route"
            return
        self.resolvers = firewall.resolvers()
        closed = tuple(name for name in uplinks if not _forwards(name))
        firewall.install(
            firewall.Rules(
                table=self._table,
                prefix=self._prefix,
                addresses=str(self._addresses),
                resolvers=self.resolvers,
                closed_uplinks=closed,
            )
        )
        self._turned_on.write_text("\n".join(closed))  # before it is done, so that it can be undone
        for name in closed:
            _forwarding(name).write_text("1")
        self.available, self._reason = True, ""

    def close(self) -> None:
        """Undo what `open` did, or what that of a killed predecessor did."""
        self.available = False
        with contextlib.suppress(FileNotFoundError):
            for name in self._turned_on.read_text().split():
                with contextlib.suppress(OSError):
                    _forwarding(name).write_text("0")
            self._turned_on.unlink()
        with contextlib.suppress(OSError):
            firewall.remove(self._table)
        for _index, name in socket.if_nameindex():
            if name.startswith(self._prefix):
                with contextlib.suppress(OSError):
                    network.remove(name)

    def link(self, slot: int) -> dict[str, Any] | None:
        """The way out of the sandbox with this number, as `network.Link` has it."""
        if not self.available:
            return None
        first = int(self._addresses.network_address) + 2 * slot
        return {
            "name": f"{self._prefix}{slot:03x}",
            "host_address": str(ipaddress.IPv4Address(first)),
            "address": str(ipaddress.IPv4Address(first + 1)),
            "resolvers": self.resolvers,
        }

    def describe(self) -> dict[str, Any]:
        if not self.available:
            return {"egress": f"none: {self._reason}"}
        names = ", ".join(self.resolvers) or "none that a function can reach: names do not resolve"
        return {"egress": "internet by IPv4; the host and private networks are out of reach", "resolvers": names}


def _forwarding(name: str) -> Path:
    return Path("/proc/sys/net/ipv4/conf", name, "forwarding")


def _forwards(name: str) -> bool:
    return _forwarding(name).read_text().strip() == "1"
