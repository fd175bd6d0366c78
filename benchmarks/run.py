"""Runs every measure against a cloud of its own, and against Moto's server where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from benchmarks import bursts
from benchmarks.client import Make, Result, Signer, load
from pilotlight.testing.cloud import Cloud, launch, stop

SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
RUNTIME = "python3.12"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
TRIVIAL = "def handler(event, context):\n    return event\n"
CLIENTS = "import boto3\ns3, db = boto3.client('s3'), boto3.client('dynamodb')\n" + TRIVIAL
COLD_STARTS = 40


def say(measure: str, **figures: Any) -> None:
    print(
        json.dumps({"measure": measure, **{k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()}})
    )
    sys.stdout.flush()


def cpu_seconds(root: int) -> float:
    """Of a process and all below it, the dead children included."""
    parents: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pid = int(folder.name)
            parents.setdefault(int(fields[1]), []).append(pid)
            ticks[pid] = sum(int(fields[index]) for index in (11, 12, 13, 14))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += ticks.get(pid, 0)
        waiting += parents.get(pid, [])
    return total / os.sysconf("SC_CLK_TCK")


def package(code: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py", (2026, 1, 1, 0, 0, 0)), code)
    return data.getvalue()


def client(endpoint: str, service: str) -> Any:
    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def function(endpoint: str, name: str, code: str, memory_mb: int) -> None:
    client(endpoint, "lambda").create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/bench",
        Code={"ZipFile": package(code)},
        MemorySize=memory_mb,
        Timeout=30,
    )


def measure(endpoint: str, pid: int, name: str, make: Make, *, callers: int, most: int = 1_000_000) -> Result:
    """One load, with the server's CPU for each request."""
    asyncio.run(load(endpoint, make, callers=callers, seconds=min(0.3, SECONDS), most=most))
    before = cpu_seconds(pid)
    result = asyncio.run(load(endpoint, make, callers=callers, seconds=SECONDS, most=most))
    micros = (cpu_seconds(pid) - before) / max(1.0, result.rate * SECONDS) * 1e6
    say(
        name,
        callers=callers,
        rate=result.rate,
        p50_ms=result.p50,
        p99_ms=result.p99,
        cpu_us=micros,
        failures=result.failures,
    )
    return result


def lambda_measures(cloud: Cloud, pid: int) -> None:
    signer, endpoint = Signer(cloud.endpoint), cloud.endpoint
    client(endpoint, "iam").create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))
    for memory_mb in (1769, 128):
        first = f"first-{memory_mb}"
        function(endpoint, first, TRIVIAL, memory_mb)
        path = f"/2015-03-31/functions/{first}/invocations"
        asyncio.run(load(endpoint, lambda _, p=path: signer.request("lambda", "POST", p, b"{}"), callers=1, seconds=1))
        for kind, code in (("cold", TRIVIAL), ("cold with boto3 and two clients", CLIENTS)):
            names = [f"c{memory_mb}-{len(code)}-{number}" for number in range(COLD_STARTS)]
            for name in names:
                function(endpoint, name, code, memory_mb)
            waiting = iter(names)

            def cold(_: int, waiting: Iterator[str] = waiting) -> bytes:
                time.sleep(0.05)  # the pool of sandboxes is refilled off the cold path
                return signer.request("lambda", "POST", f"/2015-03-31/functions/{next(waiting)}/invocations", b"{}")

            result = asyncio.run(load(endpoint, cold, callers=1, seconds=60, most=COLD_STARTS))
            say(f"invoke, {kind}", memory_mb=memory_mb, p50_ms=result.p50, p99_ms=result.p99, failures=result.failures)

        def warm(_: int, path: str = path) -> bytes:
            return signer.request("lambda", "POST", path, b"{}")

        for callers in (1, 8, 16, 32):
            measure(endpoint, pid, f"invoke, warm, {memory_mb} MB", warm, callers=callers)


def engine_measures(cloud: Cloud, pid: int) -> None:
    lambdas = client(cloud.endpoint, "lambda")

    def make(name: str, code: str, **more: Any) -> None:
        lambdas.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Handler="app.handler",
            Role="arn:aws:iam::000000000000:role/bench",
            Code={"ZipFile": package(code)},
            MemorySize=1769,
            Timeout=30,
            **more,
        )

    bursts.burst_measures(cloud.endpoint, make, say)
    bursts.snapstart_measures(cloud.endpoint, lambdas, make, say)
    bursts.density_measures(cloud.endpoint, pid, make, say, cpu_seconds)


def table_and_bucket(endpoint: str) -> None:
    client(endpoint, "dynamodb").create_table(
        TableName="bench",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    client(endpoint, "s3").create_bucket(Bucket="bench")


def data_measures(endpoint: str, pid: int, label: str) -> None:
    signer, value = Signer(endpoint), "x" * 400
    headers = {"content_type": "application/x-amz-json-1.0"}

    def put(number: int) -> bytes:
        item = json.dumps({"TableName": "bench", "Item": {"id": {"S": str(number)}, "v": {"S": value}}}).encode()
        return signer.request("dynamodb", "POST", "/", item, x_amz_target="DynamoDB_20120810.PutItem", **headers)

    def get(number: int) -> bytes:
        key = json.dumps({"TableName": "bench", "Key": {"id": {"S": str(number % 500)}}}).encode()
        return signer.request("dynamodb", "POST", "/", key, x_amz_target="DynamoDB_20120810.GetItem", **headers)

    body = b"y" * 4096
    loads: dict[str, Make] = {
        "PutItem": put,
        "GetItem": get,
        "S3 put of 4 KiB": lambda number: signer.request("s3", "PUT", f"/bench/{number % 1000}", body),
        "S3 get of 4 KiB": lambda number: signer.request("s3", "GET", f"/bench/{number % 100}"),
    }
    for name, make in loads.items():
        measure(endpoint, pid, f"{label}: {name}", make, callers=16)


def idle_measures(cloud: Cloud, took: float, pid: int) -> None:
    say("start to Ready", seconds=took)
    say("idle memory of the platform (PSS)", mb=bursts.pss_kb(pid) / 1024)


@contextlib.contextmanager
def moto() -> Iterator[tuple[str, int] | None]:
    command = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    if command is None:
        say("moto", skipped="not installed: pip install 'moto[server]' into .venv")
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([command, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as name:
        began = time.perf_counter()
        cloud = launch(Path(name))
        took = time.perf_counter() - began
        assert cloud.process is not None
        pid = cloud.process.pid
        try:
            idle_measures(cloud, took, pid)
            table_and_bucket(cloud.endpoint)
            lambda_measures(cloud, pid)
            engine_measures(cloud, pid)
            data_measures(cloud.endpoint, pid, "pilotlight")
        finally:
            stop(cloud)
    with moto() as peer:
        if peer is not None:
            table_and_bucket(peer[0])
            data_measures(*peer, "moto")


if __name__ == "__main__":
    main()
