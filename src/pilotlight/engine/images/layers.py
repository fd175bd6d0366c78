"""A layer's tar becomes a directory that the kernel's overlay understands.

A tar is a stranger's. Every name is walked from the layer's own directory, part by part, without following a link, so
that nothing is written elsewhere. Devices and pipes are left out, set-user-id bits are dropped, owners are ignored:
functions run as nobody in particular, as Lambda's do, and read what all may read. Whiteouts become overlay's: a device
0/0 for what is gone, and a mark on a directory that hides the ones below it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tarfile
from pathlib import Path
from typing import Any

from pilotlight.engine.images.compression import Counted, ImageInvalid

ENTRIES_MAX = 1_000_000
"""With the directories that only a path implies."""
DEPTH_MAX = 256
NAME_BYTES_MAX = 4096
HEADER_BYTES_MAX = 1 << 18
GLOBAL_RECORDS_MAX = 64
CHUNK = 1 << 20
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK)  # fmt: skip
_DIGITS = re.compile(rb"[0-9]{65}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Member(tarfile.TarInfo):
    """`tarfile` believes what headers say: how long they are, how often they repeat, and that they are well formed."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > HEADER_BYTES_MAX:
            raise ImageInvalid("a layer has a header without end")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise _sparse(self.name)
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]

    def _proc_pax(self, archive: Any) -> tarfile.TarInfo:
        stream = archive.fileobj
        header = stream.read(self._block(self.size))  # type: ignore[attr-defined]
        _check_records(header)
        archive.fileobj = _Again(header, stream)
        try:
            found: tarfile.TarInfo = super()._proc_pax(archive)  # type: ignore[misc]
        finally:
            archive.fileobj = stream
        if len(archive.pax_headers) > GLOBAL_RECORDS_MAX:
            raise ImageInvalid("a layer has too many headers for all of its files")
        return found

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise _sparse(self.name)


class _Again:
    """Gives what was read already, and then goes on."""

    def __init__(self, kept: bytes, stream: Any) -> None:
        self._kept = kept
        self._stream = stream
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        kept, self._kept = self._kept, b""
        return kept or self._stream.read(size)


def _check_records(header: bytes) -> None:
    """`length name=value`, one after the other. `tarfile` takes records that overlap, of which a small header can have
    so many that they fill the memory; and digits without end keep its expressions busy for hours."""
    place = 0
    while place < len(header) and header[place]:
        space = header.find(b" ", place, place + 8)
        length = header[place:space]
        end = place + int(length) if space > 0 and length.isdigit() else 0
        if end <= space or header[end - 1 : end] != b"\n" or header.find(b"=", space, end) < 0:
            raise ImageInvalid("a layer has a header that cannot be read")
        place = end
    if _DIGITS.search(header):
        raise ImageInvalid("a layer has a header that cannot be read")


def _sparse(name: str) -> ImageInvalid:
    """What it says to be between its pieces may be as long as it likes."""
    return ImageInvalid(f"a layer has a sparse file: {name[:200]!r}")


def unpack(source: Counted, target: Path) -> None:
    """Fill the empty directory `target`. Raises ImageInvalid; what was written so far is the caller's to remove."""
    root = os.open(target, _DIRECTORY)
    try:
        # AWS: files are what they are in the image; only what all may read is readable.
        with tarfile.open(fileobj=source, mode="r|", tarinfo=_Member) as archive:  # type: ignore[call-overload]
            made = _Made()
            for member in archive:
                made.one_more()
                _place(root, archive, member, made)
                archive.members = []  # else each is kept until the end
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise ImageInvalid(f"a layer is no tar: {error}") from None
    finally:
        os.close(root)


class _Made:
    """How much there is by now."""

    def __init__(self) -> None:
        self._count = 0

    def one_more(self) -> None:
        self._count += 1
        if self._count > ENTRIES_MAX:
            raise ImageInvalid(f"a layer has more than {ENTRIES_MAX} entries")


def _place(root: int, archive: tarfile.TarFile, member: tarfile.TarInfo, made: _Made) -> None:
    parts = parts_of(member.name)
    if not parts:
        if member.isdir():
            os.chmod(root, member.mode & 0o777)
        return
    name = parts[-1]
    with contextlib.closing(_Folder(root, parts[:-1], made)) as folder:
        if name.startswith(WHITEOUT):
            _white_out(folder.descriptor, name)
        elif member.isdir():
            _directory(folder.descriptor, name, member)
        elif member.issparse():
            raise _sparse(member.name)
        elif member.isfile():
            _remove(folder.descriptor, name)
            _file(folder.descriptor, name, archive, member)
        elif member.issym():
            _remove(folder.descriptor, name)
            os.symlink(_text(member.linkname), name, dir_fd=folder.descriptor)
        elif member.islnk():
            _hard_link(root, folder.descriptor, name, parts_of(member.linkname), made)


