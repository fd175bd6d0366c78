"""From inside a handler: whose credentials its endpoint takes, and what of the cloud and the host it cannot reach."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from pilotlight.testing.cloud import Cloud

pytestmark = [
    pytest.mark.slow,
    pytest.mark.linux,
    pytest.mark.skipif(os.geteuid() != 0, reason="sandboxes of namespaces need root"),
]

CODE = """
import json, os, socket, urllib.error, urllib.request
import boto3

def attempt(work):
    try:
        return repr(work())
    except Exception as error:
        return type(error).__name__ + ": " + str(error)

def fetch(path, data=None):
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + path, data=data)
    try:
        return urllib.request.urlopen(request, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code

def connect(host, port):
    socket.create_connection((host, port), timeout=1).close()
    return "connected"

def handler(event, context):
    def caller(**keys):
        return boto3.client("sts", region_name="us-east-1", **keys).get_caller_identity()["Arn"]

    other = dict(zip(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), event["other"]))
    return {
        "own": attempt(caller),
        "test": attempt(lambda: caller(aws_access_key_id="test", aws_secret_access_key="test", aws_session_token="")),
        "account": attempt(lambda: caller(aws_access_key_id="1" * 12, aws_secret_access_key="x", aws_session_token="")),
        "other role": attempt(lambda: caller(**other)),
        "reset": attempt(lambda: fetch("/_pilotlight/reset", b"{}")),
        "clock": attempt(lambda: fetch("/_pilotlight/clock")),
        "unsigned": attempt(lambda: fetch("/")),
        "loopback": attempt(lambda: connect("127.0.0.1", event["port"])),
        "host": [attempt(lambda: connect(address, event["port"])) for address in event["addresses"]],
        "files": [attempt(lambda: open(path).read(100)) for path in event["files"]],
        "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
    }
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"},
    ],
}


@pytest.fixture
def listener() -> Iterator[int]:
    """A service of the host's, on every address."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        socket.create_connection(("127.0.0.1", server.getsockname()[1])).close()
        thread.join()


def addresses() -> list[str]:
    """The host's own, by which a sandbox might come round to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return ["169.254.169.254"]
        return [probe.getsockname()[0], "169.254.169.254"]


@pytest.fixture
def told(sqlite_only_cloud: Cloud, listener: int) -> dict[str, Any]:
    cloud, data = sqlite_only_cloud, io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("inside.py", (2026, 1, 1, 0, 0, 0)), CODE)
    iam = cloud.client("iam")
    for name in ("mine", "other"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    keys = cloud.client("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/other", RoleSessionName="elsewhere")[
        "Credentials"
    ]
    functions = cloud.client("lambda")
    functions.create_function(
        FunctionName="inside",
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="inside.handler",
        Role="arn:aws:iam::000000000000:role/mine",
        Code={"ZipFile": data.getvalue()},
        Timeout=60,
        MemorySize=1769,
    )
    event = {
        "other": [keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]],
        "port": listener,
        "addresses": addresses(),
        "files": ["/etc/shadow", str(cloud.directory / "data" / "core.db"), "/proc/1/environ"],
    }
    answer = functions.invoke(FunctionName="inside", Payload=json.dumps(event).encode())
    payload = json.load(answer["Payload"])
    assert "FunctionError" not in answer, payload
    return dict(payload)


def test_a_handler_reaches_nothing_but_its_own(told: dict[str, Any], sqlite_only_cloud: Cloud) -> None:
    assert told["own"] == "'arn:aws:sts::000000000000:assumed-role/mine/inside'"
    for who in ("test", "account", "other role"):
        assert "InvalidClientTokenId" in told[who], who
    assert (told["reset"], told["clock"], told["unsigned"]) == ("403", "403", "403")
    assert "connected" not in told["loopback"]
    assert not any("connected" in answer for answer in told["host"])
    assert all("Error" in answer for answer in told["files"]), told["files"]
    assert len(told["processes"]) <= 3
    assert sqlite_only_cloud.client("sts").get_caller_identity()["Account"] == "000000000000"
