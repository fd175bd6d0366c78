"""Pulling from a registry that is not ours: its tokens, its redirects, its lies."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pilotlight.engine.images.manifest import Blob
from pilotlight.engine.images.registry import NotAllowed, NotThere, Reference, RegistryClient, Unreachable
from tests.images import OCI_IMAGE, Image, image, tar

USER, PASSWORD, TOKEN = "someone", "secret", "a-token"


class Registry(ThreadingHTTPServer):
    """A registry of Docker's kind: a token from a realm, blobs by redirect to elsewhere."""

    made: Image
    lies = False
    asked: list[tuple[str, str]]


class Handler(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host, authorization = self.headers["Host"], self.headers.get("Authorization", "")
        self.server.asked.append((self.path, authorization))
        place = urlsplit(self.path)
        if place.path == "/token":
            basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            granted = authorization == basic and parse_qs(place.query)["scope"] == ["repository:team/app:pull"]
            return self._send(200 if granted else 401, json.dumps({"token": TOKEN}).encode())
        if place.path.startswith("/elsewhere/"):
            return self._send(200, self.server.made.blobs[place.path.rpartition("/")[2]])
        if authorization != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="http://{host}/token",service="s",scope="repository:team/app:pull"'
            return self._send(401, b'{"errors": []}', {"WWW-Authenticate": challenge})
        if place.path.endswith(("/manifests/v1", self.server.made.digest)):
            data = self.server.made.manifest + (b" " if self.server.lies else b"")
            return self._send(200, data, {"Content-Type": OCI_IMAGE})
        digest = place.path.rpartition("/")[2]
        if digest in self.server.made.blobs:
            return self._send(307, b"", {"Location": f"http://localhost:{self.server.server_port}/elsewhere/{digest}"})
        return self._send(404, b"{}")

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = Registry(("127.0.0.1", 0), Handler)
    server.made, server.asked = image([tar([("a", b"b" * 1000)])]), []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def client(registry: Registry, name: str = "team/app:v1", **login: str) -> RegistryClient:
    reference = Reference.parse(f"127.0.0.1:{registry.server_port}/{name}")
    assert reference is not None
    return RegistryClient(reference, **{"user": USER, "password": PASSWORD, **login}, insecure=True)


def test_an_image_is_pulled_with_a_token(registry: Registry) -> None:
    pulling = client(registry)
    assert pulling.manifest() == (registry.made.manifest, registry.made.digest)
    for digest, data in registry.made.blobs.items():
        assert b"".join(pulling.blob(Blob(digest, len(data)))) == data
    assert len([path for path, _ in registry.asked if path.startswith("/token")]) == 1


def test_the_token_is_not_shown_where_a_redirect_leads(registry: Registry) -> None:
    pulling = client(registry)
    pulling.manifest()
    digest, data = next(iter(registry.made.blobs.items()))
    b"".join(pulling.blob(Blob(digest, len(data))))
    assert [shown for path, shown in registry.asked if path.startswith("/elsewhere/")] == [""]


def test_a_wrong_password_is_not_allowed(registry: Registry) -> None:
    with pytest.raises(NotAllowed):
        client(registry, password="wrong").manifest()


def test_what_is_not_there_is_said(registry: Registry) -> None:
    with pytest.raises(NotThere):
        client(registry, "team/app:v2").manifest()


def test_another_manifest_than_the_digests_is_refused(registry: Registry) -> None:
    registry.lies = True
    with pytest.raises(Unreachable):
        client(registry, f"team/app@{registry.made.digest}").manifest()


def test_nobody_there_is_unreachable() -> None:
    reference = Reference.parse("127.0.0.1:1/app:v1")
    assert reference is not None
    with pytest.raises(Unreachable):
        RegistryClient(reference, insecure=True).manifest()


@pytest.mark.parametrize(
    "text", ["", "app", "app:v1", "Host/App", "host/", "host/app:", "host/app@sha256:12", "host/../x", "ho st/app:v1"]
)
def test_what_names_no_image(text: str) -> None:
    assert Reference.parse(text) is None
