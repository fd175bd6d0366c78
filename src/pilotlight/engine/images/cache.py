"""Images on this machine: layers unpacked once by their digest, and what each image is made of.

    layers/DIGEST/       a layer's files
    images/DIGEST.json   an image's configuration and its layers, written when all of them are there
    skeleton/            what lies over every image: places for /proc, /dev, /tmp and our own files of /etc

Plain blocking functions; callers use threads. Everything is made under another name, synced and renamed, so that what
is there is whole.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pilotlight.engine.images import layers
from pilotlight.engine.images.compression import Counted, ImageInvalid, plain
from pilotlight.engine.images.manifest import (
    CONFIG_BYTES_MAX,
    Blob,
    Configuration,
    parse_configuration,
    parse_manifest,
)
from pilotlight.ids import Ids

UNPACKED_BYTES_MAX = 10 * 1024**3
"""AWS: an image has at most 10 GB, uncompressed, with all layers."""
PLACES = ("proc", "dev", "tmp", "etc", "mnt")
FILES = ("etc/hosts", "etc/resolv.conf")
"""What a sandbox puts there itself. They lie over whatever the image has in these places, links included."""

Fetch = Callable[[Blob], Iterator[bytes]]
"""A blob's bytes, from wherever the image is; the cache checks them."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class CachedImage:
    configuration: Configuration
    layers: tuple[Path, ...]
    """The lowest first."""
    skeleton: Path


class ImageCache:
    def __init__(self, directory: Path, ids: Ids) -> None:
        self._layers = directory / "layers"
        self._images = directory / "images"
        self._skeleton = directory / "skeleton"
        self._ids = ids
        self._lock = threading.Lock()
        self._pulling: set[str] = set()
        self._known: dict[str, CachedImage] = {}
        for folder in (self._layers, self._images):
            folder.mkdir(parents=True, exist_ok=True)
            for partial in folder.glob("*.partial"):  # of a process that was killed
                _delete(partial)
        for name in PLACES:
            (self._skeleton / name).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (self._skeleton / name).touch()
        for path in (self._skeleton, *self._skeleton.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def find(self, digest: str) -> CachedImage | None:
        """The image, where it is here and whole."""
        found = self._known.get(digest)
        if found is None:
            try:
                kept = json.loads(self._record(digest).read_text())
            except FileNotFoundError:
                return None
            found = CachedImage(
                Configuration(**{name: _tuples(value) for name, value in kept["configuration"].items()}),
                tuple(self._layers / name for name in kept["layers"]),
                self._skeleton,
            )
            if not all(path.is_dir() for path in found.layers):
                return None
            self._known[digest] = found
        return found

    def pull(self, digest: str, manifest: bytes, fetch: Fetch) -> CachedImage:
        """Get what is missing of an image, and unpack it. Raises ImageInvalid."""
        found = self.find(digest)
        if found is not None:
            return found
        parsed = parse_manifest(manifest)
        names = {blob.digest.removeprefix("sha256:") for blob in parsed.layers}
        with self._lock:
            self._pulling |= names
        try:
            configuration = parse_configuration(_small(parsed.config, fetch))
            if len(configuration.diff_ids) != len(parsed.layers):
                raise ImageInvalid("the configuration does not name the layers of the manifest")
            left = UNPACKED_BYTES_MAX
            for blob, diff_id in zip(parsed.layers, configuration.diff_ids, strict=True):
                left -= self._layer(blob, diff_id, fetch, left)
            kept = {
                "configuration": asdict(configuration),
                "layers": [blob.digest.removeprefix("sha256:") for blob in parsed.layers],
            }
            _write(self._record(digest), json.dumps(kept).encode(), self._ids)
        finally:
            with self._lock:
                self._pulling -= names
        pulled = self.find(digest)
        assert pulled is not None
        return pulled

    def collect(self, used: Collection[str]) -> int:
        """Forget images that are not in `used`, and layers that no image needs; how many layers went."""
        needed: set[str] = set()
        for record in self._images.glob("*.json"):
            digest = f"sha256:{record.stem}"
            if digest in used:
                needed |= set(json.loads(record.read_text())["layers"])
            else:
                record.unlink()
                self._known.pop(digest, None)
        gone = 0
        for folder in list(self._layers.iterdir()):
            name = folder.name.partition(".")[0]
            with self._lock:
                if name in needed or name in self._pulling:
                    continue
            doomed = folder.with_name(f"{name}.{self._ids.hex(8)}.partial")
            folder.rename(doomed)
            _delete(doomed)
            gone += 1
        return gone

    def _record(self, digest: str) -> Path:
        return self._images / f"{digest.removeprefix('sha256:')}.json"

    def _layer(self, blob: Blob, diff_id: str, fetch: Fetch, most: int) -> int:
        """How many bytes it has, unpacked."""
        name = blob.digest.removeprefix("sha256:")
        target, size_file = self._layers / name, self._layers / f"{name}.size"
        if target.is_dir() and size_file.is_file():
            size, known = size_file.read_text().split()
            if int(size) > most:
                raise ImageInvalid("the image is larger than 10 GB when it is unpacked")
            if known != diff_id:
                raise ImageInvalid(f"the layer {blob.digest} is not what the configuration says")
            return int(size)
        partial = self._layers / f"{name}.{self._ids.hex(8)}.partial"
        partial.mkdir(mode=0o755)
        try:
            with tempfile.TemporaryFile(dir=self._layers) as file:
                _download(blob, fetch, file)
                source = _Sized(plain(file), most)
                layers.unpack(source, partial)
                if source.drain() != diff_id:
                    raise ImageInvalid(f"the layer {blob.digest} is not what the configuration says")
            _sync_file_system(partial)
            _write(size_file, f"{source.size} {diff_id}".encode(), self._ids)
            if target.is_dir():  # another image's pull was first
                _delete(partial)
            else:
                partial.rename(target)
        except BaseException:
            _delete(partial)
            raise
        return source.size


class _Sized(Counted):
    size = 0

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        self.size += len(data)
        return data


def _small(blob: Blob, fetch: Fetch) -> bytes:
    if blob.size > CONFIG_BYTES_MAX:
        raise ImageInvalid("the image's configuration is too large")
    with tempfile.SpooledTemporaryFile(CONFIG_BYTES_MAX) as file:
        _download(blob, fetch, file)
        return file.read()


def _download(blob: Blob, fetch: Fetch, file: BinaryIO | tempfile.SpooledTemporaryFile[bytes]) -> None:
    """Raises ImageInvalid where it is not what its digest and size say."""
    digest, left = hashlib.sha256(), blob.size
    for piece in fetch(blob):
        left -= len(piece)
        if left < 0:
            break
        digest.update(piece)
        file.write(piece)
    if left != 0 or f"sha256:{digest.hexdigest()}" != blob.digest:
        raise ImageInvalid(f"the blob {blob.digest} is not what its digest says")
    file.seek(0)


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def _write(path: Path, data: bytes, ids: Ids) -> None:
    partial = path.with_name(f"{path.stem}.{ids.hex(8)}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def _sync_file_system(path: Path) -> None:
    """syncfs(2): one call for a layer's thousands of files."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _libc.syncfs(descriptor)
    finally:
        os.close(descriptor)


def _delete(path: Path) -> None:
    """Whatever modes its directories have."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for folder, names, _ in os.walk(path):
        for name in names:
            deeper = Path(folder, name)
            if not deeper.is_symlink():
                deeper.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
