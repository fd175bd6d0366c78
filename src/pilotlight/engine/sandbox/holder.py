"""Pid 1 of a sandbox: builds it, hands its listening socket out, drops everything, and waits.

It starts as a fork of `sandboxd` and at last becomes `cat`, which holds 0.1 MB where a Python would hold
4.4. It runs no code of the function's, and ends with `sandboxd` or when told to; the kernel then ends all
other processes inside, and with them the mounts, the network namespace and the loop device.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.engine.sandbox import channel, enter, linux, mounts, network, tmp
from pilotlight.engine.sandbox.netlink import NETLINK_ROUTE, Netlink


@dataclass(frozen=True, slots=True)
class Order:
    """One sandbox to build."""

    id: str
    uid: int
    holder_uid: int
    ports: tuple[int, ...]
    """Listened on inside; the sockets are handed out in this order."""
    root: str
    template: str
    image: str
    devices: str
    resolvers: tuple[str, ...]
    egress: network.Link | None

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Order:
        link = message["egress"]
        return cls(
            id=message["id"],
            uid=message["uid"],
            holder_uid=message["holder_uid"],
            ports=tuple(message["ports"]),
            root=message["root"],
            template=message["template"],
            image=message["image"],
            devices=message["devices"],
            resolvers=tuple(message["resolvers"]),
            egress=network.Link(**{**link, "resolvers": tuple(link["resolvers"])}) if link else None,
        )


def run(order: Order, platform: socket.socket, lifeline: int) -> None:
    """The whole life of a holder, from its fork on; never returns."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        listeners = _build(order)
        _drop(order.holder_uid)
        channel.send(platform, {"ready": order.id}, [listener.fileno() for listener in listeners])
        platform.close()
        for listener in listeners:
            listener.close()
        _wait(lifeline)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            channel.send(platform, {"failed": order.id, "reason": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(1)


def _build(order: Order) -> list[socket.socket]:
    outside = Netlink(NETLINK_ROUTE) if order.egress else None
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    linux.set_hostname("localhost")
    network.raise_loopback()
    if outside is not None and order.egress is not None:
        network.connect(order.egress, outside)
    listeners = [_listen(port) for port in order.ports]
    root = Path(order.root)
    mounts.build(root, mounts.Names(order.uid, order.uid, order.resolvers))
    _tmp(order, root)
    mounts.finish(root)
    return listeners


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _tmp(order: Order, root: Path) -> None:
    if not order.template:
        size = "size=512m,mode=700"
        linux.mount("tmp", str(root / "tmp"), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, size)
        os.chown(root / "tmp", order.uid, order.uid)
        return
    tmp.copy_image(Path(order.template), Path(order.image))
    device, path = tmp.attach(Path(order.image), Path(order.devices))
    try:
        tmp.mount(path, root / "tmp", uid=order.uid, gid=order.uid)
    finally:
        os.close(device)


def _drop(uid: int) -> None:
    """Nothing is left to take over here: no capability, no file, an id of its own."""
    enter.drop_privileges(uid, uid)
    linux.die_with_parent(signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _wait(lifeline: int) -> None:
    """Become `cat` on the lifeline, the smallest program that every host has.

    It ends when `sandboxd`'s end of that pipe closes. Ignoring SIGCHLD, which exec does not undo, makes
    the kernel reap all orphans of the pid namespace.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(lifeline, 0)
    for number in (1, 2):
        os.dup2(null, number)
    enter.close_others(())
    os.execve("/bin/cat", ["pilotlight-holder"], {})
