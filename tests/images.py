"""Container images made of nothing: tar layers, a configuration, a manifest, as bytes; and a way to push them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(members: Sequence[tarfile.TarInfo | tuple[str, bytes] | tuple[str, bytes, int]]) -> bytes:
    """A tar of `TarInfo`s without content, and of `(name, content)` or `(name, content, mode)`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                archive.addfile(one)
                continue
            info = tarfile.TarInfo(one[0])
            info.size, info.mode = len(one[1]), one[2] if len(one) == 3 else 0o644
            archive.addfile(info, io.BytesIO(one[1]))
    return buffer.getvalue()


def entry(name: str, kind: bytes, *, to: str = "", mode: int = 0o755) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, to, mode
    return info


@dataclass(frozen=True, slots=True)
class Image:
    manifest: bytes
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    media_type: str = OCI_IMAGE

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def image(
    layers: Sequence[bytes],
    *,
    config: Mapping[str, Any] | None = None,
    architecture: str = "amd64",
    compress: Any = gzip.compress,
    layer_type: str = OCI_LAYER,
    **members: Any,
) -> Image:
    """`layers` are tars, the lowest first; `members` go into the manifest."""
    packed = [compress(one) for one in layers]
    body = {
        "architecture": architecture,
        "os": "linux",
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in layers]},
    }
    text = json.dumps(body).encode()
    described = [{"mediaType": layer_type, "digest": digest_of(one), "size": len(one)} for one in packed]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(text), "size": len(text)},
        "layers": described,
        **members,
    }
    blobs = {digest_of(one): one for one in (text, *packed)}
    return Image(json.dumps(manifest).encode(), blobs)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in json.loads(self.body)["errors"]]


class RegistryClient:
    """Raw HTTP to a registry at a plain endpoint, or, with `host`, under another name."""

    def __init__(self, endpoint: str, *, user: str = "AWS", password: str = "any", host: str = "") -> None:
        self.endpoint = endpoint
        self.host = host
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def __call__(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        sent = {"Content-Type": "application/octet-stream", **(headers or {})}
        if self.authorization:
            sent.setdefault("Authorization", self.authorization)
        if self.host:
            sent["Host"] = self.host
        request = urllib.request.Request(self.endpoint + path, data=body, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)

    def push(self, name: str, pushed: Image, reference: str = "") -> str:
        for digest, data in pushed.blobs.items():
            answer = self("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data)
            assert answer.status == 201, answer
        answer = self(
            "PUT",
            f"/v2/{name}/manifests/{reference or pushed.digest}",
            pushed.manifest,
            {"Content-Type": pushed.media_type},
        )
        assert answer.status == 201, answer
        return answer.headers["docker-content-digest"]


def _answer(response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, response.read())
