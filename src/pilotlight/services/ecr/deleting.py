"""What goes with an image that is deleted, whoever asks: the API, the registry, a lifecycle policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.services.ecr import store
from pilotlight.services.ecr.store import Image, Repository
from pilotlight.storage import Transaction


def delete(
    tx: Transaction, repository: Repository, image: Image, wanted: Mapping[str, str], now_ms: int
) -> list[dict[str, str]] | dict[str, Any]:
    """The ids that are gone, or a failure's members. AWS: an image's last tag takes the image with it."""
    tag = wanted.get("imageTag", "")
    if tag and len(image.tags) > 1:
        store.delete_tag(tx, repository, tag)
        return [{"imageDigest": image.digest, "imageTag": tag}]
    lists = store.lists_of(tx, repository, image.digest)
    if lists:
        return {
            "imageId": {"imageDigest": image.digest, **({"imageTag": tag} if tag else {})},
            "failureCode": "ImageReferencedByManifestList",
            "failureReason": f"Requested image referenced by manifest list: [{', '.join(lists)}]",
        }
    store.delete_image(tx, repository, image.digest, now_ms)
    if not image.tags:
        return [{"imageDigest": image.digest}]
    return [{"imageDigest": image.digest, "imageTag": one} for one in image.tags]
