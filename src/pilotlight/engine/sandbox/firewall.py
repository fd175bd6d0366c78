"""What the host does with packets from sandboxes: nftables, spoken directly, since no tool need be installed.

One table for each platform: nothing from a sandbox is for the host itself, nothing reaches a private
network or another sandbox, answers come back, and what leaves carries the host's address.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.sandbox.netlink import (
    ACKNOWLEDGE,
    APPEND,
    CREATE,
    NETLINK_NETFILTER,
    REQUEST,
    Netlink,
    attribute,
    big_endian,
    message,
    nested,
    text,
)
from pilotlight.engine.sandbox.network import PRIVATE

_SUBSYSTEM = 10 << 8
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_INET = 1
_HOOK_INPUT, _HOOK_FORWARD, _HOOK_OUTPUT, _HOOK_POSTROUTING = 1, 2, 3, 4
_PRIORITY_FIRST, _PRIORITY_SOURCE_NAT = -10, 100
_META_IN, _META_OUT, _META_FAMILY, _META_PROTOCOL = 6, 7, 15, 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_DROP, _ACCEPT = 0, 1
_EQUAL, _DIFFERENT = 0, 1
_ESTABLISHED_OR_RELATED = 6
_SOURCE_AT, _DESTINATION_AT, _PORT_AT = 12, 16, 2
_IPV4 = 2
_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Rules:
    """What a table is made of. `prefix` begins the name of every sandbox's link on the host."""

    table: str
    prefix: str
    addresses: str
    resolvers: Sequence[str]
    closed_uplinks: Sequence[str]
    """Interfaces that did not forward before we asked them to: still nothing but answers to sandboxes."""


def install(rules: Rules) -> None:
    """Make the table, in place of one that a killed predecessor left. Raises OSError where it cannot be had."""
    remove(rules.table)
    table = rules.table
    messages = [
        _message(_NEW_TABLE, text(1, table)),
        _chain(table, "input", "filter", _HOOK_INPUT, _PRIORITY_FIRST),
        _chain(table, "forward", "filter", _HOOK_FORWARD, _PRIORITY_FIRST),
        _chain(table, "postrouting", "nat", _HOOK_POSTROUTING, _PRIORITY_SOURCE_NAT),
    ]
    from_sandbox, to_sandbox = _name(_META_IN, rules.prefix), _name(_META_OUT, rules.prefix)
    for address in rules.resolvers:
        for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
            question = [*_to(f"{address}/32"), *_port(protocol, _DNS_PORT), _verdict(_ACCEPT)]
            messages.append(_rule(table, "input", [*from_sandbox, *question]))
            messages.append(_rule(table, "forward", [*from_sandbox, *question]))
    messages.append(_rule(table, "input", [*from_sandbox, _verdict(_DROP)]))
    for network in PRIVATE:
        messages.append(_rule(table, "forward", [*from_sandbox, *_to(network), _verdict(_DROP)]))
    not_ipv4 = [_meta(_META_FAMILY), _compare(_DIFFERENT, bytes([_IPV4]))]
    messages += [
        _rule(table, "forward", [*from_sandbox, *not_ipv4, _verdict(_DROP)]),
        _rule(table, "forward", [*to_sandbox, *_answers(), _verdict(_ACCEPT)]),
        _rule(table, "forward", [*to_sandbox, _verdict(_DROP)]),
    ]
    for uplink in rules.closed_uplinks:
        others = [*_name(_META_IN, uplink, whole=True), *_name(_META_OUT, rules.prefix, different=True)]
        messages.append(_rule(table, "forward", [*others, _verdict(_DROP)]))
    source = [*_payload(_NETWORK_HEADER, _SOURCE_AT, rules.addresses), _expression("masq")]
    messages.append(_rule(table, "postrouting", [_meta(_META_FAMILY), _compare(_EQUAL, bytes([_IPV4])), *source]))
    _send(messages)


def install_inside(link: str, resolver: str, blocked: Sequence[str]) -> None:
    """In a sandbox's own network namespace: what leaves by `link` is IPv4, and not for the blocked networks."""
    table = "pilotlight"
    out = _name(_META_OUT, link, whole=True)
    not_ipv4 = [_meta(_META_FAMILY), _compare(_DIFFERENT, bytes([_IPV4]))]
    messages = [
        _message(_NEW_TABLE, text(1, table)),
        _chain(table, "output", "filter", _HOOK_OUTPUT, _PRIORITY_FIRST),
        _rule(table, "output", [*out, *not_ipv4, _verdict(_DROP)]),
    ]
    for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
        question = [*_to(f"{resolver}/32"), *_port(protocol, _DNS_PORT), _verdict(_ACCEPT)]
        messages.append(_rule(table, "output", [*out, *question]))
    messages += [_rule(table, "output", [*out, *_to(network), _verdict(_DROP)]) for network in blocked]
    _send(messages)


