"""Packages of functions and layers: the zip as it was sent, and a directory with its content.

Both are named by the zip's own hash and written once: under another name first, then renamed. A zip is a stranger's:
paths lead out, links point out, sizes lie, and a kilobyte may hold a gigabyte.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pilotlight.ids import Ids

UNZIPPED_BYTES_MAX = 262_144_000
"""AWS: 250 MB, with all layers."""
ENTRIES_MAX = 50_000
"""Files, links and directories, those that only a path implies among them."""
NAME_BYTES_MAX = 255
DEPTH_MAX = 256
CHUNK = 1 << 20
LINK_BYTES_MAX = 4095
ENTRY, END, END64 = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"
END_BYTES, ZIP64_BYTES = 22, 76
_BROKEN: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)
_OUR_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)


class PackageInvalid(Exception):
    """No zip, or one with paths that lead out of it; the message says which."""


class PackageTooLarge(Exception):
    """More than 250 MB unzipped, counted while unpacking and not as the zip claims."""


@dataclass(frozen=True, slots=True)
class Package:
    key: str
    sha256: str
    """Base64, as `CodeSha256` shows it."""
    zipped_bytes: int
    unzipped_bytes: int


class Packages:
    """Plain blocking functions over one directory; callers use threads."""

    def __init__(self, directory: Path, ids: Ids) -> None:
        self._zips = directory / "zips"
        self._unpacked = directory / "unpacked"
        self._ids = ids
        for folder in (self._zips, self._unpacked):
            folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> Package:
        """Durable when it returns. Raises PackageInvalid or PackageTooLarge."""
        digest = hashlib.sha256(data)
        key = digest.hexdigest()
        zipped = self._zips / key
        if not zipped.exists():
            partial = self._zips / f"{key}.{self._ids.hex(8)}.partial"
            self._unpack(data, key)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(zipped)
            _sync(self._zips)
        size = sum(path.lstat().st_size for path in self.directory(key).rglob("*") if path.is_file())
        return Package(key, base64.b64encode(digest.digest()).decode(), len(data), size)

    def read(self, key: str) -> bytes:
        return (self._zips / key).read_bytes()

    def directory(self, key: str) -> Path:
        """The unpacked content, made again where it is missing."""
        folder = self._unpacked / key
        if not folder.exists():
            self._unpack(self.read(key), key)
        return folder

    def keys(self) -> set[str]:
        return {path.name for path in self._zips.iterdir() if not path.name.endswith(".partial")}

    def collect(self, known: set[str]) -> int:
        """Remove what nobody knows, and what a kill left half done; how many that were."""
        removed = 0
        for path in [*self._zips.iterdir(), *self._unpacked.iterdir()]:
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _unpack(self, data: bytes, key: str) -> None:
        partial = self._unpacked / f"{key}.{self._ids.hex(8)}.partial"
        partial.mkdir()
        try:
            unpack(data, partial)
            try:
                partial.rename(self._unpacked / key)
            except OSError:  # another was faster with the same content
                if not (self._unpacked / key).exists():
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def unpack(data: bytes, target: Path) -> int:
    """Into an empty directory, readable by everyone; the number of bytes that came out."""
    try:
        _count_entries(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            # Entries may claim the same bytes, each of them anew: whoever reads them all reads for hours.
            if sum(entry.compress_size for entry in entries) > len(data):
                raise PackageInvalid("entries overlap")
            _count_directories(entries)
            total = 0
            for entry in entries:
                total += _unpack_entry(archive, entry, target, UNZIPPED_BYTES_MAX - total)
            _check_links(entries, target)
    except _BROKEN as error:
        raise PackageInvalid(str(error)) from error
    except OSError as error:
        if error.errno in _OUR_TROUBLE:
            raise
        raise PackageInvalid(str(error)) from error
    target.chmod(0o755)
    return total


def _count_entries(data: bytes) -> None:
    """Before `zipfile` makes an object of each."""
    if data.count(ENTRY) <= ENTRIES_MAX:
        return
    # So many, or a package of packages: only the directory counts. It lies before its end record, which says how long
    # it is; the record is looked for as zipfile does.
    end = len(data) - END_BYTES
    if data[end : end + 4] != END or data[-2:] != b"\0\0":
        end = data.rfind(END, max(0, len(data) - END_BYTES - 65_535))
    size = int.from_bytes(data[end + 12 : end + 16], "little")
    wide = end - ZIP64_BYTES
    if wide >= 0 and data[wide : wide + 4] == END64:
        size = max(size, int.from_bytes(data[wide + 40 : wide + 48], "little"))
    if end >= 0 and data.count(ENTRY, max(0, end - size - ZIP64_BYTES), end) > ENTRIES_MAX:
        raise PackageInvalid(f"more than {ENTRIES_MAX} entries")


def _count_directories(entries: Iterable[zipfile.ZipInfo]) -> None:
    """A path of two thousand directories takes a few bytes of a zip, and two thousand inodes of a disk."""
    made: set[PurePosixPath] = set()
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if len(path.parts) > DEPTH_MAX:
            raise PackageInvalid("a path is too deep")
        while path not in made and path.parts:
            made.add(path)
            path = path.parent
        if len(made) > ENTRIES_MAX:
            raise PackageInvalid(f"more than {ENTRIES_MAX} entries")


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, room: int) -> int:
    path = _safe_path(entry.filename, target)
    if path is None:
        return 0
    mode = entry.external_attr >> 16
    if entry.is_dir():
        _make_directory(path)
        return 0
    _make_directory(path.parent)
    if stat.S_ISLNK(mode):
        with archive.open(entry) as source:
            aim = source.read(LINK_BYTES_MAX + 1)
        if not 0 < len(aim) <= LINK_BYTES_MAX:
            raise PackageInvalid(f"the link {entry.filename!r} leads nowhere")
        return _link(aim.decode(), path, target)
    if path.is_symlink() or path.is_dir():
        raise PackageInvalid(f"{entry.filename} is in the package twice")
    written = 0
    with archive.open(entry) as source, path.open("wb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > room:
                raise PackageTooLarge(f"more than {UNZIPPED_BYTES_MAX} bytes unzipped")
            file.write(chunk)
    # AWS: a package's files must be readable by all; we make them so, and keep who may execute.
    path.chmod(0o755 if mode & 0o111 else 0o644)
    return written


def _make_directory(path: Path) -> None:
    """With its parents, open to everyone whatever our umask is."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir()
    path.chmod(0o755)


