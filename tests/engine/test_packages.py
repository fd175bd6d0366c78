"""Packages are strangers' zips: what is unpacked, what is refused, and what stays on the disk."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pilotlight.engine import packages
from pilotlight.engine.packages import PackageInvalid, Packages, PackageTooLarge, unpack
from pilotlight.ids import Ids


def zipped(*entries: tuple[str, bytes], modes: dict[str, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = (modes or {}).get(name, 0o100644) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def link(name: str, aim: str) -> bytes:
    return zipped((name, aim.encode()), modes={name: stat.S_IFLNK | 0o777})


def joined(*parts: bytes) -> bytes:
    """One zip with the entries of several, in their order, duplicates included."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part in parts:
            with zipfile.ZipFile(io.BytesIO(part)) as source:
                for entry in source.infolist():
                    archive.writestr(entry, source.read(entry))
    return buffer.getvalue()


@pytest.fixture
def shelf(tmp_path: Path) -> Packages:
    return Packages(tmp_path / "shelf", Ids())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_a_package_is_kept_as_sent_and_unpacked(shelf: Packages) -> None:
    data = zipped(("app.py", b"code"), ("lib/", b""), ("lib/deep/a.txt", b"text"))
    package = shelf.put(data)
    assert package.key == hashlib.sha256(data).hexdigest()
    assert package.sha256 == base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert (package.zipped_bytes, package.unzipped_bytes) == (len(data), 8)
    assert shelf.read(package.key) == data
    folder = shelf.directory(package.key)
    assert (folder / "app.py").read_bytes() == b"code"
    assert (folder / "lib/deep/a.txt").read_bytes() == b"text"
    assert shelf.keys() == {package.key}


def test_the_same_package_twice_is_one(shelf: Packages) -> None:
    data = zipped(("app.py", b"code"))
    assert shelf.put(data) == shelf.put(data)
    assert len(shelf.keys()) == 1


def test_put_at_the_same_time(shelf: Packages) -> None:
    data = zipped(*((f"file{number}", os.urandom(100)) for number in range(50)))
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(shelf.put, [data] * 16))
    assert len(set(results)) == 1
    assert shelf.collect(shelf.keys()) == 0, "something half done was left"
    assert len(list(shelf.directory(results[0].key).iterdir())) == 50


def test_what_was_unpacked_is_made_again_when_it_is_gone(shelf: Packages) -> None:
    key = shelf.put(zipped(("app.py", b"code"))).key
    folder = shelf.directory(key)
    (folder / "app.py").unlink()
    folder.rmdir()
    assert (shelf.directory(key) / "app.py").read_bytes() == b"code"


def test_what_nobody_knows_is_collected(shelf: Packages) -> None:
    kept = shelf.put(zipped(("a", b"1"))).key
    shelf.put(zipped(("b", b"2")))
    (shelf._zips / "half.partial").write_bytes(b"")
    (shelf._unpacked / "half.partial").mkdir()
    assert shelf.collect({kept}) == 4
    assert shelf.keys() == {kept}


@pytest.mark.parametrize("data", [b"", b"not a zip", zipped(("a", b"x" * 100))[:-30]], ids=["empty", "text", "cut"])
def test_what_is_no_zip(shelf: Packages, data: bytes) -> None:
    with pytest.raises(PackageInvalid):
        shelf.put(data)
    assert shelf.keys() == set()
    assert list(shelf._unpacked.iterdir()) == []


def test_content_that_does_not_match_its_checksum(target: Path) -> None:
    data = bytearray(zipped(("a", b"the content of a file")))
    data[35] ^= 0xFF
    with pytest.raises(PackageInvalid):
        unpack(bytes(data), target)


def test_an_encrypted_entry(target: Path) -> None:
    data = bytearray(zipped(("a", b"x")))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(PackageInvalid):
        unpack(bytes(data), target)


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/etc/cron.d/a", "..\\a", "a/..", "x" * 300, "folder/" + "é" * 200]
)
def test_names_that_lead_out_or_are_too_long(target: Path, name: str) -> None:
    with pytest.raises(PackageInvalid):
        unpack(zipped((name, b"x")), target)
    assert sorted(path.name for path in target.parent.iterdir()) == ["target"]


@pytest.mark.parametrize("aim", ["/etc/passwd", "../outside", "a/../../outside", "..", ""])
def test_links_that_lead_out(target: Path, aim: str) -> None:
    with pytest.raises(PackageInvalid):
        unpack(link("way", aim), target)


def test_links_inside_the_package_stay(target: Path) -> None:
    unpack(
        joined(zipped(("lib/real.so", b"x")), link("lib/short.so", "real.so"), link("top.so", "lib/real.so")), target
    )
    assert (target / "lib/short.so").readlink() == Path("real.so")
    assert (target / "top.so").read_bytes() == b"x"


def test_links_that_lead_out_only_together(target: Path) -> None:
    with pytest.raises(PackageInvalid, match="leads out"):
        unpack(joined(link("deep/er/here", "."), link("way", "deep/er/here/../../..")), target)


