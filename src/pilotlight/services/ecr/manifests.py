"""Manifests: what they name, checked before they are kept. Docker's version 2 and OCI's, single images and lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.ecr.names import DIGEST, unsatisfied
from pilotlight.services.ecr.store import Reference

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
LAYERS_MAX = 4200
"""AWS: ECR's limit of layers to an image."""
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGES = (DOCKER_IMAGE, OCI_IMAGE)
LISTS = (DOCKER_LIST, OCI_INDEX)
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
"""Layers that are never pushed: they are elsewhere."""


@dataclass(frozen=True, slots=True)
class Manifest:
    media_type: str
    artifact_type: str
    subject: str
    size: int
    """Of what it names, all together; a list's is its own length, as AWS has no other."""
    references: tuple[Reference, ...]


def parse(data: bytes, declared: str) -> Manifest:
    """`declared` is the media type that was sent along, if any. Raises InvalidParameterException."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise unsatisfied("ImageManifest", f"must be at most {MANIFEST_BYTES_MAX} bytes")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise unsatisfied("ImageManifest", "Invalid JSON syntax") from None
    if not isinstance(body, dict):
        raise unsatisfied("ImageManifest", "Invalid JSON syntax")
    media_type = _media_type(body, declared)
    subject = body.get("subject")
    subject = _descriptor(subject, "subject").digest if subject is not None else ""
    if media_type in LISTS:
        references = tuple(_descriptor(one, "image") for one in _list(body, "manifests"))
        return Manifest(media_type, str(body.get("artifactType", "")), subject, len(data), references)
    config = _descriptor(body.get("config"), "layer")
    layers = [_descriptor(one, "layer") for one in _list(body, "layers")]
    if len(layers) > LAYERS_MAX:
        raise AwsError("LimitExceededException", f"An image has at most {LAYERS_MAX} layers.")
    kept = tuple(one for one in (config, *layers) if one.media_type != FOREIGN_LAYER)
    # A layer may be named twice, and counts twice, as it does when it is pulled.
    artifact = str(body.get("artifactType") or config.media_type)
    return Manifest(media_type, artifact, subject, sum(one.size for one in (config, *layers)), kept)


def _media_type(body: Mapping[str, Any], declared: str) -> str:
    own = body.get("mediaType", "")
    if own and declared and own != declared:
        raise unsatisfied("ImageManifest", f"mediaType in manifest should be '{declared}' not '{own}'")
    if body.get("schemaVersion") != 2:
        raise unsatisfied("ImageManifest", "Unsupported schema version: only version 2 is")
    media_type = str(own or declared or (OCI_INDEX if "manifests" in body else OCI_IMAGE))
    if media_type not in (*IMAGES, *LISTS):
        raise unsatisfied("ImageManifest", f"Unsupported media type '{media_type}'")
    return media_type


def _list(body: Mapping[str, Any], member: str) -> list[Any]:
    value = body.get(member)
    if not isinstance(value, list):
        raise unsatisfied("ImageManifest", f"Missing or invalid member '{member}'")
    return value


def _descriptor(value: Any, kind: str) -> Reference:
    if not isinstance(value, dict) or not isinstance(value.get("mediaType"), str):
        raise unsatisfied("ImageManifest", f"Missing or invalid descriptor of {kind}")
    digest, size = value.get("digest"), value.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise unsatisfied("ImageManifest", f"Invalid digest of {kind}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 62:
        raise unsatisfied("ImageManifest", f"Invalid size of {kind}")
    return Reference(digest=digest, kind=kind, media_type=value["mediaType"], size=size)
