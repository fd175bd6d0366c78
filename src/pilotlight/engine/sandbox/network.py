"""A sandbox's own network: network_namespaces(7), veth(4), rtnetlink(7).

Inside there is loopback, where the cloud listens, and one end of a veth pair, which `firewall` lets reach
the internet and nothing else. A breakout through here would be a packet to the host or to a private
network: the sandbox has no route to them, holds no capability to make one, and the host drops them.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from dataclasses import dataclass

from pilotlight.engine.sandbox import linux
from pilotlight.engine.sandbox.netlink import (
    CREATE,
    EXCLUSIVE,
    NETLINK_ROUTE,
    Netlink,
    attribute,
    nested,
    number,
    text,
)

PRIVATE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
)
"""Destinations out of a function's reach. The host's own addresses are, too, whatever they are."""

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1
_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 17, 20, 24
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_NET_NS_FD = 3, 18, 26, 28
_LINK_KIND, _LINK_DATA, _VETH_PEER = 1, 2, 1
_INET_CONF, _DEVCONF_FORWARDING = 1, 1
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, b"\1"
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_TABLE_MAIN, _PROTOCOL_BOOT, _SCOPE_UNIVERSE, _UNICAST, _UNREACHABLE = 254, 3, 0, 1, 7
_INSIDE = "eth0"


@dataclass(frozen=True, slots=True)
class Link:
    """One sandbox's way out: the name of the host's end, both addresses (a /31), and the resolvers it may ask."""

    name: str
    host_address: str
    address: str
    resolvers: tuple[str, ...] = ()


def raise_loopback() -> None:
    """Bring `lo` up in a new namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def connect(link: Link, outside: Netlink) -> None:
    """Join this (new) namespace with the one in which `outside` was opened, and route to it."""
    inside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = _interface() + text(_IFLA_IFNAME, _INSIDE) + number(_IFLA_NET_NS_FD, inside)
        pair = nested(_LINK_DATA, nested(_VETH_PEER, peer))
        body = _interface() + text(_IFLA_IFNAME, link.name)
        body += nested(_IFLA_LINKINFO, text(_LINK_KIND, "veth"), pair)
        outside.request(f"veth {link.name}", _NEW_LINK, body, CREATE | EXCLUSIVE)
    finally:
        os.close(inside)
    _set_up_host_end(link, outside)
    with Netlink(NETLINK_ROUTE) as own:
        own.request("eth0 up", _NEW_LINK, _interface(up=True) + text(_IFLA_IFNAME, _INSIDE))
        index = socket.if_nametoindex(_INSIDE)
        own.request("eth0 address", _NEW_ADDRESS, _address(index, link.address), CREATE | EXCLUSIVE)
        close_private(own)
        for resolver in link.resolvers:
            own.request("resolver", _NEW_ROUTE, _route(f"{resolver}/32", link.host_address, index), CREATE | EXCLUSIVE)
        own.request("default route", _NEW_ROUTE, _route("0.0.0.0/0", link.host_address, index), CREATE | EXCLUSIVE)


def close_private(own: Netlink) -> None:
    """Private networks have no route, in the namespace of `own`: connections to them are refused at once."""
    for private in PRIVATE:
        own.request(f"no route to {private}", _NEW_ROUTE, _route(private, None, 0), CREATE | EXCLUSIVE)


def _set_up_host_end(link: Link, outside: Netlink) -> None:
    """Up, without an IPv6 address to be reached at, and forwarding only what comes from it."""
    inet = nested(socket.AF_INET, nested(_INET_CONF, number(_DEVCONF_FORWARDING, 1)))
    inet6 = nested(socket.AF_INET6, attribute(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE))
    name = text(_IFLA_IFNAME, link.name)
    for family in (inet6, inet):
        try:
            outside.request(f"{link.name} settings", _NEW_LINK, _interface() + name + nested(_IFLA_AF_SPEC, family))
        except OSError:
            if family is inet:
                raise  # without IPv6 there is nothing to set
    outside.request(f"{link.name} up", _NEW_LINK, _interface(up=True) + name)
    index = outside.index(link.name)
    outside.request(f"{link.name} address", _NEW_ADDRESS, _address(index, link.host_address), CREATE | EXCLUSIVE)


def disconnect(pidfd: int, own: int) -> None:
    """Take the way out from the sandbox whose pid 1 is `pidfd`; `own` is our own network namespace.

    The interface is taken down, and with it every route; nothing inside may raise it. Deleting a veth pair would make
    the start wait for 20 ms, against some 4.
    """
    linux.setns(pidfd, linux.CLONE_NEWNET)
    try:
        with Netlink(NETLINK_ROUTE) as inside:
            inside.request("no egress", _NEW_LINK, _interface(down=True) + text(_IFLA_IFNAME, _INSIDE))
    finally:
        linux.setns(own, linux.CLONE_NEWNET)


def remove(name: str) -> None:
    """Delete a veth pair by the host's end."""
    with Netlink(NETLINK_ROUTE) as own:
        own.request(f"remove {name}", _DELETE_LINK, _interface() + text(_IFLA_IFNAME, name))


def _interface(*, up: bool = False, down: bool = False) -> bytes:
    """struct ifinfomsg, with the flags and which of them change; the interface is named by an attribute."""
    return struct.pack("=BBHiII", 0, 0, 0, 0, _IFF_UP if up else 0, _IFF_UP if up or down else 0)


def _address(index: int, address: str) -> bytes:
    value = socket.inet_aton(address)
    return (
        struct.pack("=BBBBI", socket.AF_INET, 31, 0, 0, index)
        + attribute(_IFA_LOCAL, value)
        + attribute(_IFA_ADDRESS, value)
    )


def _route(network: str, gateway: str | None, index: int) -> bytes:
    """A route through a gateway, or, without one, the answer that there is none."""
    address, _, bits = network.partition("/")
    kind = _UNICAST if gateway else _UNREACHABLE
    body = struct.pack(
        "=BBBBBBBBI", socket.AF_INET, int(bits), 0, 0, _TABLE_MAIN, _PROTOCOL_BOOT, _SCOPE_UNIVERSE, kind, 0
    )
    if int(bits):
        body += attribute(_RTA_DST, socket.inet_aton(address))
    if gateway:
        body += attribute(_RTA_GATEWAY, socket.inet_aton(gateway)) + number(_RTA_OIF, index)
    return body
