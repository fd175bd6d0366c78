"""Managed policies: the account's own with their versions, and AWS's, which nobody may change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.iam import policy_store, shapes, store
from pilotlight.services.iam.documents import check_identity
from pilotlight.services.iam.entities import (
    POLICY_CHARACTERS_MAX,
    Kind,
    ManagedPolicy,
    PolicyVersion,
    limit_exceeded,
    page,
    tags_of,
    tags_shape,
)
from pilotlight.services.iam.principals import Principals
from pilotlight.storage.database import Database, Transaction

Request = dict[str, Any]
Result = dict[str, Any]


def _checked(document: str) -> str:
    check_identity(document)
    if len("".join(document.split())) > POLICY_CHARACTERS_MAX:
        raise limit_exceeded(f"Cannot exceed quota for PolicySize: {POLICY_CHARACTERS_MAX}")
    return document


def _number(version: str, arn: str) -> int:
    try:
        return int(version.removeprefix("v").partition(".")[0])
    except ValueError:
        raise policy_store.no_such_version(arn, version) from None


class ManagedPolicies:
    def __init__(self, *, database: Database, principals: Principals, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._principals = principals
        self._clock = clock
        self._ids = ids

    async def create_policy(self, caller: Caller, request: Request) -> Result:
        name, path = request["PolicyName"], request.get("Path", "/")
        now_ms = self._clock.wall_ms()
        policy = ManagedPolicy(
            account=caller.account,
            arn=f"arn:aws:iam::{caller.account}:policy{path}{name}",
            name=name,
            path=path,
            id=self._ids.unique("ANPA"),
            description=request.get("Description", ""),
            default_version=1,
            last_version=1,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        tags = tags_of(request)
        document = _checked(request["PolicyDocument"])
        await self._database.write(policy_store.create, policy, document, tags)
        return {"Policy": shapes.policy(policy, tags)}

    async def get_policy(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        if arn in self._principals.aws_policies:
            policy = self._principals.aws_policies[arn].policy
            used = await self._database.read(store.attachments_of, caller.account, arn)
            shape = shapes.policy(policy, described=True)
            return {"Policy": shape | {"AttachmentCount": len(used)}}
        policy = await self._database.read(policy_store.get, caller.account, arn)
        tags = await self._database.read(store.tags, caller.account, "policy", arn)
        return {"Policy": shapes.policy(policy, tags, described=True)}

    async def list_policies(self, caller: Caller, request: Request) -> Result:
        scope, prefix = request.get("Scope", "All"), request.get("PathPrefix", "/")
        policies: list[ManagedPolicy] = []
        if scope in ("All", "Local"):
            policies += await self._database.scan(policy_store.list_all, caller.account, prefix)
        if scope in ("All", "AWS"):
            policies += await self._database.scan(
                _with_use,
                caller.account,
                [
                    known.policy
                    for known in self._principals.aws_policies.values()
                    if known.policy.path.startswith(prefix)
                ],
            )
        if request.get("OnlyAttached"):
            policies = [policy for policy in policies if policy.attachments]
        usage = request.get("PolicyUsageFilter")
        if usage:
            policies = [p for p in policies if (p.boundary_uses if usage == "PermissionsBoundary" else p.attachments)]
        return page(policies, request, "Policies", shapes.policy, lambda policy: f"{policy.name} {policy.arn}")

    async def delete_policy(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        self._refuse_aws(caller, "DeletePolicy", arn)
        await self._database.write(policy_store.delete, caller.account, arn)
        return {}

    async def create_policy_version(self, caller: Caller, request: Request) -> Result:
        arn, default = request["PolicyArn"], bool(request.get("SetAsDefault"))
        self._refuse_aws(caller, "CreatePolicyVersion", arn)
        document = _checked(request["PolicyDocument"])
        version = await self._database.write(
            policy_store.create_version,
            caller.account,
            arn,
            document=document,
            default=default,
            now_ms=self._clock.wall_ms(),
        )
        return {"PolicyVersion": shapes.version(version, version.version if default else 0, document=False)}

    async def get_policy_version(self, caller: Caller, request: Request) -> Result:
        arn, wanted = request["PolicyArn"], request["VersionId"]
        versions, default = await self._versions(caller, arn)
        number = _number(wanted, arn)
        for version in versions:
            if version.version == number:
                return {"PolicyVersion": shapes.version(version, default, document=True)}
        raise policy_store.no_such_version(arn, wanted)

    async def list_policy_versions(self, caller: Caller, request: Request) -> Result:
        versions, default = await self._versions(caller, request["PolicyArn"])
        # Newest first, as AWS lists them.
        return page(
            versions,
            request,
            "Versions",
            lambda version: shapes.version(version, default, document=False),
            lambda version: f"{10**9 - version.version:010}",
        )

    async def set_default_policy_version(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        self._refuse_aws(caller, "SetDefaultPolicyVersion", arn)
        number = _number(request["VersionId"], arn)
        now_ms = self._clock.wall_ms()
        await self._database.write(policy_store.set_default, caller.account, arn, number, now_ms)
        return {}

    async def delete_policy_version(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        self._refuse_aws(caller, "DeletePolicyVersion", arn)
        await self._database.write(policy_store.delete_version, caller.account, arn, _number(request["VersionId"], arn))
        return {}

    async def list_entities_for_policy(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        await self._versions(caller, arn)
        usage, kind = request.get("PolicyUsageFilter"), request.get("EntityFilter")
        found: list[tuple[Kind, str]] = []
        if usage in (None, "PermissionsPolicy"):
            found += await self._database.read(store.attachments_of, caller.account, arn)
        if usage in (None, "PermissionsBoundary"):
            found += await self._database.read(store.bounded_by, caller.account, arn)
        kinds = {"User": ["user"], "Role": ["role"], "Group": ["group"]}.get(kind or "", ["user", "role", "group"])
        wanted = sorted({(entity_kind, name) for entity_kind, name in found if entity_kind in kinds})
        listed = page(wanted, request, "Entities", lambda entity: entity, lambda entity: " ".join(entity))
        shown: Result = {"PolicyGroups": [], "PolicyUsers": [], "PolicyRoles": []}
        for entity_kind, name in listed.pop("Entities"):
            entity = await self._database.read(store.get_entity, caller.account, entity_kind, name)
            label = entity_kind.capitalize()
            shown[f"Policy{label}s"].append({f"{label}Name": entity.name, f"{label}Id": entity.id})
        return shown | listed

    async def tag_policy(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        await self._database.read(policy_store.get, caller.account, arn)
        await self._database.write(store.put_tags, caller.account, "policy", arn, tags_of(request))
        return {}

    async def untag_policy(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        await self._database.read(policy_store.get, caller.account, arn)
        await self._database.write(store.remove_tags, caller.account, "policy", arn, request["TagKeys"])
        return {}

    async def list_policy_tags(self, caller: Caller, request: Request) -> Result:
        arn = request["PolicyArn"]
        await self._database.read(policy_store.get, caller.account, arn)
        tags = tags_shape(await self._database.read(store.tags, caller.account, "policy", arn))
        return page(tags, request, "Tags", lambda tag: tag, lambda tag: tag["Key"])

    async def _versions(self, caller: Caller, arn: str) -> tuple[list[PolicyVersion], int]:
        """The versions, and the number of the default one."""
        if arn in self._principals.aws_policies:
            known = self._principals.aws_policies[arn]
            return [known.version], known.version.version
        policy = await self._database.read(policy_store.get, caller.account, arn)
        return await self._database.read(policy_store.versions, caller.account, arn), policy.default_version

    def _refuse_aws(self, caller: Caller, operation: str, arn: str) -> None:
        if arn.startswith("arn:aws:iam::aws:"):
            message = f"User: {caller.arn} is not authorized to perform: iam:{operation} on resource: policy {arn}"
            raise AwsError("AccessDenied", message, status=403)


def _with_use(tx: Transaction, account: str, policies: list[ManagedPolicy]) -> list[ManagedPolicy]:
    """AWS managed policies with the number of their attachments in this account."""
    used = [(policy, len(store.attachments_of(tx, account, policy.arn))) for policy in policies]
    return [replace(policy, attachments=count) for policy, count in used]
