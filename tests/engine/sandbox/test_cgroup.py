"""Finding cgroups and speaking v2, which few test machines have with all its controllers."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.engine.sandbox import cgroup
from tests.engine.sandbox.conftest import needs_root

UNIFIED = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")


def test_controllers_are_found_below_the_platforms_own_cgroup(tmp_path):
    proc = tmp_path / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("4:memory:/service\n1:cpu,cpuacct:/\n0::/\n")
    (proc / "mountinfo").write_text(
        "30 20 0:26 / /cg/memory rw - cgroup cgroup rw,memory\n"
        "31 20 0:27 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 20 0:28 / /cg/unified rw - cgroup2 cgroup2 rw\n"
    )
    (tmp_path / "cg/memory/service").mkdir(parents=True)
    (tmp_path / "cg/cpu").mkdir()
    (tmp_path / "cg/unified").mkdir()
    (tmp_path / "cg/unified/cgroup.controllers").write_text("pids hugetlb memory\n")
    found = cgroup.find(tmp_path)
    assert found.v1 == {"memory": tmp_path / "cg/memory/service", "cpu": tmp_path / "cg/cpu"}
    assert found.v2_controllers == {"pids"}
    assert found.kind == "hybrid"
    assert found.limits() == ("memory", "cpu", "pids")


def test_a_host_without_cgroups_has_no_limits(tmp_path):
    proc = tmp_path / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("")
    (proc / "mountinfo").write_text("")
    found = cgroup.find(tmp_path)
    assert (found.kind, found.limits()) == ("none", ())


def test_hierarchies_are_remembered_for_a_successor():
    known = cgroup.Hierarchies({"memory": Path("/cg/memory/here")}, Path("/cg/unified"))
    assert cgroup.Hierarchies.from_text(known.to_text()) == known


@pytest.fixture
def v2(tmp_path: Path) -> cgroup.Cgroup:
    """A cgroup of files: what is written can be read."""
    directory = tmp_path / "parent" / "box"
    directory.mkdir(parents=True)
    for name in ("cpu.max", "cgroup.freeze", "memory.max", "memory.swap.max", "pids.max"):
        (directory / name).touch()
    (directory / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (directory / "memory.peak").write_text("50000000\n")
    (directory / "memory.stat").write_text("anon 20000000\nfile 10000000\nshmem 0\n")
    hierarchies = cgroup.Hierarchies({}, tmp_path, frozenset(cgroup.CONTROLLERS))
    return cgroup.Cgroup(hierarchies, "parent/box")


def test_v2_limits_are_written_as_the_kernel_reads_them(v2, tmp_path):
    directory = tmp_path / "parent" / "box"
    v2.create()
    v2.limit_memory(1 << 27)
    v2.limit_cpu(0.5)
    v2.freeze()
    assert (directory / "pids.max").read_text() == "1024"
    assert (directory / "memory.max").read_text() == str(1 << 27)
    assert (directory / "memory.swap.max").read_text() == "0"
    assert (directory / "cpu.max").read_text() == "50000 100000"
    assert (directory / "cgroup.freeze").read_text() == "1"
    v2.thaw()
    assert (directory / "cgroup.freeze").read_text() == "0"


def test_v2_memory_is_read_without_cached_files(v2):
    assert v2.memory_peak_bytes() == 40_000_000
    assert v2.out_of_memory()
    assert not v2.out_of_memory()


@pytest.fixture
def crowded() -> Iterator[tuple[Path, str]]:
    """A real v2 cgroup with a process of its own, and a controller to hand down."""
    for point in map(Path, UNIFIED):
        with contextlib.suppress(OSError):
            controllers = (point / "cgroup.controllers").read_text().split()
            controller = next(name for name in ("hugetlb", "pids", "memory") if name in controllers)
            break
    else:
        pytest.skip("no v2 controller here")
    before = (point / "cgroup.subtree_control").read_text().split()
    (point / "cgroup.subtree_control").write_text(f"+{controller}")
    directory = point / f"pilotlight-test-{os.getpid()}"
    directory.mkdir()
    process = subprocess.Popen(["/bin/sleep", "60"])
    (directory / "cgroup.procs").write_text(str(process.pid))
    yield directory, controller
    process.kill()
    process.wait()
    _remove(directory)
    if controller not in before:
        (point / "cgroup.subtree_control").write_text(f"-{controller}")


def _remove(directory: Path) -> None:
    for child in [path for path in directory.iterdir() if path.is_dir()]:
        _remove(child)
    for _ in range(100_000):  # until the last process is gone
        with contextlib.suppress(OSError):
            directory.rmdir()
            return


@pytest.mark.linux
@needs_root
def test_processes_in_the_way_of_handing_controllers_down_move_aside(crowded):
    directory, controller = crowded
    parent = cgroup.Parent(cgroup.Hierarchies({}, directory, frozenset({controller})), "boxes")
    parent.create()
    assert controller in (directory / "boxes" / "cgroup.subtree_control").read_text().split()
    assert len((directory / cgroup.LEAF / "cgroup.procs").read_text().split()) == 1
