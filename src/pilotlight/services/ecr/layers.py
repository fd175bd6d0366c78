"""Layers by the API's own operations, which docker's protocol does in other words: check, upload in parts, download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Bytes
from pilotlight.services.ecr import layer_store, store
from pilotlight.services.ecr.access import Shared
from pilotlight.services.ecr.layer_store import Upload
from pilotlight.services.ecr.names import ANY_DIGEST, DIGEST, host_of, no_upload, unsatisfied
from pilotlight.services.ecr.store import Repository
from pilotlight.services.ecr.tokens import Passwords

Request = Mapping[str, Any]
PART_BYTES = 10 * 1024 * 1024
PART_BYTES_MIN = 5 * 1024 * 1024
DIGESTS_MAX = 100
LINK = "X-Pilotlight-Layer-Key"


class Layers:
    def __init__(self, shared: Shared, passwords: Passwords) -> None:
        self._shared = shared
        self._passwords = passwords

    async def batch_check_layer_availability(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        digests = request["layerDigests"]
        if not 1 <= len(digests) <= DIGESTS_MAX:
            raise unsatisfied("layerDigests", f"Member must have length between 1 and {DIGESTS_MAX}")
        layers: list[dict[str, Any]] = []
        failures = []
        for digest in digests:
            if not ANY_DIGEST.fullmatch(digest):
                reason = "Invalid request parameters: layer digest should satisfy the regex " \
                         "'[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"  # fmt: skip
                failures.append({"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": reason})
                continue
            layer = await self._shared.content.find(repository, digest)
            if layer is None:
                layers.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
                continue
            types = await self._shared.database.read(store.media_types, repository, digest)
            shown = {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": layer.size}
            layers.append(shown | ({"mediaType": types[0]} if types else {}))
        return {"layers": layers, "failures": failures}

    async def get_download_url_for_layer(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        digest = request["layerDigest"]
        layer = await self._shared.content.find(repository, digest)
        if layer is None:
            raise AwsError(
                "LayersNotFoundException",
                f"Layers with digests '[{digest}]' do not exist in the repository with name '{repository.name}' in the "
                f"registry with id '{repository.account}'",
            )
        host = host_of(repository.account, repository.region, self._shared.port)
        key = self._passwords.link(f"{repository.id}/{digest}")
        address = f"http://{host}/v2/{repository.name}/blobs/{digest}?{LINK}={key}"
        return {"downloadUrl": address, "layerDigest": digest}

    async def initiate_layer_upload(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        upload = await self._shared.content.begin(repository)
        return {"uploadId": upload.id, "partSize": PART_BYTES}

    async def upload_layer_part(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        upload = await self._upload(repository, request["uploadId"])
        first, last, data = request["partFirstByte"], request["partLastByte"], bytes(request["layerPartBlob"])
        if first != upload.size or last - first + 1 != len(data):
            message = "Layer part is not valid: it does not begin where the last one ended, or is not as long as said."
            last_valid = {"lastValidByteReceived": upload.size - 1}
            raise AwsError("InvalidLayerPartException", message, members={**_place(repository, upload), **last_valid})
        upload = await self._shared.content.append(repository, upload, Bytes(data))
        return {**_place(repository, upload), "lastByteReceived": upload.size - 1}

    async def complete_layer_upload(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        upload = await self._upload(repository, request["uploadId"])
        digests = request["layerDigests"]
        if len(digests) != 1 or not DIGEST.fullmatch(digests[0]):
            raise unsatisfied("layerDigests", "one digest of sha256")
        if upload.size == 0:
            message = "The specified layer upload does not contain any layer parts."
            raise AwsError("EmptyUploadException", message)
        parts = await self._shared.database.read(layer_store.parts_of, upload.id)
        if any(part.size < PART_BYTES_MIN for part in parts[:-1]):
            raise AwsError("LayerPartTooSmallException", "Layer parts must be at least 5 MiB in size.")
        if not await self._shared.content.complete(repository, upload, digests[0]):
            raise AwsError(
                "LayerAlreadyExistsException",
                f"The layer with digest '{digests[0]}' already exists in the repository with name '{repository.name}' "
                f"in the registry with id '{repository.account}'",
            )
        return {**_place(repository, upload), "layerDigest": digests[0]}

    async def _upload(self, repository: Repository, identity: str) -> Upload:
        upload = await self._shared.database.read(layer_store.find_upload, repository, identity)
        if upload is None:
            raise no_upload(repository, identity)
        return upload


def _place(repository: Repository, upload: Upload) -> dict[str, Any]:
    return {"registryId": repository.account, "repositoryName": repository.name, "uploadId": upload.id}
