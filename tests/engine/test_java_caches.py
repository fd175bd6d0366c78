"""Archives of classes: made beside the function, used when they are there, and never in its way."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.class_caches import ARCHIVE
from pilotlight.engine.runtimes.jvms import Jvms
from tests.engine.conftest import needs_linux
from tests.engine.java import compiled, java
from tests.engine.world import World, world

FOUND = Jvms(strict=False).found()
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed: there is nothing to test with"),
    pytest.mark.skipif(not FOUND, reason="no Java of 17 or newer is installed"),
]
SOURCES = {
    "app.Where": """
        public class Where implements RequestHandler<Object, List<String>> {
          static { System.out.println("endpoint " + reach()); }
          static String reach() {
            try { new java.net.Socket("127.0.0.1", 4566).close(); return "there"; }
            catch (IOException e) { return "none"; } }
          public List<String> handleRequest(Object in, Context c) {
            return Arrays.asList(Where.class.getProtectionDomain().getCodeSource().getLocation().getPath(),
              Where.class.getResource("/note.txt").toString()); } }""",
    "app.Fails": """
        public class Fails implements RequestHandler<Object, String> {
          static { if (System.getenv("AWS_ACCESS_KEY_ID") == null) throw new IllegalStateException("no credentials"); }
          public String handleRequest(Object in, Context c) { return "fine"; } }""",
}


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = compiled(tmp_path_factory.mktemp("cached-code") / "code", SOURCES)
    (made / "note.txt").write_text("a resource")
    return made


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=["plain", pytest.param("namespaces", marks=needs_linux)]
)
async def caching(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp(f"caching-{request.param}")
    async with world(folder, request.param, "exec", init_seconds=20.0, prepared=True) as made:
        made.prepared["java"].delay_seconds = 0.0
        yield made


def fresh(version: FunctionVersion) -> FunctionVersion:
    """The same, for an instance of its own."""
    fresh.count += 1  # type: ignore[attr-defined]
    return replace(version, key=f"{version.key}-{fresh.count}")  # type: ignore[attr-defined]


fresh.count = 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("major", sorted(FOUND))
async def test_a_later_cold_start_uses_the_archive(caching: World, code: Path, major: int) -> None:
    version = java(caching, code, "app.Where", runtime=f"java{major}")
    where, note = await caching.answer(version)
    assert where.endswith(("/var/task/", "/code/"))
    await caching.settled(lambda: caching.prepared["java"].made > 0)
    before = caching.prepared["java"].made
    where, again = await caching.answer(fresh(version))
    assert where.endswith("/app.jar")
    assert again == note  # a file of the package, as ever
    assert caching.prepared["java"].made == before
    await broken(caching, version)
    caching.prepared["java"].made = 0


async def broken(world: World, version: FunctionVersion) -> None:
    """An archive that is none is passed over, and nothing is said of it."""
    [archive] = (one for one in world.prepared["java"].directory.glob(f"*/{ARCHIVE}") if one.stat().st_size > 1000)
    other = archive.with_suffix(".other")
    other.write_bytes(b"no archive at all" * 40)
    other.rename(archive)  # another machine has the old one mapped
    lines = len(world.lines(version))
    assert (await world.answer(fresh(version)))[0].endswith("/app.jar")
    said = [
        text for text in world.lines(version)[lines:] if not text.startswith(("INIT_START", "START", "END", "REPORT"))
    ]
    assert all(text.startswith("endpoint ") for text in said), said


async def test_what_does_not_initialise_alone_goes_without(caching: World, code: Path) -> None:
    version = java(caching, code, "app.Fails", runtime=f"java{max(FOUND)}")
    assert await caching.answer(version) == "fine"
    await caching.settled(lambda: caching.prepared["java"].failed > 0)
    assert await caching.answer(fresh(version)) == "fine"


async def test_options_that_would_spoil_an_archive_do_without_one(caching: World, code: Path) -> None:
    version = java(caching, code, "app.Where", environment={"JAVA_TOOL_OPTIONS": "-Xshare:off"})
    before = {one.name for one in caching.prepared["java"].directory.iterdir()}
    await caching.answer(version)
    assert {one.name for one in caching.prepared["java"].directory.iterdir()} == before
