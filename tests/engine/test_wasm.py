"""`wasip1` functions: a WebAssembly command for each invocation, in a sandbox like all others."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion, RuntimeUnavailable
from pilotlight.engine.runtimes import wasm as runtime
from tests.engine.world import World

wasmtime = pytest.importorskip("wasmtime", reason="wasmtime is not installed: pip install 'pilotlight[wasm]'")
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

# Answers with the event, unless its second byte (the first is a quote) says: x exit 3, t trap, s spin, g grow by 1 GB,
# e write it to standard error, n answer nothing, v answer the environment, c count the files' bytes in /tmp.
PROGRAM = """
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 200)
  (global $count (mut i32) (i32.const 0))
  (func $say (param $to i32) (param $from i32) (param $size i32)
    (loop $more
      (i32.store (i32.const 0) (local.get $from))
      (i32.store (i32.const 4) (local.get $size))
      (drop (call $write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $from (i32.add (local.get $from) (i32.load (i32.const 8))))
      (local.set $size (i32.sub (local.get $size) (i32.load (i32.const 8))))
      (br_if $more (i32.gt_s (local.get $size) (i32.const 0)))))
  (func (export "_start") (local $end i32) (local $what i32)
    (local.set $end (i32.const 1024))
    (loop $more
      (i32.store (i32.const 0) (local.get $end))
      (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $end (i32.add (local.get $end) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8))))
    (local.set $what (i32.load8_u (i32.const 1025)))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (if (i32.ne (global.get $count) (i32.const 1)) (then (call $exit (i32.const 99))))
    (if (i32.eq (local.get $what) (i32.const 120)) (then (call $exit (i32.const 3))))
    (if (i32.eq (local.get $what) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $what) (i32.const 115)) (then (loop $ever (br $ever))))
    (if (i32.eq (local.get $what) (i32.const 103)) (then
      (if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then unreachable))))
    (if (i32.eq (local.get $what) (i32.const 101)) (then
      (call $say (i32.const 2) (i32.const 1024) (i32.sub (local.get $end) (i32.const 1024)))))
    (if (i32.eq (local.get $what) (i32.const 110)) (then (call $exit (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 118)) (then
      (drop (call $sizes (i32.const 16) (i32.const 20)))
      (drop (call $environ (i32.const 65536) (i32.const 131072)))
      (call $say (i32.const 1) (i32.const 131072) (i32.load (i32.const 20)))
      (call $exit (i32.const 0))))
    (call $say (i32.const 1) (i32.const 1024) (i32.sub (local.get $end) (i32.const 1024)))))
