"""Function URLs as a configuration: creating, reading, changing and deleting them. `url_data_plane` answers at them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store, url_store
from pilotlight.services.awslambda.names import Reference, conflict, invalid, not_found, refer, validation
from pilotlight.services.awslambda.paging import page
from pilotlight.services.awslambda.store import LATEST
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.services.awslambda.url_store import FunctionUrl
from pilotlight.storage import Transaction

ID_CHARACTERS = 32
CUSTOM_ID_TAG = "_custom_id_"
"""As LocalStack has it: a tag of the function that names its URL; an alias's URL gets the alias's name behind it."""
CUSTOM_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NO_FUNCTION = "Function does not exist"
NO_URL = "The resource you requested does not exist."


class FunctionUrls:
    """Operations on function URLs."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def create_function_url_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        now_ms = self._parts.clock.now_ms()
        body = {
            "AuthType": request["AuthType"],
            "InvokeMode": request.get("InvokeMode", "BUFFERED"),
            "created_ms": now_ms,
            "modified_ms": now_ms,
        }
        if request.get("Cors"):
            body["Cors"] = dict(request["Cors"])
        made = FunctionUrl(self._parts.ids.lower(ID_CHARACTERS), *_names(_refer(caller, request)), body)
        url = await self._parts.database.write(_create, made)
        answer = self._shown(url)
        del answer["LastModifiedTime"]
        return answer

    async def get_function_url_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._shown(await self._parts.database.read(_find, _refer(caller, request)))

    async def update_function_url_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        changes = {member: request[member] for member in ("AuthType", "InvokeMode", "Cors") if member in request}
        changes["modified_ms"] = self._parts.clock.now_ms()
        return self._shown(await self._parts.database.write(_change, _refer(caller, request), changes))

    async def delete_function_url_config(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._parts.database.write(_delete, _refer(caller, request))

    async def list_function_url_configs(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer(caller, request["FunctionName"])
        if await self._parts.database.read(store.find_function, reference.function) is None:
            raise not_found(NO_FUNCTION)
        urls = await self._parts.database.read(url_store.list_urls, reference.function)
        some, marker = page(urls, request, key=lambda url: url.qualifier or LATEST)
        answer: dict[str, Any] = {"FunctionUrlConfigs": [self._shown(url) for url in some]}
        return {**answer, "NextMarker": marker} if marker else answer

    def _shown(self, url: FunctionUrl) -> dict[str, Any]:
        body = url.body
        answer: dict[str, Any] = {
            "FunctionUrl": f"http://{domain_of(url)}:{self._parts.port}/",
            "FunctionArn": url.reference.arn,
            "AuthType": body["AuthType"],
            "InvokeMode": body["InvokeMode"],
            "CreationTime": _moment(body["created_ms"]),
            "LastModifiedTime": _moment(body["modified_ms"]),
        }
        if body.get("Cors"):
            answer["Cors"] = body["Cors"]
        return answer


def domain_of(url: FunctionUrl) -> str:
    return f"{url.id}.lambda-url.{url.function.region}.localhost.localstack.cloud"


def _names(reference: Reference) -> tuple[store.Name, str]:
    return reference.function, reference.qualifier


def _refer(caller: Caller, request: Mapping[str, Any]) -> Reference:
    """AWS: the function itself or an alias, never a version."""
    reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
    if reference.qualifier == LATEST or reference.qualifier.isdigit():
        raise validation(
            reference.qualifier,
            "qualifier",
            r"Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)",
        )
    return reference


def _create(tx: Transaction, made: FunctionUrl) -> FunctionUrl:
    function = store.find_function(tx, made.function)
    if function is None:
        raise not_found(NO_FUNCTION)
    if url_store.find(tx, made.reference) is not None:
        raise conflict(
            f"Failed to create function url config for [functionArn = {made.reference.arn}]. "
            "Error message:  FunctionUrlConfig exists for this Lambda function"
        )
    if made.qualifier and store.find_part(tx, made.function, "alias", made.qualifier) is None:
        raise not_found(NO_FUNCTION)
    custom = function.tags.get(CUSTOM_ID_TAG, "")
    if custom:
        custom = f"{custom}-{made.qualifier}".lower() if made.qualifier else custom
        if not CUSTOM_ID.fullmatch(custom):
            raise invalid(f"The tag {CUSTOM_ID_TAG} makes no host name of {custom!r}.")
        made = replace(made, id=custom)
    if not url_store.add(tx, made):
        raise conflict(f"A function URL with the id {made.id} exists already.")
    return made


def _find(tx: Transaction, reference: Reference) -> FunctionUrl:
    url = url_store.find(tx, reference)
    if url is None:
        raise not_found(NO_URL)
    return url


def _change(tx: Transaction, reference: Reference, changes: Mapping[str, Any]) -> FunctionUrl:
    if store.find_function(tx, reference.function) is None:
        raise not_found(NO_FUNCTION)
    url = _find(tx, reference)
    changed = replace(url, body={**url.body, **changes})
    url_store.change(tx, changed)
    return changed


def _delete(tx: Transaction, reference: Reference) -> None:
    url_store.delete(tx, _find(tx, reference).id)


def _moment(now_ms: int) -> str:
    return f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
