"""The Telemetry API and the Logs API, as an extension with a listener of its own hears them."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtime_api.delivery import WAITING_BYTES_MAX, Delivery
from pilotlight.engine.runtime_api.subscription import Subscription
from tests.engine.test_extensions import end, function, layer
from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session")]

LISTENER = """
import http.server, socket, threading

class Take(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for one in json.loads(body):
            say(self.command, self.path, json.dumps(one))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_PUT = do_POST
    def log_message(self, *arguments):
        pass

def take_lines(listener):
    connection, _ = listener.accept()
    for line in connection.makefile():
        say("TCP", "-", line.strip())

def listen(protocol):
    if protocol == "TCP":
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=take_lines, args=(listener,), daemon=True).start()
        return listener.getsockname()[1]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Take)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]

def subscribe(identifier, body, path="telemetry", version="2022-07-01"):
    headers = {"Lambda-Extension-Identifier": identifier}
    return call("PUT", path, json.dumps(body), headers, version=version)

def destination(protocol, port):
    if protocol == "TCP":
        return {"protocol": "TCP", "port": port}
    return {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/take"}

def request(protocol="HTTP", schema="2022-12-13", types=("platform", "function")):
    buffering = {"timeoutMs": 25, "maxBytes": 262144, "maxItems": 1000}
    place = destination(protocol, listen(protocol))
    return {"schemaVersion": schema, "types": list(types), "destination": place, "buffering": buffering}

identifier = register("ext", ["INVOKE", "SHUTDOWN"]).headers["Lambda-Extension-Identifier"]
"""
GO_ON = """
while True:
    told = event(identifier).json()
    if told["eventType"] == "SHUTDOWN":
        import time
        time.sleep(0.2)
        sys.exit(0)
"""
PRINTS = "def handler(event, context):\n    print('said', event)\n    return event\n"


def events(world: World, version: FunctionVersion, start: str = "POST /take ") -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(start)) for line in world.lines(version) if line.startswith(start)]


def of_kind(world: World, version: FunctionVersion, kind: str, start: str = "POST /take ") -> list[dict[str, Any]]:
    return [one["record"] for one in events(world, version, start) if one["type"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "protocol", "start"), [("python", "HTTP", "POST /take "), ("provided", "TCP", "TCP - ")]
)
async def test_a_subscriber_hears_of_init_and_of_each_invocation(
    provided: World, kind: str, protocol: str, start: str
) -> None:
    source = LISTENER + f"say('told', subscribe(identifier, request({protocol!r})).body.decode())\n" + GO_ON
    options = {"source": PRINTS} if kind == "python" else {}
    version = function(provided, kind, layer(provided, ext=source), **options)
    await provided.answer(version, 5, trace_id="Root=1-a;Sampled=1")
    await provided.quiet()
    await provided.settled(lambda: bool(of_kind(provided, version, "platform.report", start)))
    kinds = [
        one["type"] for one in events(provided, version, start) if one["type"] not in ("function", "platform.extension")
    ]
    assert kinds == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert 'told "OK"' in provided.lines(version)
    assert of_kind(provided, version, "platform.telemetrySubscription", start) == [
        {"name": "ext", "state": "Subscribed", "types": ["platform", "function"]}
    ]
    init = of_kind(provided, version, "platform.initStart", start)[0]
    assert (init["initializationType"], init["phase"], init["functionName"]) == ("on-demand", "init", version.name)
    assert init["instanceMaxMemory"] == 256 * 1_048_576
    assert of_kind(provided, version, "platform.initReport", start)[0]["metrics"]["durationMs"] > 0
    done = of_kind(provided, version, "platform.runtimeDone", start)[0]
    assert (done["status"], done["metrics"]["producedBytes"]) == ("success", 1)
    assert [one["name"] for one in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert done["tracing"] == {"type": "X-Amzn-Trace-Id", "value": "Root=1-a;Sampled=1"}
    report = of_kind(provided, version, "platform.report", start)[0]
    assert report["metrics"]["initDurationMs"] > 0
    assert report["metrics"]["memorySizeMB"] == 256
    assert report["status"] == "success"
    assert of_kind(provided, version, "platform.extension", start) == [
        {"name": "ext", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    ]
    if kind == "python":
        assert of_kind(provided, version, "function", start) == ["said 5"]
    await end(provided, version)


@pytest.mark.slow
async def test_what_failed_is_told_before_the_end(provided: World) -> None:
    source = LISTENER + "subscribe(identifier, request())\n" + GO_ON
    dies = "import os\ndef handler(event, context):\n    os._exit(1)\n"
    version = function(provided, "python", layer(provided, ext=source), source=dies)
    await provided.failure(version)
    await provided.settled(lambda: bool(of_kind(provided, version, "platform.report")))
    done = of_kind(provided, version, "platform.runtimeDone")[0]
    assert (done["status"], done["errorType"]) == ("failure", "Runtime.ExitError")
    assert of_kind(provided, version, "platform.report")[0]["status"] == "error"


@pytest.mark.slow
async def test_json_lines_of_a_function_are_objects(provided: World) -> None:
    source = LISTENER + "subscribe(identifier, request(types=['function']))\n" + GO_ON
    logging = "import logging\ndef handler(event, context):\n    logging.getLogger().error('said %s', event)\n"
    version = function(provided, "python", layer(provided, ext=source), source=logging, log_format="JSON")
    await provided.invoke(version, 5)
    await provided.settled(lambda: bool(of_kind(provided, version, "function")))
    assert of_kind(provided, version, "function")[0]["message"] == "said 5"
    await end(provided, version)


@pytest.mark.slow
async def test_the_older_logs_api_has_its_own_records(provided: World) -> None:
    source = (
        LISTENER
        + """
body = request("HTTP", "2020-08-15")
say("told", subscribe(identifier, body, "logs", "2020-08-15").body.decode())
"""
        + GO_ON
    )
    version = function(provided, "python", layer(provided, ext=source), source=PRINTS)
    await provided.answer(version, 5)
    await provided.settled(lambda: bool(of_kind(provided, version, "platform.report")))
    kinds = {one["type"] for one in events(provided, version)}
    platform = ("logsSubscription", "extension", "start", "end", "report")
    assert kinds == {"function", *(f"platform.{name}" for name in platform)}
    assert set(of_kind(provided, version, "platform.report")[0]) == {"requestId", "metrics"}
    await end(provided, version)


@pytest.mark.slow
async def test_nobody_subscribes_without_being_an_extension_or_after_init(provided: World) -> None:
    source = (
        LISTENER
        + """
say("unknown", subscribe("00000000-0000-0000-0000-000000000000", request()).json()["errorType"])
say("invalid", subscribe(identifier, {}).status, subscribe(identifier, {}).json()["errorType"])
event(identifier)
say("late", subscribe(identifier, request()).status, subscribe(identifier, request()).json()["errorType"])
"""
        + GO_ON
    )
    version = function(provided, "python", layer(provided, ext=source), source=PRINTS)
    await provided.answer(version, 1)
    await provided.log_line(version, "late ")
    lines = provided.lines(version)
    assert "unknown Extension.UnknownExtensionIdentifier" in lines
    assert "invalid 400 ValidationError" in lines
    assert "late 403 Telemetry.SubscriptionClosed" in lines
    await end(provided, version)


async def test_a_listener_that_takes_nothing_loses_its_events_and_is_told() -> None:
    received: asyncio.Queue[str] = asyncio.Queue()
    open_now = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_now.wait()
        while line := await reader.readline():
            received.put_nowait(line.decode().strip())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    port = server.sockets[0].getsockname()[1]

    async def connect() -> socket.socket:
        made = socket.socket()
        made.setblocking(False)
        return made

    subscription = Subscription(
        name="ext", logs=False, version="2022-12-13", types=("function",), protocol="TCP", port=port,
        max_items=1000, max_bytes=262_144, timeout_ms=25,
    )  # fmt: skip
    delivery = Delivery(subscription, connect, lambda lost: f"lost {lost.records} {lost.size}")
    line = "x" * 100_000
    count = WAITING_BYTES_MAX // len(line) + 20
    for _ in range(count):
        delivery.add(line)
    running = asyncio.ensure_future(delivery.run())
    open_now.set()
    async with asyncio.timeout(10):
        while not (last := await received.get()).startswith("lost "):
            pass
    _, records, size = last.split(" ")
    assert int(records) >= 19
    assert int(size) == int(records) * len(line)
    delivery.close()
    await running
    server.close()
