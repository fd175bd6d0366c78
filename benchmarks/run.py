"""Runs every measure against a cloud of its own, and against Moto's server where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import json
import os
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
from benchmarks.languages import language_measures, warm_of
from benchmarks.peers import OFFLINE_PATH, moto, serverless_offline
from benchmarks.programs import PROGRAMS, node
from benchmarks.report import conditions, load_average, say, tables
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
CALM_SECONDS = 0.06
"""For each caller: whatever was started for it, and to stand ready for the next, is done by then."""


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
    time.sleep(CALM_SECONDS * callers)
    before = cpu_seconds(pid)
    result = asyncio.run(load(endpoint, make, callers=callers, seconds=SECONDS, most=most))
    micros = (cpu_seconds(pid) - before) / max(1, result.count) * 1e6
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


def idle_measures(took: float, pid: int) -> None:
    say("start to Ready", seconds=took)
    say("idle memory of the platform (PSS)", mb=bursts.pss_kb(pid) / 1024)


def peer_measures(cloud: Cloud, pid: int) -> None:
    """Node.js here and in serverless-offline, by turns, so that both have the machine as it is."""
    program = node()
    with serverless_offline(program.settings["Runtime"]) as peer:
        if peer is None:
            return
        lambdas = client(cloud.endpoint, "lambda")
        lambdas.create_function(
            FunctionName="pair",
            Role="arn:aws:iam::000000000000:role/bench",
            Code={"ZipFile": program.package},
            MemorySize=1769,
            **program.settings,
        )
        ours, theirs = warm_of(cloud.endpoint, bursts.path_of("pair")), warm_of(peer[0], OFFLINE_PATH)
        for callers in (1, 8, 32):
            mine = measure(cloud.endpoint, pid, "pilotlight: Node.js, warm", ours, callers=callers)
            other = measure(*peer, "serverless-offline: Node.js, warm", theirs, callers=callers)
            say("pilotlight to serverless-offline", callers=callers, ratio=mine.rate / other.rate)


def chosen() -> list[str]:
    """ONLY=node,go: these groups, else all. Unknown names end the run."""
    groups = ["idle", "python", *PROGRAMS, "bursts", "data"]
    only = [name for name in os.environ.get("ONLY", "").split(",") if name]
    if unknown := set(only) - set(groups):
        sys.exit(f"ONLY knows {', '.join(groups)}, and no {', '.join(sorted(unknown))}")
    return [name for name in groups if not only or name in only]


def measure_all(cloud: Cloud, pid: int, groups: list[str], took: float) -> None:
    client(cloud.endpoint, "iam").create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))
    if "idle" in groups:
        idle_measures(took, pid)
    if "python" in groups:
        lambda_measures(cloud, pid)
    own = functools.partial(measure, cloud.endpoint, pid)
    language_measures(cloud, [name for name in groups if name in PROGRAMS], own)
    if os.environ.get("PEERS"):
        peer_measures(cloud, pid)
    if "bursts" in groups:
        engine_measures(cloud, pid)
    if "data" in groups:
        table_and_bucket(cloud.endpoint)
        data_measures(cloud.endpoint, pid, "pilotlight")


def main() -> None:
    groups, load_before = chosen(), load_average()
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as name:
        began = time.perf_counter()
        cloud = launch(Path(name))
        took = time.perf_counter() - began
        assert cloud.process is not None
        try:
            measure_all(cloud, cloud.process.pid, groups, took)
        finally:
            stop(cloud)
    if "data" in groups:
        with moto() as peer:
            if peer is not None:
                table_and_bucket(peer[0])
                data_measures(*peer, "moto")
    print(f"\n{conditions(load_before)}\n\n{tables()}")


if __name__ == "__main__":
    main()
