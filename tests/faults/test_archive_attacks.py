"""Archives that are small to send and large to take: in memory, in inodes, in time, or on the disk."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pilotlight.engine import packages
from pilotlight.engine.images import layers
from pilotlight.engine.images.compression import Counted, ImageInvalid, plain
from pilotlight.engine.packages import PackageInvalid, PackageTooLarge, unpack
from tests.images import entry, tar

MEMORY_BYTES_MAX = 64 << 20


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """What Python takes in here stays small."""
    tracemalloc.start()
    try:
        yield
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < MEMORY_BYTES_MAX, f"{most >> 20} MB"


def directory_entry(name: bytes, *, offset: int = 0, sizes: tuple[int, int, int] = (0, 0, 0), method: int = 0) -> bytes:
    """One line of a zip's directory; `sizes` are checksum, compressed and plain."""
    head = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, method, 0, 0, *sizes, len(name), 0, 0, 0, 0,
                       0o100644 << 16, offset)  # fmt: skip
    return head + name


def local_entry(name: bytes, data: bytes, sizes: tuple[int, int, int], method: int = 0) -> bytes:
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, method, 0, 0, *sizes, len(name), 0) + name + data


def end_record(count: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, size, offset, len(comment)) + (
        comment
    )


def hand_made(content: bytes, entries: list[bytes], *, claimed: int | None = None, comment: bytes = b"") -> bytes:
    directory = b"".join(entries)
    count = len(entries) if claimed is None else claimed
    return content + directory + end_record(count, len(directory), len(content), comment)


# Zips.


@pytest.mark.parametrize("comment", [b"", b"PK\x05\x06" + bytes(18), b"x" * 65_000], ids=["plain", "posing", "long"])
def test_a_million_entries_are_counted_before_they_are_read(target: Path, comment: bytes) -> None:
    """The end record says one."""
    data = hand_made(b"", [directory_entry(b"a")] * 1_000_000, claimed=1, comment=comment)
    with little_memory(), contextlib.suppress(PackageInvalid):
        assert unpack(data, target) == 0
    assert list(target.iterdir()) == []


def test_more_entries_than_the_end_record_can_say(target: Path) -> None:
    """65,536 and one: sixteen bits say one."""
    data = hand_made(b"", [directory_entry(b"d/")] * 65_537)
    assert data[-12:-10] == b"\x01\x00"
    with pytest.raises(PackageInvalid, match="more than 50000 entries"):
        unpack(data, target)


def test_a_package_of_packages_has_few_entries_of_its_own(target: Path) -> None:
    inner = hand_made(b"", [directory_entry(b"a")] * 60_000)
    sizes = (zlib.crc32(inner), len(inner), len(inner))
    data = hand_made(local_entry(b"inner.zip", inner, sizes), [directory_entry(b"inner.zip", sizes=sizes)])
    assert unpack(data, target) == len(inner)


def test_lies_of_a_zip64_record(target: Path) -> None:
    """It says that the directory begins before the file does, or is longer than everything."""
    entries = [directory_entry(b"a")]
    for size, offset in ((47, 1 << 62), (1 << 62, 0), (0, 0), (47, 0xFFFFFFFF)):
        wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, offset)
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(entries[0]), 1)
        data = entries[0] + wide + locator + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        with contextlib.suppress(PackageInvalid):
            assert unpack(data, target) == 0
    assert list(target.iterdir()) == []