def test_links_in_a_circle_lead_nowhere_else(target: Path) -> None:
    unpack(joined(link("a", "b"), link("b", "a")), target)
    assert (target / "a").is_symlink()


def test_a_link_is_not_read_beyond_its_longest(target: Path) -> None:
    with pytest.raises(PackageInvalid, match="leads nowhere"):
        unpack(link("way", "x" * 10_000_000), target)


def test_a_link_must_be_text(target: Path) -> None:
    with pytest.raises(PackageInvalid):
        unpack(zipped(("way", b"\xff\xfe"), modes={"way": stat.S_IFLNK | 0o777}), target)


@pytest.mark.parametrize("seed", range(60))
def test_broken_zips_are_refused_or_unpacked_never_a_bug(target: Path, seed: int) -> None:
    data = bytearray(zipped(("a/b.txt", b"some text " * 20), ("c", b"more")))
    data[seed * 7919 % len(data)] ^= 1 << seed % 8
    with contextlib.suppress(PackageInvalid, PackageTooLarge):
        unpack(bytes(data), target)


def test_nothing_is_written_through_a_link(target: Path) -> None:
    with pytest.raises(PackageInvalid, match="through a link"):
        unpack(joined(zipped(("real/a", b"x")), link("way", "real"), zipped(("way/b", b"y"))), target)
    assert not (target / "real/b").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_does_not_replace_a_link_nor_a_link_a_file(target: Path) -> None:
    with pytest.raises(PackageInvalid, match="twice"):
        unpack(joined(zipped(("real", b"x")), link("way", "real"), zipped(("way", b"y"))), target)
    other = target.parent / "other"
    other.mkdir()
    with pytest.raises(PackageInvalid, match="twice"):
        unpack(joined(zipped(("real", b"x")), zipped(("way", b"y")), link("way", "real")), other)


def test_a_file_where_a_directory_is_needed(target: Path) -> None:
    with pytest.raises(PackageInvalid):
        unpack(zipped(("a", b"x"), ("a/b", b"y")), target)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_last_of_two_files_of_a_name_counts(target: Path) -> None:
    unpack(zipped(("a", b"first"), ("a", b"second")), target)
    assert (target / "a").read_bytes() == b"second"


@pytest.mark.parametrize(
    ("mode", "made"),
    [(0o100644, 0o644), (0o100600, 0o644), (0o100755, 0o755), (0o100700, 0o755), (0o104755, 0o755), (0, 0o644)],
)
def test_files_are_readable_by_all_and_never_more_than_executable(target: Path, mode: int, made: int) -> None:
    unpack(zipped(("a", b"x"), modes={"a": mode}), target)
    assert stat.S_IMODE((target / "a").stat().st_mode) == made
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_directories_are_open_to_all(target: Path) -> None:
    before = os.umask(0o077)
    try:
        unpack(zipped(("deep/er/", b""), ("deep/er/a", b"x"), ("side/b", b"x")), target)
    finally:
        os.umask(before)
    for name in ("deep", "deep/er", "side"):
        assert stat.S_IMODE((target / name).stat().st_mode) == 0o755


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_special_files_become_plain_ones(target: Path, kind: int) -> None:
    unpack(zipped(("a", b"x"), modes={"a": kind | 0o644}), target)
    assert (target / "a").is_file()


def test_the_limit_is_counted_and_not_believed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "UNZIPPED_BYTES_MAX", 1000)
    assert unpack(zipped(("a", b"x" * 600), ("b", b"x" * 400)), target) == 1000
    bomb = bytearray(zipped(("a", b"\0" * 5000)))
    where = bomb.index(b"PK\x01\x02") + 24
    bomb[where : where + 4] = (10).to_bytes(4, "little")  # the directory says ten bytes
    other = target.parent / "other"
    other.mkdir()
    with pytest.raises((PackageTooLarge, PackageInvalid)):
        unpack(bytes(bomb), other)
    assert sum(path.stat().st_size for path in other.iterdir()) <= 1000


def test_too_much_altogether(shelf: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "UNZIPPED_BYTES_MAX", 1000)
    with pytest.raises(PackageTooLarge, match="more than 1000 bytes unzipped"):
        shelf.put(zipped(("a", b"x" * 600), ("b", b"x" * 401)))
    assert shelf.keys() == set()
    assert list(shelf._unpacked.iterdir()) == []


@pytest.mark.slow
def test_a_bomb_of_a_gigabyte_stops_at_the_limit(shelf: Packages) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w", force_zip64=True) as f,
    ):
        for _ in range(270):
            f.write(bytes(1 << 20))
    with pytest.raises(PackageTooLarge):
        shelf.put(buffer.getvalue())
    assert list(shelf._unpacked.iterdir()) == []


def test_too_many_entries(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "ENTRIES_MAX", 3)
    with pytest.raises(PackageInvalid, match="more than 3 entries"):
        unpack(zipped(*((str(number), b"") for number in range(4))), target)
