"""A function's /tmp: its own small file system on disk, with a size and not a byte more.

A tmpfs would be charged to the function's memory. So each sandbox mounts a copy of a prepared, sparse ext4
image through a loop device: loop(4). The image is unlinked as soon as it is attached, and the loop device
clears itself with its last user, so nothing is left whatever is killed. A breakout through here would be
a bug in ext4 on an image that only the kernel has ever written to.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import struct
import subprocess
from pathlib import Path
from subprocess import CalledProcessError

from pilotlight.engine.sandbox import linux

__all__ = ["CalledProcessError", "attach", "copy_image", "make_template", "memory_options", "mount", "own"]

_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A
_AUTOCLEAR, _DIRECT_IO = 4, 16
_LOOP_MAJOR = 7
_BLOCK_BYTES = 4096
_INODE_EVERY_BYTES = 16384
_INODE_BYTES = 256
_KEPT_BACK_BYTES_MAX = 4096 * _BLOCK_BYTES
"""ext4 keeps a fiftieth for itself, to never run out while it writes late, and no more than this."""
_ATTEMPTS = 20
_MEGABYTE = 1024 * 1024


def memory_options(size_mb: int) -> str:
    """For a tmpfs in its place, where there is no disk to be had: mount(2)'s data. The kernel charges what it holds."""
    return f"size={size_mb}m,nr_inodes={size_mb * _MEGABYTE // _INODE_EVERY_BYTES},mode=700"


def make_template(directory: Path, size_mb: int) -> Path:
    """An empty image that has room for `size_mb`; made once for each size."""
    image = directory / f"tmp-{size_mb}.ext4"
    if image.exists():
        return image
    unfinished = image.with_suffix(".new")
    room = size_mb * _MEGABYTE
    inodes = room // _INODE_EVERY_BYTES
    with unfinished.open("wb") as file:
        kept_back = min(room // 50, _KEPT_BACK_BYTES_MAX)
        size = room + kept_back + inodes * _INODE_BYTES + room // 256 + _MEGABYTE
        file.truncate(size // _BLOCK_BYTES * _BLOCK_BYTES)
    command = [
        shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "mkfs.ext4",
        *("-q", "-F", "-m", "0", "-b", str(_BLOCK_BYTES), "-I", str(_INODE_BYTES), "-N", str(inodes)),
        *("-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"),
        str(unfinished),
    ]
    subprocess.run(command, check=True, capture_output=True)
    unfinished.rename(image)
    return image


def copy_image(template: Path, target: Path) -> None:
    """Copy without the holes: a new image takes less than a megabyte."""
    with template.open("rb") as source, target.open("wb") as copy:
        size = os.fstat(source.fileno()).st_size
        copy.truncate(size)
        start = 0
        while start < size:
            try:
                start = os.lseek(source.fileno(), start, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(source.fileno(), start, os.SEEK_HOLE)
            while start < end:
                start += os.copy_file_range(source.fileno(), copy.fileno(), end - start, start, start)


def attach(image: Path, devices: Path) -> tuple[int, str]:
    """Attach and unlink an image: a descriptor that keeps the loop device until it is mounted, and its path."""
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            found = _attach_once(backing, devices)
            if found is not None:
                image.unlink()
                return found
        raise OSError(errno.EBUSY, "no free loop device")
    finally:
        os.close(backing)


def _attach_once(backing: int, devices: Path) -> tuple[int, str] | None:
    """Take the next free device; None when another process was faster."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)
    path = f"/dev/loop{number}"
    if not os.path.exists(path):  # containers do not see devices that are made later
        path = str(devices / f"loop{number}")
        with contextlib.suppress(FileExistsError):
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(_LOOP_MAJOR, number))
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    for flags in (_AUTOCLEAR | _DIRECT_IO, _AUTOCLEAR):
        info = struct.pack("<5Q4I160x16x", 0, 0, 0, 0, 0, 0, 0, 0, flags)
        configuration = struct.pack("<II", backing, _BLOCK_BYTES) + info + bytes(64)
        try:
            fcntl.ioctl(device, _CONFIGURE, configuration)
            return device, path
        except OSError as error:
            if error.errno == errno.EBUSY:
                os.close(device)
                return None
            if flags == _AUTOCLEAR:
                os.close(device)
                raise
    return None


def mount(device: str, target: Path, *, uid: int, gid: int) -> None:
    """Mount an attached image at `target`, empty and the function's own."""
    linux.mount(device, str(target), "ext4", linux.MS_NOSUID | linux.MS_NODEV, "noinit_itable,errors=remount-ro")
    own(target, uid=uid, gid=gid)


def own(target: Path, *, uid: int, gid: int) -> None:
    """AWS: /tmp is empty at first and belongs to the function's user alone."""
    (target / "lost+found").rmdir()
    os.chown(target, uid, gid)
    target.chmod(0o700)
