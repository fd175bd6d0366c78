"""What ECR's operations share: the rows, the bytes, and who may do what in which repository."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.clock import Clock
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.contract import Access, Params
from pilotlight.services.ecr import store
from pilotlight.services.ecr.content import Content
from pilotlight.services.ecr.names import no_repository, registry_of
from pilotlight.services.ecr.store import Repository
from pilotlight.storage import Database

WITHOUT_REPOSITORY = ("GetAuthorizationToken",)


@dataclass(frozen=True, slots=True)
class Shared:
    database: Database
    content: Content
    clock: Clock
    ids: Ids
    port: int
    """Of the cloud's own listener."""
    wake: Callable[[], None]
    """Called when there may be something to expire."""

    async def repository(self, caller: Caller, request: Mapping[str, Any]) -> Repository:
        """Raises RepositoryNotFoundException."""
        account, name = registry_of(caller, request), str(request["repositoryName"])
        found = await self.database.read(store.find_repository, account, caller.region, name)
        if found is None:
            raise no_repository(name, account)
        return found


class EcrGuard:
    def __init__(self, database: Database) -> None:
        self._database = database

    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        if operation in WITHOUT_REPOSITORY:
            return [Access(f"ecr:{operation}", "*")]
        arn = params.get("resourceArn")
        if not arn:
            names = params.get("repositoryNames") or [params.get("repositoryName") or "*"]
            account = registry_of(caller, params)
            prefix = f"arn:aws:ecr:{caller.region}:{account}:repository/"
            return [Access(f"ecr:{operation}", prefix + name, _context(params)) for name in names]
        return [Access(f"ecr:{operation}", arn, _context(params))]

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        parts = access.resource.split(":", 5)
        if len(parts) < 6:
            return None
        name = parts[5].removeprefix("repository/")
        found = await self._database.read(store.find_repository, parts[4], parts[3], name)
        if found is None or not found.settings.get("policy"):
            return None
        # AWS: a repository's policy names no resource, since there is none but the repository.
        return with_resource(found.settings["policy"])


def with_resource(text: str) -> str:
    """The policy as the evaluation wants it: each statement about everything there is, which is the repository."""
    policy = json.loads(text)
    statements = policy.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return json.dumps(
        {**policy, "Statement": [one if "NotResource" in one else {"Resource": "*", **one} for one in listed]}
    )


def _context(params: Params) -> dict[str, Any]:
    tags = params.get("tags") or ()
    context: dict[str, Any] = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    keys = [tag["Key"] for tag in tags] + list(params.get("tagKeys") or ())
    return context | ({"aws:TagKeys": keys} if keys else {})
