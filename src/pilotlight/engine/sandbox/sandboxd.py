"""The one trusted helper that makes sandboxes, single-threaded, beside the platform: as root, or in a user namespace.

The platform has threads, and a process with threads can neither join namespaces nor fork safely. This one
is started by exec, takes orders over a socket, and ends with everything it made when that socket closes:
that is how a platform that was killed leaves nothing running.
"""

from __future__ import annotations

import contextlib
import fcntl  # now: inside a sandbox, its files may be a stranger's
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pilotlight.engine.sandbox import channel, enter, holder, linux, mounts, network, slirp, tmp, userns
from pilotlight.engine.sandbox.contract import EXEC_REPORT

_INSIDE_DESCRIPTOR = 200
"""Descriptors on their way into a program are kept above this number, out of the way of their targets."""


class Daemon:
    def __init__(self, platform: socket.socket, *, rootless: bool) -> None:
        self._platform = platform
        self._rootless = rootless
        self._holders: dict[str, int] = {}
        self._pidfds: dict[str, int] = {}
        self._spawned: set[int] = set()
        self._ways_out: dict[str, int] = {}
        """Rootless: what each sandbox's slirp4netns waits on; it ends when this is closed."""
        self._helpers: set[int] = set()
        # A socket and no pipe: where pid 1 has its function's own id, /proc would let the function open a pipe again.
        self._lifeline_out, self._lifeline_in = socket.socketpair()
        self._mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve orders until the platform is gone."""
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the platform's to act on
        signal.set_wakeup_fd(self._wake)
        poll = select.poll()
        poll.register(self._platform, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            for descriptor, _event in poll.poll():
                if descriptor == self._woken:
                    os.read(self._woken, 512)
                elif not self._serve():
                    return
            self._reap()

    def end(self) -> None:
        """End every sandbox; the kernel takes their mounts, networks and loop devices with them."""
        for pid in self._holders.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _serve(self) -> bool:
        try:
            message, descriptors = channel.receive(self._platform)
        except ConnectionResetError:
            return False
        if message is None:
            return False
        try:
            answer, sent = self._act(message, descriptors)
        except (OSError, ValueError, LookupError, TypeError) as error:
            answer, sent = {"error": f"{type(error).__name__}: {error}"}, []
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            channel.send(self._platform, {"answer": message["number"], **answer}, sent)
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            for descriptor in set(sent) - set(self._pidfds.values()):
                os.close(descriptor)
        return True

    def _act(self, message: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
        match message["do"]:
            case "hello":
                return {}, []
            case "make":
                return self._make(holder.Order.from_message(message["order"]))
            case "mount":
                return self._mount(message)
            case "furnish":
                return self._furnish(message)
            case "spawn":
                return self._spawn(message, descriptors)
            case "socket":
                return self._socket(message["id"])
            case "signal":
                return self._signal(message["id"], message["number"])
            case "end":
                return self._end(message["id"])
            case other:
                raise ValueError(f"no order {other!r}")

    def _make(self, order: holder.Order) -> tuple[dict[str, Any], list[int]]:
        """Fork a holder into a new pid namespace; it builds the rest and tells the platform itself."""
        pid = self._fork_inner(order) if order.ids else self._fork_holder(order)
        self._holders[order.id] = pid
        self._pidfds[order.id] = os.pidfd_open(pid)
        return {"pid": pid}, [self._pidfds[order.id]]

    def _fork_holder(self, order: holder.Order) -> int:
        linux.unshare(linux.CLONE_NEWPID)
        try:
            pid = os.fork()
        finally:
            if os.getpid() != 1:
                linux.setns(self._pids, linux.CLONE_NEWPID)
        if pid == 0:
            signal.set_wakeup_fd(-1)
            lifeline = self._lifeline_out.fileno()
            enter.close_others((self._platform.fileno(), lifeline))
            holder.run(order, self._platform, lifeline)
        return pid

    def _fork_inner(self, order: holder.Order) -> int:
        """Rootless: the holder is in a user namespace of its own, and may have slirp4netns beside it."""
        go, going = os.pipe2(os.O_CLOEXEC)
        ready, readying = os.pipe2(os.O_CLOEXEC)
        lifeline = self._lifeline_out.fileno()

        def run() -> None:
            signal.set_wakeup_fd(-1)
            enter.close_others((self._platform.fileno(), lifeline, going, ready))
            holder.run(order, self._platform, lifeline, slirp.Ends(going, ready) if order.slirp else None)

        try:
            pid = userns.fork_inner(order.ids, order.ids, run)
            os.close(going)
            going = -1
            if order.slirp:
                self._start_slirp(order, pid, go, readying)
        finally:
            for descriptor in (go, going, ready, readying):
                if descriptor >= 0:
                    os.close(descriptor)
        return pid

    def _start_slirp(self, order: holder.Order, holder_pid: int, go: int, readying: int) -> None:
        """A child that waits for the holder's network namespace and firewall, and then becomes slirp4netns."""
        ending, self._ways_out[order.id] = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                enter.close_others((go, readying, ending))
                if os.read(go, 1):
                    slirp.execute(order.slirp or {}, holder_pid, readying, ending)
            finally:
                os._exit(1)
        os.close(ending)
        self._helpers.add(pid)

    def _mount(self, message: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Attach what a program needs that is started before anyone knows for which function."""
        trees = mounts.collect(message["directories"], ())
        try:
            linux.setns(self._pidfds[message["id"]], linux.CLONE_NEWNS)
            try:
                mounts.attach_trees(trees)
            finally:
                linux.setns(self._mounts, linux.CLONE_NEWNS)
        finally:
            mounts.close(trees)
        return {}, []

    def _furnish(self, message: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Attach what one function needs, in its sandbox, which no code of the function's has seen yet."""
        trees = mounts.collect(message["directories"], message["layers"], in_user_namespace=self._rootless)
        device = tmp.attach(Path(message["image"]), Path(message["devices"])) if message.get("image") else None
        root = mounts.image_root(message["root"], in_user_namespace=self._rootless) if message["root"] else None
        try:
            linux.setns(self._pidfds[message["id"]], linux.CLONE_NEWNS)
            try:
                if device is not None:
                    linux.unmount("/tmp")
                elif message["tmp_mb"]:
                    flags = linux.MS_REMOUNT | linux.MS_NOSUID | linux.MS_NODEV
                    linux.mount("tmp", "/tmp", "tmpfs", flags, tmp.memory_options(message["tmp_mb"]))
                if root is not None:
                    mounts.replace_root(root)
                else:
                    mounts.place(trees)
            finally:
                linux.setns(self._mounts, linux.CLONE_NEWNS)
            if device is not None:
                self._replace_tmp(message, device[1])
        finally:
            mounts.close(trees)
            if root is not None:
                os.close(root)
            if device is not None:
                os.close(device[0])
        if message["disconnect"] and self._rootless:
            self._hang_up(message["id"])
        elif message["disconnect"]:
            network.disconnect(self._pidfds[message["id"]], self._network)
        return {}, []

    def _replace_tmp(self, message: dict[str, Any], device: str) -> None:
        """A /tmp of another size than the prepared one. The device's node only exists outside."""
        place = Path(message["place"])
        linux.mount(device, str(place), "ext4", linux.MS_NOSUID | linux.MS_NODEV, "noinit_itable")
        tree = None
        try:
            tmp.own(place, uid=message["uid"], gid=message["uid"])
            tree = linux.copy_tree(str(place))
        finally:
            linux.unmount(str(place))
        try:
            linux.setns(self._pidfds[message["id"]], linux.CLONE_NEWNS)
            linux.move_mount(tree, "/tmp")
        finally:
            linux.setns(self._mounts, linux.CLONE_NEWNS)
            os.close(tree)

    def _spawn(self, message: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
        """Start a program inside: the plan's descriptors come first, then the program's own."""
        numbers: list[int] = message["numbers"]
        cut = len(descriptors) - len(numbers)
        pid = enter.fork_into(message["plan"], descriptors[:cut], keep=descriptors[cut:])
        if pid == 0:
            _execute(message, dict(zip(numbers, descriptors[cut:], strict=True)))
        self._spawned.add(pid)
        return {"pid": pid}, []

    def _socket(self, sandbox: str) -> tuple[dict[str, Any], list[int]]:
        """A TCP socket of a sandbox's network. Nothing is connected here: that may take its time."""
        linux.setns(self._pidfds[sandbox], linux.CLONE_NEWNET)
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            linux.setns(self._network, linux.CLONE_NEWNET)
        return {}, [made.detach()]

    def _signal(self, sandbox: str, number: int) -> tuple[dict[str, Any], list[int]]:
        """Rootless, without a cgroup: stop everything inside, or let it go on."""
        if sandbox in self._pidfds:
            userns.signal_all(self._pidfds[sandbox], self._pids, number)
        return {}, []

    def _hang_up(self, sandbox: str) -> None:
        descriptor = self._ways_out.pop(sandbox, None)
        if descriptor is not None:
            os.close(descriptor)

    def _end(self, sandbox: str) -> tuple[dict[str, Any], list[int]]:
        pid = self._holders.get(sandbox)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return {"known": pid is not None}, []

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._tell_end(pid, status)

    def _tell_end(self, pid: int, status: int) -> None:
        message: dict[str, Any] = {"ended": pid, "status": os.waitstatus_to_exitcode(status)}
        for name, holder_pid in list(self._holders.items()):
            if holder_pid == pid:
                del self._holders[name]
                os.close(self._pidfds.pop(name))
                self._hang_up(name)
                message = {"gone": name}
        self._spawned.discard(pid)
        if pid in self._helpers:
            self._helpers.discard(pid)
            return
        with contextlib.suppress(OSError):
            channel.send(self._platform, message)


def _execute(message: dict[str, Any], given: dict[int, int]) -> None:
    """Become the program, inside already, with the descriptors it was given and no other."""
    report = given.pop(EXEC_REPORT, None)
    try:
        if report is not None:
            report = _lift(report)
        null = os.open("/dev/null", os.O_RDWR)
        safe = {number: _lift(given.get(number, null)) for number in {0, 1, 2, *given}}
        for number, descriptor in safe.items():
            os.dup2(descriptor, number, inheritable=True)
        enter.close_others((*given, report) if report is not None else given)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.chdir(message["directory"])
        argv = message["argv"]
        os.execvpe(argv[0], argv, message["environment"])
    except OSError as error:
        if report is not None:
            os.write(report, b"%d" % (error.errno or 0))
        else:
            os.write(2, f"{message['argv'][0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _lift(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _INSIDE_DESCRIPTOR)


def main() -> None:
    """Run with the platform's socket as the descriptor named by the first argument."""
    platform = socket.socket(fileno=int(sys.argv[1]))
    platform.set_inheritable(False)
    try:
        if len(sys.argv) > 2:
            userns.enter_outer(userns.Maps.from_message(json.loads(sys.argv[2])), platform)
        daemon = Daemon(platform, rootless=len(sys.argv) > 2)
    except OSError as error:
        channel.receive(platform)  # an order that were left unread would take our answer from the platform
        channel.send(platform, {"unable": str(error)})
        return
    try:
        daemon.run()
    finally:
        daemon.end()


if __name__ == "__main__":
    main()
