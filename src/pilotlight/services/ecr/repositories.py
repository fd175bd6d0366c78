"""Repositories, and the settings that are set whole: mutability of tags, policies, resource tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.identity.policies import InvalidPolicy, compile_policy
from pilotlight.services.ecr import store
from pilotlight.services.ecr.access import Shared, with_resource
from pilotlight.services.ecr.mutability import check_mutability
from pilotlight.services.ecr.names import check_name, host_of, invalid, no_repository, registry_of, unsatisfied
from pilotlight.services.ecr.store import Repository
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
PAGE = 100
PAGE_MAX = 1000
TAGS_MAX = 50
NAMES_MAX = 100
POLICY_BYTES_MAX = 10_240


class Repositories:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def create_repository(self, caller: Caller, request: Request) -> dict[str, Any]:
        name = request["repositoryName"]
        check_name(name)
        account = _own(caller, request)
        encryption = request.get("encryptionConfiguration") or {"encryptionType": "AES256"}
        if encryption["encryptionType"] != "AES256" or encryption.get("kmsKey"):
            raise NotImplementedHere(f"CreateRepository with encryptionType {encryption['encryptionType']}")
        tags = {tag["Key"]: tag["Value"] for tag in request.get("tags") or ()}
        _check_tags(tags)
        settings: dict[str, Any] = {"tags": tags, **check_mutability(request)}
        if (request.get("imageScanningConfiguration") or {}).get("scanOnPush"):
            settings["scan_on_push"] = True
        shared = self._shared
        repository = Repository(shared.ids.uuid(), account, caller.region, name, shared.clock.now_ms(), settings)
        if not await shared.database.write(store.add_repository, repository):
            raise AwsError(
                "RepositoryAlreadyExistsException",
                f"The repository with name '{name}' already exists in the registry with id '{account}'",
            )
        return {"repository": self._shown(repository)}

    async def describe_repositories(self, caller: Caller, request: Request) -> dict[str, Any]:
        account, names = registry_of(caller, request), request.get("repositoryNames")
        if names:
            if len(names) > NAMES_MAX:
                raise unsatisfied("repositoryNames", f"Member must have length less than or equal to {NAMES_MAX}")
            if "maxResults" in request or "nextToken" in request:
                raise invalid("maxResults and nextToken cannot be used together with repositoryNames.")
            asked = [{"registryId": account, "repositoryName": name} for name in names]
            found = [await self._shared.repository(caller, one) for one in asked]
            return {"repositories": [self._shown(one) for one in found]}
        limit = min(request.get("maxResults", PAGE), PAGE_MAX)
        found = await self._shared.database.read(
            store.list_repositories, account, caller.region, after=request.get("nextToken", ""), limit=limit + 1
        )
        answer: dict[str, Any] = {"repositories": [self._shown(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = found[limit - 1].name
        return answer

    async def delete_repository(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)

        def delete(tx: Transaction) -> list[str]:
            if store.repository_by_id(tx, repository.id) is None:
                raise no_repository(repository.name, repository.account)
            if not request.get("force") and store.has_images(tx, repository):
                raise AwsError(
                    "RepositoryNotEmptyException",
                    f"The repository with name '{repository.name}' in registry with id '{repository.account}' cannot "
                    "be deleted because it still contains images",
                )
            return store.delete_repository(tx, repository)

        await self._shared.content.discard(await self._shared.database.write(delete))
        return {"repository": self._shown(repository)}

    async def put_image_tag_mutability(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        chosen = check_mutability(request)
        await self._change(repository, {"mutability": None, "exclusions": None, **chosen})
        answer = {**_place(repository), "imageTagMutability": chosen["mutability"]}
        return answer | ({"imageTagMutabilityExclusionFilters": chosen["exclusions"]} if "exclusions" in chosen else {})

    async def put_image_scanning_configuration(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        wanted = bool(request["imageScanningConfiguration"].get("scanOnPush"))
        await self._change(repository, {"scan_on_push": wanted or None})
        return {**_place(repository), "imageScanningConfiguration": {"scanOnPush": wanted}}

    async def set_repository_policy(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        text = request["policyText"]
        policy = _check_policy(text)
        if not request.get("force") and _locks_out(policy, caller):
            raise invalid(
                "The policy would keep you from setting another policy on this repository. Use force to set it anyway."
            )
        await self._change(repository, {"policy": text})
        return {**_place(repository), "policyText": text}

    async def get_repository_policy(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        return {**_place(repository), "policyText": _policy_of(repository)}

    async def delete_repository_policy(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        text = _policy_of(repository)
        await self._change(repository, {"policy": None})
        return {**_place(repository), "policyText": text}

    async def tag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._tagged(caller, request)
        given = {tag["Key"]: tag["Value"] for tag in request["tags"]}
        _check_tags({**repository.settings.get("tags", {}), **given})
        await self._change(repository, {"tags": {**repository.settings.get("tags", {}), **given}})
        return {}

    async def untag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._tagged(caller, request)
        kept = {key: value for key, value in repository.settings.get("tags", {}).items()
                if key not in request["tagKeys"]}  # fmt: skip
        await self._change(repository, {"tags": kept})
        return {}

    async def list_tags_for_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._tagged(caller, request)
        return {"tags": [{"Key": key, "Value": value} for key, value in repository.settings.get("tags", {}).items()]}

    async def describe_registry(self, caller: Caller, request: Request) -> dict[str, Any]:
        return {"registryId": caller.account, "replicationConfiguration": {"rules": []}}

    async def _tagged(self, caller: Caller, request: Request) -> Repository:
        parts = request["resourceArn"].split(":", 5)
        if len(parts) < 6 or parts[2] != "ecr" or not parts[5].startswith("repository/"):
            raise invalid(
                f"Invalid parameter at 'resourceArn' failed to satisfy constraint: '{request['resourceArn']}'"
            )
        asked = {"registryId": parts[4], "repositoryName": parts[5].removeprefix("repository/")}
        return await self._shared.repository(caller.in_region(parts[3]), asked)

    async def _change(self, repository: Repository, changes: Mapping[str, Any]) -> None:
        if not await self._shared.database.write(store.change_settings, repository, changes):
            raise no_repository(repository.name, repository.account)

    def _shown(self, repository: Repository) -> dict[str, Any]:
        settings = repository.settings
        shown: dict[str, Any] = {
            "repositoryArn": repository.arn,
            "registryId": repository.account,
            "repositoryName": repository.name,
            "repositoryUri": f"{host_of(repository.account, repository.region, self._shared.port)}/{repository.name}",
            "createdAt": datetime.fromtimestamp(repository.created_ms / 1000, UTC),
            "imageTagMutability": settings.get("mutability", "MUTABLE"),
            "imageScanningConfiguration": {"scanOnPush": settings.get("scan_on_push", False)},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        }
        if "exclusions" in settings:
            shown["imageTagMutabilityExclusionFilters"] = settings["exclusions"]
        return shown


def _own(caller: Caller, request: Request) -> str:
    account = registry_of(caller, request)
    if account != caller.account:
        # AWS: a repository is made in one's own registry only.
        raise invalid(f"The registry ID in the request {account} is not the same as the caller's {caller.account}.")
    return account


def _place(repository: Repository) -> dict[str, Any]:
    return {"registryId": repository.account, "repositoryName": repository.name}


def _policy_of(repository: Repository) -> str:
    text = repository.settings.get("policy")
    if not text:
        raise AwsError(
            "RepositoryPolicyNotFoundException",
            f"Repository policy does not exist for the repository with name '{repository.name}' in the registry with "
            f"id '{repository.account}'",
        )
    return str(text)


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise AwsError("TooManyTagsException", f"A repository has at most {TAGS_MAX} tags.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise AwsError("InvalidTagParameterException", f"The tag with key '{key}' is not valid.")


def _check_policy(text: str) -> dict[str, Any]:
    refused = unsatisfied("PolicyText", "Invalid repository policy provided")
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise refused
    try:
        policy = json.loads(text)
        statements = policy["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            actions = statement.get("Action", statement.get("NotAction"))
            listed = [actions] if isinstance(actions, str) else actions
            if statement["Effect"] not in ("Allow", "Deny") or not {"Principal", "NotPrincipal"} & set(statement):
                raise refused
            if not listed or not all(one == "*" or one.lower().startswith("ecr:") for one in listed):
                raise refused
        compile_policy(with_resource(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidPolicy):
        raise refused from None
    return dict(policy)


def _locks_out(policy: Mapping[str, Any], caller: Caller) -> bool:
    statements = policy["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        actions = statement.get("Action", ())
        listed = [actions] if isinstance(actions, str) else actions
        covered = any(fnmatchcase("ecr:setrepositorypolicy", one.lower()) for one in listed)
        if statement["Effect"] == "Deny" and covered and "Condition" not in statement:
            principal = statement.get("Principal")
            named = principal.get("AWS", ()) if isinstance(principal, dict) else principal
            whom = [named] if isinstance(named, str) else list(named or ())
            own = ("*", caller.account, f"arn:aws:iam::{caller.account}:root", caller.arn, caller.role_arn)
            if any(one in own for one in whom):
                return True
    return False