def _safe_path(name: str, target: Path) -> Path | None:
    """Where an entry goes, or None for the root itself. Raises PackageInvalid."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or "\0" in name:
        raise PackageInvalid(f"{name!r} leads out of the package")
    if any(len(part.encode()) > NAME_BYTES_MAX for part in pure.parts):
        raise PackageInvalid("a file's name is too long")
    path = target.joinpath(*pure.parts)
    # A directory on the way may be a link that came earlier in the zip.
    parent = target
    for part in pure.parts[:-1]:
        parent = parent / part
        if parent.is_symlink():
            raise PackageInvalid(f"{name!r} goes through a link")
    return path if pure.parts else None


def _link(aim: str, path: Path, target: Path) -> int:
    """Links stay inside the package; a link that leads out is refused."""
    pure = PurePosixPath(aim)
    resolved = os.path.normpath(os.path.join(path.parent, aim))
    if pure.is_absolute() or not Path(resolved).is_relative_to(target):
        raise PackageInvalid(f"the link {path.name!r} leads out of the package")
    if path.is_symlink() or path.exists():
        raise PackageInvalid(f"{path.name!r} is in the package twice")
    path.symlink_to(aim)
    return 0


def _check_links(entries: Iterable[zipfile.ZipInfo], target: Path) -> None:
    """Each link seems to stay inside by itself, but several together may lead out: `a -> .` makes `a/..` the parent."""
    inside = Path(os.path.realpath(target))
    for entry in entries:
        path = _safe_path(entry.filename, target)
        if path is not None and path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
            raise PackageInvalid(f"the link {entry.filename!r} leads out of the package")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