def test_entries_that_share_their_bytes(target: Path) -> None:
    """A bomb whose entries all claim one kernel: each counts, and so does reading them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packer.compress(bytes(1 << 20)) + packer.flush()
    sizes = (zlib.crc32(bytes(1 << 20)), len(kernel), 1 << 20)
    data = hand_made(
        local_entry(b"a", kernel, sizes, 8), [directory_entry(b"a", sizes=sizes, method=8) for _ in range(300)]
    )
    assert len(data) < 20_000
    with pytest.raises((PackageInvalid, PackageTooLarge)):
        unpack(data, target)


def test_entries_that_share_bytes_of_which_nothing_comes(target: Path) -> None:
    """Empty blocks of deflate: no size is ever exceeded, and the reading would have no end."""
    kernel = b"\x00\x00\x00\xff\xff" * 200_000 + b"\x01\x00\x00\xff\xff"
    sizes = (0, len(kernel), 0)
    lines = [directory_entry(str(number).encode(), sizes=sizes, method=8) for number in range(40_000)]
    with pytest.raises(PackageInvalid, match="overlap"):
        unpack(hand_made(local_entry(b"a", kernel, sizes, 8), lines), target)


def zipped(names: list[str], mode: int = 0o100644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, b"x")
    return buffer.getvalue()


def test_directories_that_only_paths_imply(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "ENTRIES_MAX", 1000)
    with pytest.raises(PackageInvalid, match="more than 1000 entries"):
        unpack(zipped([f"{number}/" + "a/" * 200 + "b" for number in range(20)]), target)
    assert list(target.iterdir()) == []


def test_a_path_too_deep(target: Path) -> None:
    with pytest.raises(PackageInvalid, match="too deep"):
        unpack(zipped(["a/" * 30_000 + "b"]), target)


@pytest.mark.parametrize(
    ("raw", "left"),
    [(b"a\xff\xfeb", 1), (b"a\0../../b", 1), (b"\0", None), (b"", None), (b".", None), (b"//a", None), (b"./a", 1)],
)
def test_names_that_are_no_text(target: Path, raw: bytes, left: int | None) -> None:
    """They are read as bytes of an old code page, cut at a NUL, or refused: nothing is written elsewhere."""
    sizes = (zlib.crc32(b"x"), 1, 1)
    data = hand_made(local_entry(raw, b"x", sizes), [directory_entry(raw, sizes=sizes)])
    try:
        unpack(data, target)
    except PackageInvalid:
        assert list(target.iterdir()) == []
    else:
        assert len(list(target.iterdir())) == (left or 0)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG])
def test_neither_devices_nor_set_user_id_come_out_of_a_zip(target: Path, kind: int) -> None:
    unpack(zipped(["a"], kind | 0o7777), target)
    assert (target / "a").stat().st_mode == stat.S_IFREG | 0o755


# Layers of container images.


def unpacked(data: bytes, folder: Path, most: int = 1 << 30) -> Path:
    layers.unpack(Counted(plain(io.BytesIO(data)), most), folder)
    return folder


def pax(body: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(body)
    return info.tobuf() + body + bytes(-len(body) % 512)


def file_header(**members: object) -> bytes:
    info = tarfile.TarInfo("file")
    for name, value in members.items():
        setattr(info, name, value)
    return info.tobuf()


def record(name: bytes, value: bytes) -> bytes:
    length = len(name) + len(value) + 3
    while len(str(length)) + len(name) + len(value) + 3 != length:
        length = len(str(length)) + len(name) + len(value) + 3
    return b"%d %s=%s\n" % (length, name, value)


def old_sparse() -> bytes:
    """One byte in it, and a hole of an exabyte before it."""
    block = bytearray(file_header(type=tarfile.GNUTYPE_SPARSE, size=512))
    block[386:398], block[398:410] = b"\x80" + (1 << 60).to_bytes(11, "big"), b"00000000001\0"
    block[483:495] = b"\x80" + ((1 << 60) + 1).to_bytes(11, "big")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(512)


def endless_sparse() -> bytes:
    block = bytearray(old_sparse()[:512])
    block[482] = 1
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    more = (b"00000000001\0" * 42 + b"\1").ljust(512, b"\0")
    return bytes(block) + more * 40_000


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a hole of an exabyte": old_sparse,
    "pieces of a sparse file without end": endless_sparse,
    "a hole, in the words of pax": lambda: (
        pax(record(b"GNU.sparse.map", b"1152921504606846976,1") + record(b"GNU.sparse.size", b"1152921504606846977"))
        + file_header(size=1)
        + bytes(512)
    ),
    "a hole, in the second words of pax": lambda: (
        pax(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0"))
        + file_header(size=1024)
        + bytes(1024)
    ),
    "records that overlap": lambda: pax(b"2 " * 60_000 + b"=") + file_header(),
    "digits without end": lambda: pax(record(b"comment", b"1" * 200_000)) + file_header(),
    "a record longer than its header": lambda: pax(b"900 a=b\n") + file_header(),
    "headers for all files without end": lambda: b"".join(
        pax(record(b"k%d" % n, b"v" * 100_000), tarfile.XGLTYPE) + file_header() for n in range(300)
    ),
    "headers of headers": lambda: pax(record(b"a", b"b")) * 5000 + file_header(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_tar_that_is_large_to_take(target: Path, name: str) -> None:
    data = gzip.compress(HOSTILE[name]() + bytes(1024), 1)
    with little_memory(), pytest.raises(ImageInvalid):
        unpacked(data, target)
    assert sum(path.stat().st_size for path in target.rglob("*")) < 1 << 20


def test_headers_that_real_builders_write_are_taken(target: Path) -> None:
    words = record(b"SCHILY.xattr.user.note", b"\xff\0=\n" * 10) + record(b"path", "späte".encode())
    unpacked(
        pax(record(b"comment", b"c" * 40), tarfile.XGLTYPE) + pax(words) + file_header(size=1) + b"x" * 512, target
    )
    assert (target / "späte").read_bytes() == b"x"


def test_directories_that_only_paths_of_a_layer_imply(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "ENTRIES_MAX", 1000)
    with pytest.raises(ImageInvalid, match="more than 1000 entries"):
        unpacked(tar([(f"{number}/" + "a/" * 200 + "b", b"") for number in range(20)]), target)
    assert sum(1 for _ in target.rglob("*")) <= 1000


@pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts are devices, which root makes")
@pytest.mark.parametrize("name", [".wh...", "a/.wh...", ".wh..", "a/.wh.", "../.wh.a", "/.wh.a", "link/.wh.passwd"])
def test_whiteouts_of_what_is_above(target: Path, name: str) -> None:
    members = [entry("a", tarfile.DIRTYPE), entry("link", tarfile.SYMTYPE, to="/etc"), (name, b"")]
    with pytest.raises(ImageInvalid):
        unpacked(tar(members), target)
    assert list(target.parent.iterdir()) == [target]


def test_a_link_in_one_layer_is_no_way_for_the_next(tmp_path: Path) -> None:
    """Each layer is written by itself: what is a link below is a directory of its own above."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    outside = tmp_path / "outside"
    for folder in (lower, upper, outside):
        folder.mkdir()
    unpacked(tar([entry("way", tarfile.SYMTYPE, to=str(outside))]), lower)
    unpacked(tar([("way/file", b"x")]), upper)
    assert list(outside.iterdir()) == []
    assert (upper / "way/file").read_bytes() == b"x"
    assert not (upper / "way").is_symlink()