"""
PLACES = ["plain", "sandbox"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> World:
    """Without a sandbox, and in one where the host can."""
    if request.param == "plain":
        made = request.getfixturevalue("plain")
    else:
        made = request.getfixturevalue("anywhere")
        if made.isolation != "namespaces":
            pytest.skip("sandboxes of namespaces need Linux and root")
    assert isinstance(made, World)
    return made


def wasm(world: World, text: str | bytes = PROGRAM, **changes: Any) -> FunctionVersion:
    version = world.version(files={"readme": ""}, **({"runtime": "wasip1", "handler": "main.wasm"} | changes))
    data = wasmtime.wat2wasm(text) if isinstance(text, str) else text
    path = version.code / "main.wasm"
    path.write_bytes(data)
    path.chmod(0o644)
    return version


async def test_the_event_goes_in_and_the_answer_comes_out(place: World) -> None:
    version = wasm(place)
    for value in ({"a": 1}, "ünï", [1, 2, 3], "z" * 1_000_000):
        assert await place.answer(version, value) == value
    assert (await place.invoke(version, payload=b"")).payload == b"{}"  # as on AWS
    assert (await place.invoke(version, "nothing")).payload == b"null"


async def test_each_invocation_is_a_fresh_instance(place: World) -> None:
    version = wasm(place)
    assert [await place.answer(version, number) for number in range(3)] == [0, 1, 2]


async def test_the_environment_tells_of_function_and_request(place: World) -> None:
    version = wasm(place, environment={"MINE": "é"})
    outcome = await place.invoke(version, "v", trace_id="Root=1", client_context='{"custom": {}}')
    found = dict(entry.split("=", 1) for entry in outcome.payload.decode().rstrip("\0").split("\0"))
    assert found["MINE"] == "é"
    assert (found["AWS_LAMBDA_FUNCTION_NAME"], found["_X_AMZN_TRACE_ID"]) == (version.name, "Root=1")
    assert found["AWS_LAMBDA_REQUEST_ID"].startswith("00000000-")
    assert found["AWS_LAMBDA_INVOKED_FUNCTION_ARN"] == version.arn
    assert int(found["AWS_LAMBDA_DEADLINE_MS"]) > place.clock.wall_ms()
    assert found["AWS_LAMBDA_CLIENT_CONTEXT"] == '{"custom": {}}'
    assert "AWS_SESSION_TOKEN" in found


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ("x", "Runtime.ExitError", "exit status 3"),
        ("t", "Runtime.Trap", "wasm trap: wasm `unreachable` instruction executed"),
        ("g", "Runtime.Trap", "wasm trap: wasm `unreachable` instruction executed"),
    ],
)
async def test_how_a_command_fails(place: World, event: str, kind: str, message: str) -> None:
    version = wasm(place, memory_mb=128)
    failure = await place.failure(version, event)
    assert failure == {"errorType": kind, "errorMessage": message}
    assert await place.answer(version, 1) == 1


async def test_a_time_out_ends_it(place: World) -> None:
    version = wasm(place)
    await place.answer(version, 1)
    failure = await place.failure(version, "spin", deadline_ms=place.clock.wall_ms() + 100)
    assert failure["errorType"] == "Sandbox.Timedout"
    assert await place.answer(version, 1) == 1


async def test_standard_error_is_the_log(place: World) -> None:
    version = wasm(place)
    assert await place.answer(version, "error") == "error"
    assert await place.log_line(version, '"error"') == '"error"'


@pytest.mark.parametrize(
    ("text", "handler", "message"),
    [
        (PROGRAM, "other", "other cannot be run: there is no module 'other' in the package"),
        (PROGRAM, "../main", "../main cannot be run: there is no module '../main' in the package"),
        ("(module)", "main", "main cannot be run: it exports no _start, so it is no command"),
        (b"\0asm\1\0\0\0 nonsense", "main", "main cannot be run: "),
        ('(module (import "env" "other" (func)) (func (export "_start")))', "main", ""),
    ],
)
async def test_modules_that_cannot_be_run(place: World, text: str | bytes, handler: str, message: str) -> None:
    failure = await place.failure(wasm(place, text, handler=handler))
    assert failure["errorType"] == ("Runtime.InvalidModule" if message else "Runtime.Trap")
    assert failure["errorMessage"].startswith(message)


async def test_native_code_of_a_package_is_never_loaded(place: World) -> None:
    native = wasmtime.Module(wasmtime.Engine(), wasmtime.wat2wasm(PROGRAM)).serialize()
    failure = await place.failure(wasm(place, bytes(native)))
    assert failure["errorType"] == "Runtime.InvalidModule"
    version = wasm(place)
    (version.code / "module.cwasm").write_bytes(b"\x7fELF not to be touched")
    assert await place.answer(version, 1) == 1


async def test_a_module_is_compiled_once_and_then_started_by_a_spare(place: World) -> None:
    version = wasm(place)
    assert place.wasm.sort(version) is None
    await place.answer(version, 1)
    sort = place.wasm.sort(version)
    assert sort is not None
    place.later(301)
    await place.answer(version, 1)
    await place.settled(lambda: place.agent.spares(sort) > 0)
    place.later(301)
    assert await place.answer(version, 2) == 2


async def test_without_wasmtime_it_says_how_to_get_it(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise runtime.metadata.PackageNotFoundError(name)

    version = wasm(plain)
    monkeypatch.setattr(plain.wasm, "_wasmtime", None)
    monkeypatch.setattr(runtime.metadata, "version", missing)
    with pytest.raises(RuntimeUnavailable, match=r"pip install 'pilotlight\[wasm\]'"):
        await plain.invoke(version)


def rust(source: str, folder: Path) -> bytes | None:
    (folder / "main.rs").write_text(source)
    command = ["rustc", "--target", "wasm32-wasip1", "-O", "-o", str(folder / "main.wasm"), str(folder / "main.rs")]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return (folder / "main.wasm").read_bytes()


RUST = """
use std::{fs, io::Read};
fn main() {
    let mut event = String::new();
    std::io::stdin().read_to_string(&mut event).unwrap();
    let count = fs::read("/tmp/count").map(|text| text.len()).unwrap_or(0) + 1;
    fs::write("/tmp/count", vec![b'x'; count]).unwrap();
    let code = fs::write("/var/task/mine", "x").is_ok();
    let outside = fs::read_dir("/").is_ok() || fs::read("/etc/passwd").is_ok();
    println!("{{\\"event\\": {event}, \\"count\\": {count}, \\"code\\": {code}, \\"outside\\": {outside}}}");
}
"""


async def test_a_rust_function(place: World, tmp_path: Path) -> None:
    built = rust(RUST, tmp_path)
    if built is None:
        pytest.skip("there is no rustc with wasm32-wasip1: rustup target add wasm32-wasip1")
    version = wasm(place, built, handler="main")
    for count in (1, 2):
        outcome = await place.invoke(version, {"a": 1})
        assert json.loads(outcome.payload) == {"event": {"a": 1}, "count": count, "code": False, "outside": False}


async def test_a_module_is_compiled_when_it_is_published(place: World) -> None:
    version = wasm(place)
    assert place.wasm.sort(version) is None
    place.agent.prepare(version)
    await place.settled(lambda: place.wasm.sort(version) is not None)
    assert await place.answer(version, {"a": 1}) == {"a": 1}


async def test_publishing_what_is_no_module_is_told_at_its_first_invocation(place: World) -> None:
    version = wasm(place, b"no module")
    place.agent.prepare(version)
    assert (await place.failure(version))["errorType"] == "Runtime.InvalidModule"
    assert place.wasm.sort(version) is None
