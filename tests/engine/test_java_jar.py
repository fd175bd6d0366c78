"""What ships as the Java bootstrap is what its source says."""

from __future__ import annotations

import shutil
import zipfile

import pytest

from pilotlight.engine.contract import RuntimeUnavailable
from pilotlight.engine.runtimes.jvms import Jvms
from tests.engine import java_jar


def test_the_jar_was_built_of_this_source() -> None:
    assert java_jar.manifest(java_jar.JAR)["Source"] == java_jar.digest(), "run `make java`"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed")
def test_the_source_gives_this_jar() -> None:
    built = java_jar.build()
    if java_jar.compiler() == java_jar.manifest(java_jar.JAR)["Compiler"]:
        assert built == java_jar.JAR.read_bytes()
    else:  # another compiler may order a class's constants otherwise
        with zipfile.ZipFile(java_jar.JAR) as ours:
            assert {java_jar.MANIFEST, *java_jar.classes(built)} == set(ours.namelist())


def test_a_runtime_without_a_machine_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotlight.engine.runtimes.jvms._candidates", lambda: iter(()))
    with pytest.raises(RuntimeUnavailable, match=r"Java 21 is not on this host.*openjdk-21-jre-headless"):
        Jvms(strict=False).for_runtime("java21")
    with pytest.raises(RuntimeUnavailable, match=r"Java 8 is not on this host.*openjdk-17-jre-headless"):
        Jvms(strict=False).for_runtime("java8.al2")
