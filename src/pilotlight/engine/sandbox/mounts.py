"""What a function sees of files: mount_namespaces(7), pivot_root(2), mount_setattr(2).

The root is a small tmpfs that becomes read-only once the sandbox is taken: the host's `/usr`, read-only and
without setuid; an `/etc` of our own; a handful of devices; the function's code and layers. A breakout
through here would be a file of the host that is in none of these, so nothing is hidden: what is not
attached does not exist.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.sandbox import linux

_READ_ONLY = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9))
_LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"))
_STANDARD_ERROR = ("stderr", "/proc/self/fd/2")
_COPIED = ("ld.so.cache", "localtime", "nsswitch.conf", "services", "protocols", "mime.types", "ssl/openssl.cnf")
_ATTACHED = ("ssl/certs", "alternatives", "pki/tls/certs", "pki/ca-trust/extracted", "fonts")
_HIDDEN_PROC = ("kcore", "keys", "key-users", "timer_list", "sysrq-trigger", "kallsyms", "kmsg", "sched_debug")
_READ_ONLY_PROC = ("sys", "irq", "bus", "fs")
_KEPT = ("/proc", "/dev", "/tmp", "/etc/hosts", "/etc/resolv.conf")
"""What a container image's root takes over from the prepared one."""
_WRITABLE = ("/tmp", "/proc")
"""These are mounts of their own, with their own rules; the others are parts of the root that is left."""
_FIXED = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID
_EMPTY = ("opt", "tmp", "proc", "dev", "etc", "var/task", "var/runtime", "var/lang", "home", "root", "run", "mnt")
ROOT_BYTES = 4 * 1024 * 1024
ROOT_INODES = 2048
USER = "sbx_user1051"
"""AWS: functions run as this user; its home is where the code is not writable."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the sandbox's own /etc says."""

    uid: int
    gid: int
    resolvers: tuple[str, ...] = ()


def build(root: Path, names: Names) -> None:
    """Make the new root at `root`, in a mount namespace of our own; nothing is attached to the host's."""
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    options = f"size={ROOT_BYTES},nr_inodes={ROOT_INODES},mode=755"
    linux.mount("pilotlight", str(root), "tmpfs", linux.MS_NOSUID, options)
    for name in _EMPTY:
        (root / name).mkdir(parents=True, mode=0o755)
    for name in _SYSTEM:
        _system(root, name)
    _etc(root / "etc", names)
    _dev(root / "dev")


def finish(root: Path) -> None:
    """Mount /proc for the pid namespace that the caller is in, and make `root` the root."""
    _proc(root / "proc")
    os.chdir(root)
    linux.pivot_root(".", ".")
    linux.unmount(".")
    os.chdir("/")


def _system(root: Path, name: str) -> None:
    """A directory of the host's system, or the link that merged-/usr systems have in its place."""
    host = Path("/", name)
    if host.is_symlink():
        (root / name).symlink_to(os.readlink(host))
    elif host.is_dir():
        (root / name).mkdir()
        attach(str(host), root / name)


def attach(source: str, target: Path) -> None:
    """Attach a read-only copy of the mounts at `source`, of this namespace."""
    tree = linux.copy_tree(source)
    try:
        linux.set_mount_attributes(tree, _READ_ONLY)
        linux.move_mount(tree, str(target))
    finally:
        os.close(tree)