def remove(table: str) -> None:
    """Remove the table, if there is one."""
    try:
        _send([_message(_DELETE_TABLE, text(1, table), flags=0)])
    except FileNotFoundError:
        return


def resolvers(root: Path = Path("/")) -> tuple[str, ...]:
    """The host's name servers that a sandbox can be let ask. One on the host's loopback is not among them;
    systemd's own resolver names those behind it."""
    for name in ("etc/resolv.conf", "run/systemd/resolve/resolv.conf"):
        try:
            lines = (root / name).read_text().splitlines()
        except OSError:
            continue
        words = [line.split() for line in lines]
        servers = [pair[1] for pair in words if len(pair) > 1 and pair[0] == "nameserver"]
        found = tuple(server for server in servers if _usable(server))
        if found:
            return found[:3]
    return ()


def uplinks(root: Path = Path("/")) -> tuple[str, ...]:
    """Interfaces with a default route: route(5) of /proc."""
    lines = (root / "proc/net/route").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return tuple(sorted({words[0] for words in fields if words[1] == "00000000" and words[7] == "00000000"}))


def _usable(server: str) -> bool:
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback


def _send(messages: Sequence[bytes]) -> None:
    begin = message(_BATCH_BEGIN, REQUEST, struct.pack(">BBH", 0, 0, 10))
    end = message(_BATCH_END, REQUEST, struct.pack(">BBH", 0, 0, 10))
    with Netlink(NETLINK_NETFILTER) as netfilter:
        netfilter.batch("nftables", [begin, *messages, end], len(messages))


def _message(kind: int, body: bytes, flags: int = CREATE) -> bytes:
    return message(_SUBSYSTEM | kind, REQUEST | ACKNOWLEDGE | flags, struct.pack(">BBH", _INET, 0, 0) + body)


def _chain(table: str, name: str, kind: str, hook: int, priority: int) -> bytes:
    hooked = nested(4, big_endian(1, hook), big_endian(2, priority))
    return _message(_NEW_CHAIN, text(1, table) + text(3, name) + hooked + text(7, kind))


def _rule(table: str, chain: str, expressions: Sequence[bytes]) -> bytes:
    return _message(_NEW_RULE, text(1, table) + text(2, chain) + nested(4, *expressions), CREATE | APPEND)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *attributes))


def _meta(key: int) -> bytes:
    return _expression("meta", big_endian(2, key), big_endian(1, 1))


def _compare(operation: int, value: bytes) -> bytes:
    return _expression("cmp", big_endian(1, 1), big_endian(2, operation), nested(3, attribute(1, value)))


def _name(key: int, name: str, *, whole: bool = False, different: bool = False) -> list[bytes]:
    """The interface's name begins with `name`, or is it."""
    value = name.encode().ljust(16, b"\0") if whole else name.encode()
    return [_meta(key), _compare(_DIFFERENT if different else _EQUAL, value)]


def _payload(base: int, offset: int, network: str) -> list[bytes]:
    parsed = ipaddress.IPv4Network(network)
    load = _expression("payload", big_endian(1, 1), big_endian(2, base), big_endian(3, offset), big_endian(4, 4))
    mask = nested(4, attribute(1, parsed.netmask.packed))
    masked = _expression(
        "bitwise", big_endian(1, 1), big_endian(2, 1), big_endian(3, 4), mask, nested(5, attribute(1, bytes(4)))
    )
    return [load, masked, _compare(_EQUAL, parsed.network_address.packed)]


def _to(network: str) -> list[bytes]:
    family = [_meta(_META_FAMILY), _compare(_EQUAL, bytes([_IPV4]))]
    return [*family, *_payload(_NETWORK_HEADER, _DESTINATION_AT, network)]


def _port(protocol: int, port: int) -> list[bytes]:
    load = _expression(
        "payload", big_endian(1, 1), big_endian(2, _TRANSPORT_HEADER), big_endian(3, _PORT_AT), big_endian(4, 2)
    )
    return [
        _meta(_META_PROTOCOL),
        _compare(_EQUAL, bytes([protocol])),
        load,
        _compare(_EQUAL, struct.pack(">H", port)),
    ]


def _answers() -> list[bytes]:
    """Packets of a connection that a sandbox began."""
    state = _expression("ct", big_endian(1, 1), big_endian(2, 0))
    mask = struct.pack("=I", _ESTABLISHED_OR_RELATED)
    masked = _expression(
        "bitwise",
        big_endian(1, 1),
        big_endian(2, 1),
        big_endian(3, 4),
        nested(4, attribute(1, mask)),
        nested(5, attribute(1, bytes(4))),
    )
    return [state, masked, _compare(_DIFFERENT, bytes(4))]


def _verdict(code: int) -> bytes:
    return _expression("immediate", big_endian(1, 0), nested(2, nested(2, big_endian(1, code))))
