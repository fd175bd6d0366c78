"""Pid 1 of a sandbox: builds it, hands its listening socket out, drops everything, and waits.

It starts as a fork of `sandboxd` and at last becomes `cat`, which holds 0.1 MB where a Python would hold
4.4. It runs no code of the function's, and ends with `sandboxd` or when told to; the kernel then ends all
other processes inside, and with them the mounts, the network namespace and the loop device.
"""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.engine.sandbox import channel, enter, linux, mounts, network, slirp, tmp
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
    resolvers: tuple[str, ...]
    seccomp: str
    """As in `enter`'s plan: a function that took over pid 1 would have gained nothing."""
    egress: network.Link | None = None
    template: str = ""
    image: str = ""
    devices: str = ""
    tmp_mb: int = 512
    """Size of /tmp, where it is a tmpfs."""
    groups: bool = True
    ids: tuple[tuple[int, int, int], ...] = ()
    """Rootless: the map of the sandbox's own user namespace."""
    slirp: dict[str, Any] | None = None

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Order:
        link = message.get("egress")
        return cls(
            id=message["id"],
            uid=message["uid"],
            holder_uid=message["holder_uid"],
            ports=tuple(message["ports"]),
            root=message["root"],
            resolvers=tuple(message["resolvers"]),
            seccomp=message["seccomp"],
            egress=network.Link(**{**link, "resolvers": tuple(link["resolvers"])}) if link else None,
            template=message.get("template", ""),
            image=message.get("image", ""),
            devices=message.get("devices", ""),
            tmp_mb=message.get("tmp_mb", 512),
            groups=message.get("groups", True),
            ids=tuple((a, b, c) for a, b, c in message.get("ids", ())),
            slirp=message.get("slirp"),
        )


def run(order: Order, platform: socket.socket, lifeline: int, helper: slirp.Ends | None = None) -> None:
    """The whole life of a holder, from its fork on; never returns."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        listeners, no_egress = _build(order, helper)
        _drop(order)
        news = {"ready": order.id, "no_egress": no_egress}
        channel.send(platform, news, [listener.fileno() for listener in listeners])
        platform.close()
        for listener in listeners:
            listener.close()
        _wait(lifeline)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            channel.send(platform, {"failed": order.id, "reason": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(1)


def _build(order: Order, helper: slirp.Ends | None) -> tuple[list[socket.socket], str]:
    """The listening sockets, and why there is no way out where there should be one."""
    outside = Netlink(NETLINK_ROUTE) if order.egress else None
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    linux.set_hostname("localhost")
    network.raise_loopback()
    if outside is not None and order.egress is not None:
        network.connect(order.egress, outside)
    no_egress = _let_out(order, helper) if helper is not None else ""
    listeners = [_listen(port) for port in order.ports]
    root = Path(order.root)
    mounts.build(root, mounts.Names(order.uid, order.uid, () if no_egress else order.resolvers))
    _tmp(order, root)
    mounts.finish(root)
    return listeners, no_egress


def _let_out(order: Order, helper: slirp.Ends) -> str:
    """Rootless: the firewall first, and only behind it a way out. Without one, functions still reach their cloud."""
    try:
        slirp.block(order.slirp or {})
        os.write(helper.go, b"g")
        slirp.wait_ready(helper.ready)
    except OSError as error:
        return str(error)
    finally:
        os.close(helper.go)
        os.close(helper.ready)
    return ""


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _tmp(order: Order, root: Path) -> None:
    if not order.template:
        size = tmp.memory_options(order.tmp_mb)
        linux.mount("tmp", str(root / "tmp"), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, size)
        os.chown(root / "tmp", order.uid, order.uid)
        return
    tmp.copy_image(Path(order.template), Path(order.image))
    device, path = tmp.attach(Path(order.image), Path(order.devices))
    try:
        tmp.mount(path, root / "tmp", uid=order.uid, gid=order.uid)
    finally:
        os.close(device)


def _drop(order: Order) -> None:
    """Nothing is left to take over here: no capability, no file, an id of its own where there is one to spare."""
    enter.drop_privileges(order.holder_uid, order.holder_uid, groups=order.groups)
    if not order.ids:  # rootless, our parent ends at once; there it is the pid namespace of sandboxd that ends us
        linux.die_with_parent(signal.SIGKILL)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK):
        resource.setrlimit(limit, (0, 0))
    enter.load_seccomp(base64.b64decode(order.seccomp))


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