def _etc(etc: Path, names: Names) -> None:
    for name in _COPIED:
        with contextlib.suppress(FileNotFoundError):
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path("/etc", name), etc / name)
    for name in _ATTACHED:
        if Path("/etc", name).is_dir():
            (etc / name).mkdir(parents=True)
            attach(f"/etc/{name}", etc / name)
    (etc / "passwd").write_text(
        f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:{names.uid}:{names.gid}::/home/{USER}:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    )
    (etc / "group").write_text(f"root:x:0:\n{USER}:x:{names.gid}:\nnogroup:x:65534:\n")
    (etc / "hosts").write_text(
        "127.0.0.1 localhost sandbox.localdomain sandbox localhost.localstack.cloud s3.localhost.localstack.cloud\n"
    )
    (etc / "resolv.conf").write_text("".join(f"nameserver {address}\n" for address in names.resolvers))
    (etc / "hostname").write_text("localhost\n")
    if not (etc / "nsswitch.conf").exists():
        (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def _dev(dev: Path) -> None:
    """Five devices. AWS: there is no /dev/shm, so POSIX semaphores fail in a function as they do there."""
    for name, major, minor in _DEVICES:
        try:
            os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            (dev / name).chmod(0o666)
        except PermissionError:  # in a user namespace, or where a device cgroup forbids it
            (dev / name).touch()
            linux.mount(f"/dev/{name}", str(dev / name), None, linux.MS_BIND)
    for name, target in (*_LINKS, _STANDARD_ERROR):
        (dev / name).symlink_to(target)


def _proc(proc: Path) -> None:
    """Only the function's own processes are listed (hidepid), and nothing of the kernel can be changed."""
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("proc", str(proc), "proc", flags, "hidepid=2")
    for name in _HIDDEN_PROC:
        if (proc / name).exists():
            linux.mount(str(proc.parent / "dev/null"), str(proc / name), None, linux.MS_BIND)
    for name in _READ_ONLY_PROC:
        if (proc / name).is_dir():
            attach(str(proc / name), proc / name)


@dataclass(frozen=True, slots=True)
class Tree:
    """A detached mount on its way into a sandbox."""

    descriptor: int
    target: str


def collect(
    directories: Sequence[tuple[str, str]], layers: Sequence[str], *, in_user_namespace: bool = False
) -> list[Tree]:
    """Detached read-only copies of host directories, and of layers merged, to be placed in a sandbox."""
    trees: list[Tree] = []
    with contextlib.ExitStack() as undo:
        undo.callback(close, trees)
        for source, target in directories:
            trees.append(Tree(linux.copy_tree(source), target))
        if layers:
            trees.append(Tree(_merged(layers, in_user_namespace), "/opt"))
        for tree in trees:
            linux.set_mount_attributes(tree.descriptor, _READ_ONLY)
        undo.pop_all()
    return trees


def _merged(layers: Sequence[str], in_user_namespace: bool) -> int:
    """One layer as it is; several as a read-only overlay, where a later one hides files of an earlier one."""
    if len(layers) == 1:
        return linux.copy_tree(layers[0])
    lower = ":".join(path.replace("\\", "\\\\").replace(":", "\\:") for path in reversed(layers))
    return linux.new_filesystem("overlay", [("lowerdir", lower), *_user_extra(in_user_namespace)])


def _user_extra(in_user_namespace: bool) -> list[tuple[str, str]]:
    """An ordinary user's overlays keep their marks in attributes that an ordinary user can write."""
    return [("userxattr", "")] if in_user_namespace else []


def image_root(layers: Sequence[str], *, in_user_namespace: bool = False) -> int:
    """A detached overlay of an image's layers, the lowest first: read-only, and without setuid or devices."""
    topmost_first = list(reversed(layers))
    extra = _user_extra(in_user_namespace)
    try:
        tree = linux.new_filesystem("overlay", [*(("lowerdir+", path) for path in topmost_first), *extra])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Before Linux 6.8 all directories are one option, which may have 255 characters.
        escaped = [path.replace("\\", "\\\\").replace(":", "\\:") for path in topmost_first]
        tree = linux.new_filesystem("overlay", [("lowerdir", ":".join(escaped)), *extra])
    linux.set_mount_attributes(tree, _READ_ONLY)
    return tree


def replace_root(tree: int) -> None:
    """Make `tree` the root of the sandbox that the caller has joined. What the sandbox itself is made of goes along."""
    kept = []
    try:
        for place in _KEPT:
            kept.append(Tree(linux.copy_tree(place), place))
        linux.move_mount(tree, "/mnt")
        for one in kept:
            if one.target not in _WRITABLE:
                linux.set_mount_attributes(one.descriptor, _FIXED)
            linux.move_mount(one.descriptor, f"/mnt{one.target}")
    finally:
        close(kept)
    os.chdir("/mnt")
    linux.pivot_root(".", ".")
    linux.unmount(".")
    os.chdir("/")


def place(trees: Sequence[Tree]) -> None:
    """Attach trees below `/` of a sandbox that the caller has joined, and make its root read-only."""
    attach_trees(trees)
    linux.mount("none", "/", None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID)


def attach_trees(trees: Sequence[Tree]) -> None:
    """Attach them, and leave the root as it is: there is more to come."""
    for tree in trees:
        target = Path(tree.target)
        _make_place(target)
        linux.move_mount(tree.descriptor, str(target))


def _make_place(target: Path) -> None:
    """A directory to mount on, its parents open to all whatever they are on the host."""
    for parent in (*reversed(target.parents), target):
        with contextlib.suppress(FileExistsError):
            parent.mkdir(mode=0o755)


def close(trees: Sequence[Tree]) -> None:
    for tree in trees:
        os.close(tree.descriptor)
