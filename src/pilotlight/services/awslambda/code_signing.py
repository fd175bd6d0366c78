"""Code signing configurations, and what they demand of a function's code.

There is no AWS Signer here, so no package carries a signature that could be believed: to a function whose configuration
says `Enforce` no code can be deployed, and `Warn` lets it pass with a line in the cloud's log.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.names import (
    Reference,
    check_tags,
    conflict,
    not_found,
    raise_no_function,
    refer_whole,
    user_error,
)
from pilotlight.services.awslambda.paging import page
from pilotlight.services.awslambda.store import Name, Part
from pilotlight.services.awslambda.surroundings import Surroundings, timestamp
from pilotlight.storage import Transaction

log = logging.getLogger(__name__)

KIND: store.Kind = "signing"
PAGE = 10_000


@dataclass(frozen=True, slots=True)
class SigningConfig:
    arn: str
    account: str
    region: str
    body: dict[str, Any]

    @property
    def shown(self) -> dict[str, Any]:
        return {member: value for member, value in self.body.items() if not member.startswith("_")}

    @property
    def enforced(self) -> bool:
        return bool(self.body["CodeSigningPolicies"]["UntrustedArtifactOnDeployment"] == "Enforce")


class CodeSigningConfigs:
    """Operations on code signing configurations, and on which functions have one."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def create_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        tags = check_tags(dict(request.get("Tags") or {}))
        identity = f"csc-{self._parts.ids.lower(17)}"
        arn = f"arn:aws:lambda:{caller.region}:{caller.account}:code-signing-config:{identity}"
        body: dict[str, Any] = {
            "_tags": tags,
            "CodeSigningConfigId": identity,
            "CodeSigningConfigArn": arn,
            "AllowedPublishers": request["AllowedPublishers"],
            "CodeSigningPolicies": {
                "UntrustedArtifactOnDeployment": "Warn",
                **(request.get("CodeSigningPolicies") or {}),
            },
            "LastModified": timestamp(self._parts.clock.now_ms()),
        }
        if "Description" in request:
            body["Description"] = request["Description"]
        config = SigningConfig(arn, caller.account, caller.region, body)
        await self._parts.database.write(save, config)
        return {"CodeSigningConfig": config.shown}

    async def get_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        found = await self._parts.database.read(existing, request["CodeSigningConfigArn"])
        return {"CodeSigningConfig": found.shown}

    async def update_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        now_ms = self._parts.clock.now_ms()
        changes = {
            key: request[key] for key in ("Description", "AllowedPublishers", "CodeSigningPolicies") if key in request
        }

        def change(tx: Transaction) -> SigningConfig:
            found = existing(tx, request["CodeSigningConfigArn"])
            changed = replace(found, body={**found.body, **changes, "LastModified": timestamp(now_ms)})
            save(tx, changed)
            return changed

        return {"CodeSigningConfig": (await self._parts.database.write(change)).shown}

    async def delete_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> None:
        await self._parts.database.write(_delete, request["CodeSigningConfigArn"])

    async def list_code_signing_configs(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        found = await self._parts.database.read(_list, caller.account, caller.region)
        some, marker = page(found, request, key=lambda one: one.arn)
        answer: dict[str, Any] = {"CodeSigningConfigs": [one.shown for one in some]}
        return {**answer, "NextMarker": marker} if marker else answer

    async def list_functions_by_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        arn = request["CodeSigningConfigArn"]

        def find(tx: Transaction) -> list[str]:
            existing(tx, arn)
            return _users(tx, arn)

        some, marker = page(await self._parts.database.scan(find), request, key=str)
        return {"FunctionArns": list(some), "NextMarker": marker} if marker else {"FunctionArns": list(some)}

    async def put_function_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        await self._parts.database.write(attach, reference, request["CodeSigningConfigArn"], self._parts.ids.uuid())
        return {"CodeSigningConfigArn": request["CodeSigningConfigArn"], "FunctionName": reference.function.name}

    async def get_function_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """AWS: a function without one is answered with its name alone."""
        reference = refer_whole(caller, request["FunctionName"])

        def find(tx: Transaction) -> Part | None:
            if store.find_function(tx, reference.function) is None:
                raise_no_function(reference)
            return store.find_part(tx, reference.function, KIND, "")

        part = await self._parts.database.read(find)
        answer: dict[str, Any] = {"FunctionName": reference.function.name}
        return {**answer, "CodeSigningConfigArn": part.body["arn"]} if part else answer

    async def delete_function_code_signing_config(self, caller: Caller, request: Mapping[str, Any]) -> None:
        reference = refer_whole(caller, request["FunctionName"])

        def detach(tx: Transaction) -> None:
            if store.find_function(tx, reference.function) is None:
                raise_no_function(reference)
            store.delete_part(tx, reference.function, KIND, "")

        await self._parts.database.write(detach)


async def check_deployment(parts: Surroundings, name: Name, arn: str | None) -> None:
    """Whether unsigned code may be deployed: of the configuration named, or of the one that the function has."""

    def find(tx: Transaction) -> SigningConfig | None:
        if arn is not None:
            return _attachable(tx, arn)
        part = store.find_part(tx, name, KIND, "")
        return _find(tx, part.body["arn"]) if part else None

    config = await parts.database.read(find)
    if config is None:
        return
    if config.enforced:
        raise user_error(
            "CodeVerificationFailedException",
            "Lambda cannot deploy the function. The function or layer might be signed using a signature that the "
            f"client is not configured to accept. Check the provided signature for {name.name}.",
        )
    log.warning("unsigned code is deployed to %s, whose code signing configuration warns only", name.arn)


def attach(tx: Transaction, reference: Reference, arn: str, revision: str) -> None:
    if store.find_function(tx, reference.function) is None:
        raise_no_function(reference)
    _attachable(tx, arn)
    store.save_part(tx, Part(reference.function, KIND, "", revision, {"arn": arn}))


def _attachable(tx: Transaction, arn: str) -> SigningConfig:
    found = _find(tx, arn)
    if found is None:
        raise user_error(
            "CodeSigningConfigNotFoundException",
            "The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
            f"{arn}.",
            status=404,
        )
    return found


def existing(tx: Transaction, arn: str) -> SigningConfig:
    found = _find(tx, arn)
    if found is None:
        raise not_found(f"The Lambda code signing configuration {arn} can not be found.")
    return found


def _config(row: Mapping[str, Any]) -> SigningConfig:
    return SigningConfig(row["arn"], row["account"], row["region"], json.loads(row["body"]))


def _find(tx: Transaction, arn: str) -> SigningConfig | None:
    row = tx.one("select * from lambda_code_signing where arn = :arn", arn=arn)
    return _config(row) if row else None


def _list(tx: Transaction, account: str, region: str) -> list[SigningConfig]:
    sql = "select * from lambda_code_signing where account = :account and region = :region order by arn"
    return [_config(row) for row in tx.all(sql, account=account, region=region)]


def save(tx: Transaction, config: SigningConfig) -> None:
    tx.run(
        """insert into lambda_code_signing (arn, account, region, body) values (:arn, :account, :region, :body)
           on conflict (arn) do update set body = excluded.body""",
        arn=config.arn,
        account=config.account,
        region=config.region,
        body=json.dumps(config.body),
    )


def _users(tx: Transaction, arn: str) -> list[str]:
    return sorted(part.function.arn for part in store.every_part(tx, KIND) if part.body["arn"] == arn)


def _delete(tx: Transaction, arn: str) -> None:
    existing(tx, arn)
    if _users(tx, arn):
        raise conflict(
            "Cannot delete the code signing configuration: it is attached to one or more functions. "
            "Detach it from them first."
        )
    tx.run("delete from lambda_code_signing where arn = :arn", arn=arn)
