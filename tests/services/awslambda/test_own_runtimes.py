"""`wasip1` over the wire: unmodified boto3 makes and calls such a function."""

from __future__ import annotations

import io
import zipfile

import pytest

from pilotlight.testing.cloud import Cloud
from tests.services.awslambda.wire import make_function, make_role

SAY = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\07\\00\\00\\00")
  (data (i32.const 16) "\\22hello\\22")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"""


@pytest.mark.slow
def test_boto3_makes_and_calls_a_webassembly_function(sqlite_only_cloud: Cloud) -> None:
    wasmtime = pytest.importorskip("wasmtime", reason="wasmtime is not installed: pip install 'pilotlight[wasm]'")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("main.wasm", (2026, 1, 1, 0, 0, 0)), bytes(wasmtime.wat2wasm(SAY)))
    cloud = sqlite_only_cloud
    make_role(cloud)
    made = make_function(cloud, "say", data.getvalue(), Runtime="wasip1", Handler="main.wasm")
    assert made["Runtime"] == "wasip1"
    cloud.client("lambda").get_waiter("function_active_v2").wait(FunctionName="say")
    answer = cloud.client("lambda").invoke(FunctionName="say", Payload=b"{}")
    assert "FunctionError" not in answer
    assert answer["Payload"].read() == b'"hello"'
