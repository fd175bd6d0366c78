"""Layers become directories: what is kept, what is dropped, and what no layer may do."""

from __future__ import annotations

import ctypes
import ctypes.util
import gzip
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine.images import cache as caching
from pilotlight.engine.images import layers
from pilotlight.engine.images.cache import ImageCache
from pilotlight.engine.images.compression import Counted, ImageInvalid, plain
from pilotlight.engine.images.manifest import Blob
from pilotlight.ids import Ids
from tests.images import Image, digest_of, entry, image, tar

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts are devices, which root makes")


def zstd(data: bytes) -> bytes:
    library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    size = library.ZSTD_compressBound(ctypes.c_size_t(len(data)))
    buffer = ctypes.create_string_buffer(size)
    used = library.ZSTD_compress(buffer, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)), 3)
    return buffer.raw[:used]


def unpacked(data: bytes, target: Path, most: int = 1 << 30) -> Path:
    target.mkdir()
    layers.unpack(Counted(plain(io.BytesIO(data)), most), target)
    return target


def fetch_from(made: Image) -> Any:
    def fetch(blob: Blob) -> Iterator[bytes]:
        data = made.blobs[blob.digest]
        yield from (data[start : start + 1000] for start in range(0, len(data), 1000))

    return fetch


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_content_modes_and_links_are_kept(tmp_path: Path, compress: Any) -> None:
    data = tar(
        [
            entry("deep/er", tarfile.DIRTYPE, mode=0o750),
            ("deep/er/file", b"content" * 100_000, 0o4711),
            entry("link", tarfile.SYMTYPE, to="/bin/anything"),
            entry("hard", tarfile.LNKTYPE, to="deep/er/file"),
            ("./dotted//name", b"x"),
            ("späte\nZeile", b"y"),
        ]
    )
    found = unpacked(compress(data), tmp_path / "layer")
    assert (found / "deep/er/file").read_bytes() == b"content" * 100_000
    assert stat.S_IMODE((found / "deep/er/file").stat().st_mode) == 0o711
    assert stat.S_IMODE((found / "deep/er").stat().st_mode) == 0o750
    assert os.readlink(found / "link") == "/bin/anything"
    assert (found / "hard").stat().st_ino == (found / "deep/er/file").stat().st_ino
    assert ((found / "dotted/name").read_bytes(), (found / "späte\nZeile").read_bytes()) == (b"x", b"y")


@root_only
def test_whiteouts_become_the_kernels_own(tmp_path: Path) -> None:
    found = unpacked(tar([("a/.wh.gone", b""), ("b/.wh..wh..opq", b""), (".wh..wh.plnk", b"")]), tmp_path / "layer")
    gone = (found / "a/gone").lstat()
    assert (stat.S_ISCHR(gone.st_mode), gone.st_rdev) == (True, 0)
    assert os.getxattr(found / "b", "trusted.overlay.opaque") == b"y"
    assert sorted(path.name for path in found.iterdir()) == ["a", "b"]


def test_devices_and_pipes_are_left_out(tmp_path: Path) -> None:
    kinds = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    found = unpacked(tar([entry(f"d{kind!r}", kind) for kind in kinds]), tmp_path / "layer")
    assert list(found.iterdir()) == []


def pax_bomb() -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 33
    return info.tobuf() + bytes(2048)


@pytest.mark.parametrize(
    "data",
    [
        tar([("../out", b"")]),
        tar([("a/../../out", b"")]),
        tar([("/out", b"")]),
        tar([entry("a", tarfile.SYMTYPE, to="/tmp"), ("a/out", b"")]),
        tar([entry("a", tarfile.SYMTYPE, to="."), entry("a/b", tarfile.DIRTYPE)]),
        tar([entry("a", tarfile.LNKTYPE, to="/etc/passwd")]),
        tar([entry("a", tarfile.LNKTYPE, to="../x")]),
        tar([entry("l", tarfile.SYMTYPE, to="/etc"), entry("a", tarfile.LNKTYPE, to="l/passwd")]),
        tar([("a/b", b""), ("a", b"")]),
        tar([("a/.wh...", b"")]),
        tar([("d/" * 300 + "x", b"")]),
        pax_bomb(),
        b"\0" * 100,
        b"something else" * 1000,
        gzip.compress(tar([("a", b"b" * 10_000)]))[:-30],
    ],
)
def test_a_layer_that_misbehaves_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ImageInvalid):
        unpacked(data, tmp_path / "layer")
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/out").exists()


def test_a_kilobyte_that_holds_much_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ImageInvalid, match="10 GB"):
        unpacked(gzip.compress(tar([("zeros", bytes(4 << 20))])), tmp_path / "layer", most=1 << 20)


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "images", Ids())


def test_layers_are_unpacked_once_and_shared(cache: ImageCache, tmp_path: Path) -> None:
    base = tar([("base", b"1")])
    first, second = image([base, tar([("a", b"2")])]), image([base, tar([("b", b"3")])])
    one = cache.pull(first.digest, first.manifest, fetch_from(first))
    two = cache.pull(second.digest, second.manifest, fetch_from(second))
    assert one.layers[0] == two.layers[0]
    assert ImageCache(tmp_path / "images", Ids()).find(first.digest) == one
    assert cache.collect({second.digest}) > 0
    assert cache.find(first.digest) is None
    assert cache.find(second.digest) == two
    assert [(two.layers[0] / "base").is_file(), one.layers[1].exists()] == [True, False]


def test_what_the_registry_sends_must_be_what_its_digest_says(cache: ImageCache) -> None:
    made = image([tar([("a", b"b")])])
    lying = Image(made.manifest, {digest: data[:-1] + b"?" for digest, data in made.blobs.items()})
    with pytest.raises(ImageInvalid, match="digest"):
        cache.pull(made.digest, made.manifest, fetch_from(lying))


def test_layers_must_be_what_the_configuration_says(cache: ImageCache) -> None:
    made, other = image([tar([("a", b"b")])]), image([tar([("other", b"b")])])
    packed = next(one for one in other.blobs.values() if one.startswith(b"\x1f\x8b"))
    wrong = {**made.blobs, digest_of(packed): packed}
    old = next(digest for digest, data in made.blobs.items() if data.startswith(b"\x1f\x8b"))
    size = f'"size": {len(made.blobs[old])}'.encode()
    manifest = made.manifest.replace(old.encode(), digest_of(packed).encode())
    manifest = manifest.replace(size, f'"size": {len(packed)}'.encode())
    with pytest.raises(ImageInvalid, match="configuration"):
        cache.pull(digest_of(manifest), manifest, fetch_from(Image(manifest, wrong)))


def test_an_image_has_a_largest_size_over_all_layers(cache: ImageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "UNPACKED_BYTES_MAX", 300_000)
    made = image([tar([(name, bytes(200_000))]) for name in ("a", "b")])
    with pytest.raises(ImageInvalid, match="10 GB"):
        cache.pull(made.digest, made.manifest, fetch_from(made))
    assert not list((cache._layers).glob("*.partial"))