def parts_of(name: str) -> list[str]:
    """A path's parts. Raises ImageInvalid for one that leads out of the image."""
    if name.startswith("/"):
        raise ImageInvalid(f"a layer has an absolute path: {name[:200]!r}")
    parts = [part for part in _text(name).split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageInvalid(f"a layer has a path that leads out of it: {name[:200]!r}")
    if len(parts) > DEPTH_MAX:
        raise ImageInvalid("a layer has directories too deep")
    return parts


def _text(name: str) -> str:
    if "\0" in name or len(os.fsencode(name)) > NAME_BYTES_MAX or not name:
        raise ImageInvalid(f"a layer has a name that cannot be: {name[:200]!r}")
    return name


class _Folder:
    """A directory below the layer's own, opened part by part; made where it is missing."""

    def __init__(self, root: int, parts: list[str], made: _Made) -> None:
        self._made = made
        self.descriptor = os.dup(root)
        try:
            for part in parts:
                self._enter(part)
        except OSError as error:
            self.close()
            raise ImageInvalid(f"a layer's {'/'.join(parts)[:200]!r} is no directory: {error.strerror}") from None

    def _enter(self, part: str) -> None:
        try:
            deeper = os.open(part, _DIRECTORY, dir_fd=self.descriptor)
        except FileNotFoundError:
            self._made.one_more()
            os.mkdir(part, 0o755, dir_fd=self.descriptor)
            deeper = os.open(part, _DIRECTORY, dir_fd=self.descriptor)
        self.close()
        self.descriptor = deeper

    def close(self) -> None:
        os.close(self.descriptor)


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _remove(folder: int, name: str) -> None:
    """What is named twice is what it was last. A directory that is not empty stays in the way, and is refused."""
    found = _status(folder, name)
    if found is None:
        return
    try:
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    except OSError:
        raise ImageInvalid(f"a layer has both a directory and a file {name[:200]!r}") from None


def _directory(folder: int, name: str, member: tarfile.TarInfo) -> None:
    found = _status(folder, name)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        _remove(folder, name)
        found = None
    if found is None:
        os.mkdir(name, 0o755, dir_fd=folder)
    deeper = os.open(name, _DIRECTORY, dir_fd=folder)
    try:
        os.fchmod(deeper, member.mode & 0o777)
    finally:
        os.close(deeper)


def _file(folder: int, name: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    source = archive.extractfile(member)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb", buffering=0) as file:
        while source is not None and (piece := source.read(CHUNK)):
            file.write(piece)
        os.fchmod(file.fileno(), member.mode & 0o777)
        with contextlib.suppress(OverflowError, OSError):  # a time that cannot be
            os.utime(file.fileno(), (member.mtime, member.mtime))


def _hard_link(root: int, folder: int, name: str, target: list[str], made: _Made) -> None:
    if not target:
        raise ImageInvalid(f"a layer has a link to nothing: {name[:200]!r}")
    with contextlib.closing(_Folder(root, target[:-1], made)) as source:
        found = _status(source.descriptor, target[-1])
        if found is None or stat.S_ISDIR(found.st_mode):
            raise ImageInvalid(f"a layer has a hard link to what is not in it: {'/'.join(target)[:200]!r}")
        same = _status(folder, name)
        if same is not None and (same.st_dev, same.st_ino) == (found.st_dev, found.st_ino):
            return
        _remove(folder, name)
        os.link(target[-1], name, src_dir_fd=source.descriptor, dst_dir_fd=folder, follow_symlinks=False)


def _white_out(folder: int, name: str) -> None:
    if name == OPAQUE:
        os.setxattr(folder, "trusted.overlay.opaque", b"y")
        return
    hidden = name.removeprefix(WHITEOUT)
    if hidden.startswith(WHITEOUT):
        return  # another program's notes
    if hidden in ("", ".", ".."):
        raise ImageInvalid(f"a layer takes away what cannot be: {name[:200]!r}")
    # A whiteout is for the layers below: what this one has itself stays.
    if _status(folder, hidden) is None:
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
