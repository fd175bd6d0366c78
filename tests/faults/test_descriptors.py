"""What a function finds open when it starts: standard input, output and errors, and its one line to the platform.

Anything else would be somebody's: a listener of another sandbox would be a way to its function's requests, and a pidfd
of another's first process a way to end it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator

import pytest

from pilotlight.engine.sandbox import channel
from tests.engine.conftest import anywhere, provided, sandboxed
from tests.engine.test_provided import custom
from tests.engine.world import World

__all__ = ["anywhere", "provided", "sandboxed"]
pytestmark = [pytest.mark.linux, pytest.mark.asyncio(loop_scope="session")]

LOOK = """
import os
FOUND = []
for name in os.listdir("/proc/self/fd"):
    try: FOUND.append((int(name), os.readlink("/proc/self/fd/" + name)))
    except OSError: pass
"""
PYTHON = LOOK + "def handler(event, context): return FOUND\n"
NODE = """
const fs = require("fs");
const found = [];
for (const name of fs.readdirSync("/proc/self/fd")) {
  try { found.push([Number(name), fs.readlinkSync("/proc/self/fd/" + name)]); } catch {}
}
exports.handler = async () => found;
"""
RUBY = """
FOUND = Dir.children("/proc/self/fd").map { |name| [name.to_i, (File.readlink("/proc/self/fd/" + name) rescue nil)] }
def handler(event:, context:) = FOUND
"""
OWN = re.compile(
    r"anon_inode:\[(eventpoll|eventfd|timerfd|io_uring)\]|/proc/\d+/(task/\d+/)?fd|/dev/(null|urandom)|/var/(task|lang)/.*"
)
"""A language's own event loop, and files that it reads."""


def strangers(found: list[tuple[int, str | None]]) -> Iterator[str]:
    """What is open and should not be."""
    sockets = 0
    for number, aim in found:
        if aim is None or OWN.fullmatch(aim) or (number <= 2 and aim.startswith(("pipe:", "socket:"))):
            continue
        sockets += aim.startswith("socket:")
        if not aim.startswith(("socket:", "pipe:")) or sockets > 1:
            yield f"{number}: {aim}"


async def test_what_is_sent_with_a_message_is_not_inherited() -> None:
    ours, theirs = channel.pair()
    with ours, theirs:
        channel.send(ours, {}, [0, 1, 2])
        message, descriptors = channel.receive(theirs)
        flags = [fcntl.fcntl(one, fcntl.F_GETFD) for one in descriptors]
        for one in descriptors:
            os.close(one)
    assert (message, flags) == ({}, [fcntl.FD_CLOEXEC] * 3)


@pytest.mark.slow
async def test_python_by_each_road(sandboxed: World) -> None:
    """The zygote is started while other sandboxes are waiting in the pool."""
    neighbour = sandboxed.version(PYTHON)
    await sandboxed.answer(neighbour)
    assert list(strangers(await sandboxed.answer(sandboxed.version(PYTHON)))) == []


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "name", "source"), [("nodejs20.x", "app.js", NODE), ("ruby3.3", "app.rb", RUBY)])
async def test_other_languages(anywhere: World, runtime: str, name: str, source: str) -> None:
    if shutil.which(runtime.rstrip("js0123456789.x")) is None:
        pytest.skip(f"{runtime} is not installed")
    version = anywhere.version(files={name: source}, runtime=runtime)
    assert list(strangers(await anywhere.answer(version))) == []


@pytest.mark.slow
async def test_a_program_of_its_own(provided: World) -> None:
    if provided.isolation == "plain":
        pytest.skip("without a sandbox a shell starts it")
    version = custom(provided, f"{LOOK}from lambda_client import *\nserve(lambda event, _: FOUND)\n")
    assert list(strangers(await provided.answer(version))) == []
