"""What an image's manifest and configuration say, as far as a function needs it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.engine.images.compression import ImageInvalid

DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
ACCEPTED = (DOCKER_IMAGE, OCI_IMAGE)
CONFIGS = ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json")
LAYERS = re.compile(r"application/vnd\.(oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)([.+](gzip|zstd))?")
LAYERS_MAX = 127
CONFIG_BYTES_MAX = 4 * 1024 * 1024
DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


class MediaTypeUnsupported(Exception):
    """A list of images, or layers of a kind that is not run."""


@dataclass(frozen=True, slots=True)
class Blob:
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Blob
    layers: tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    architecture: str
    """As Go spells it: `amd64`, `arm64`."""
    diff_ids: tuple[str, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    working_directory: str
    environment: tuple[tuple[str, str], ...]


def parse_manifest(data: bytes) -> Manifest:
    """Raises MediaTypeUnsupported or ImageInvalid."""
    body = _json(data, "manifest")
    if "manifests" in body or body.get("mediaType", OCI_IMAGE) not in ACCEPTED:
        raise MediaTypeUnsupported(str(body.get("mediaType", "")))
    config, layers = body.get("config"), body.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise ImageInvalid("the manifest has no configuration or no layers")
    if config.get("mediaType") not in CONFIGS:
        raise MediaTypeUnsupported(str(config.get("mediaType")))
    for layer in layers:
        if not isinstance(layer, dict) or not LAYERS.fullmatch(str(layer.get("mediaType"))):
            raise MediaTypeUnsupported(str(layer.get("mediaType")) if isinstance(layer, dict) else "")
    if not 1 <= len(layers) <= LAYERS_MAX:
        raise ImageInvalid(f"an image has between 1 and {LAYERS_MAX} layers")
    return Manifest(_blob(config), tuple(_blob(layer) for layer in layers))


def parse_configuration(data: bytes) -> Configuration:
    """Raises ImageInvalid."""
    body = _json(data, "configuration")
    config = body.get("config") or {}
    rootfs = body.get("rootfs") or {}
    try:
        variables = [str(one).partition("=") for one in config.get("Env") or ()]
        return Configuration(
            architecture=str(body.get("architecture", "")),
            diff_ids=tuple(str(one) for one in rootfs.get("diff_ids") or ()),
            entrypoint=tuple(str(one) for one in config.get("Entrypoint") or ()),
            command=tuple(str(one) for one in config.get("Cmd") or ()),
            working_directory=str(config.get("WorkingDir") or "/"),
            environment=tuple((name, value) for name, _, value in variables if name),
        )
    except (TypeError, AttributeError):
        raise ImageInvalid("the image's configuration is not what it should be") from None


def _blob(descriptor: Mapping[str, Any]) -> Blob:
    digest, size = descriptor.get("digest"), descriptor.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
        raise ImageInvalid("the manifest names a blob that cannot be")
    return Blob(digest, size)


def _json(data: bytes, what: str) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ImageInvalid(f"the image's {what} is not JSON")
    return body
