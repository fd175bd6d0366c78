"""What may be asked of telemetry, and what each schema version tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.engine.runtime_api.records import Happened, render
from pilotlight.engine.runtime_api.subscription import Invalid, parse


def body(**changes: Any) -> bytes:
    asked: dict[str, Any] = {
        "schemaVersion": "2022-12-13",
        "types": ["platform"],
        "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"},
    }
    return json.dumps(asked | changes).encode()


def test_what_is_not_said_is_awss_usual() -> None:
    asked = parse(body(), "ext", logs=False)
    assert (asked.max_items, asked.max_bytes, asked.timeout_ms) == (10000, 262_144, 1000)
    assert (asked.protocol, asked.port, asked.path, asked.method) == ("HTTP", 8080, "/", "POST")


@pytest.mark.parametrize(
    "changes",
    [
        {"schemaVersion": "2021-01-01"},
        {"types": []},
        {"types": ["everything"]},
        {"destination": None},
        {"destination": {"protocol": "UDP", "port": 1}},
        {"destination": {"protocol": "TCP"}},
        {"destination": {"protocol": "TCP", "port": 70000}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}},
        {"destination": {"protocol": "HTTP", "URI": "http://169.254.169.254:80/"}},
        {"destination": {"protocol": "HTTP", "URI": "https://sandbox.localdomain:8080"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/a b"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/\u00e9"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080", "method": "GET"}},
        {"buffering": {"maxItems": 999}},
        {"buffering": {"maxItems": 10001}},
        {"buffering": {"maxBytes": 262_143}},
        {"buffering": {"maxBytes": 1_048_577}},
        {"buffering": {"timeoutMs": 24}},
        {"buffering": {"timeoutMs": 30_001}},
        {"buffering": {"timeoutMs": True}},
    ],
)
def test_what_aws_does_not_take_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        parse(body(**changes), "ext", logs=False)


def test_an_older_schema_has_fewer_members() -> None:
    asked = parse(body(schemaVersion="2022-07-01"), "ext", logs=False)
    happened = Happened(0, "platform.initStart", {"initializationType": "on-demand", "phase": "init"})
    told = json.loads(render(happened, asked) or "")
    assert told == {
        "time": "1970-01-01T00:00:00.000Z",
        "type": "platform.initStart",
        "record": {"initializationType": "on-demand"},
    }


def test_other_streams_are_not_told() -> None:
    assert render(Happened(0, "function", "x"), parse(body(), "ext", logs=False)) is None


def test_a_path_adds_no_header() -> None:
    asked = parse(
        body(destination={"protocol": "HTTP", "URI": "http://sandbox.localdomain:80/a\r\nX:y"}), "ext", logs=False
    )
    assert asked.path == "/aX:y"
