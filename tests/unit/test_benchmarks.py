"""What `make bench` is told, and what it prints at the end."""

from __future__ import annotations

import pytest
from benchmarks import report
from benchmarks.programs import Missing, built, zipped
from benchmarks.run import chosen


def test_only_some_groups_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLY", "node,idle")
    assert chosen() == ["idle", "node"]
    monkeypatch.setenv("ONLY", "")
    assert {"python", "go", "java", "data"} <= set(chosen())


def test_groups_that_are_none_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLY", "node,cobol")
    with pytest.raises(SystemExit, match="no cobol"):
        chosen()


def test_what_has_the_same_figures_stands_in_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_ROWS", [])
    report.say("a: cold", memory_mb=1769, p50_ms=7.123)
    report.say("one", skipped="no Go")
    report.say("b: cold", memory_mb=128, p50_ms=1234.5)
    assert report.tables().split("\n\n") == [
        "| measure | MB | p50, ms |\n| --- | --- | --- |\n| a: cold | 1,769 | 7.12 |\n| b: cold | 128 | 1,234 |",
        "| measure | skipped |\n| --- | --- |\n| one | no Go |",
    ]


def test_a_toolchain_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr("benchmarks.programs.CACHE", tmp_path_factory.mktemp("cache"))
    with pytest.raises(Missing, match="there is no compiler-of-nothing on this host"):
        built("nothing", {"a": "b"}, ("compiler-of-nothing",))
    with pytest.raises(Missing, match="false"):
        built("nothing", {"a": "b"}, ("false",))


def test_packages_are_the_same_each_time() -> None:
    assert zipped({"a": b"b"}) == zipped({"a": b"b"})
