"""The account as a whole: its summary, its alias, and all its authorisation details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.iam import policy_store, shapes, store
from pilotlight.services.iam.entities import Entity, Kind, ManagedPolicy, page
from pilotlight.services.iam.managed import AwsPolicy
from pilotlight.services.iam.principals import Principals
from pilotlight.storage.database import Database, Transaction

Request = dict[str, Any]
Result = dict[str, Any]

QUOTAS: Mapping[str, int] = {
    "AccessKeysPerUserQuota": 2,
    "AssumeRolePolicySizeQuota": 2048,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "AttachedPoliciesPerUserQuota": 10,
    "GlobalEndpointTokenVersion": 1,
    "GroupPolicySizeQuota": 5120,
    "GroupsPerUserQuota": 10,
    "GroupsQuota": 300,
    "InstanceProfilesQuota": 1000,
    "PoliciesQuota": 1500,
    "PolicySizeQuota": 6144,
    "PolicyVersionsInUseQuota": 10000,
    "RolePolicySizeQuota": 10240,
    "RolesQuota": 1000,
    "ServerCertificatesQuota": 20,
    "SigningCertificatesPerUserQuota": 2,
    "UserPolicySizeQuota": 2048,
    "UsersQuota": 5000,
    "VersionsPerPolicyQuota": 5,
}
_NONE = ("AccountAccessKeysPresent", "AccountMFAEnabled", "AccountSigningCertificatesPresent", "MFADevices")
_KINDS: Mapping[str, Kind] = {"User": "user", "Role": "role", "Group": "group"}


class Account:
    def __init__(self, *, database: Database, principals: Principals) -> None:
        self._database = database
        self._principals = principals

    async def get_account_summary(self, caller: Caller, request: Request) -> Result:
        counts = await self._database.scan(store.count, caller.account)
        summary = {
            **QUOTAS,
            **dict.fromkeys((*_NONE, "MFADevicesInUse", "Providers", "ServerCertificates"), 0),
            "Users": counts.get("user", 0),
            "Roles": counts.get("role", 0),
            "Groups": counts.get("group", 0),
            "InstanceProfiles": counts.get("instance-profile", 0),
            "Policies": counts["policy"],
            "PolicyVersionsInUse": counts["version"],
        }
        return {"SummaryMap": summary}

    async def list_account_aliases(self, caller: Caller, request: Request) -> Result:
        return {"AccountAliases": [], "IsTruncated": False}

    async def get_account_authorization_details(self, caller: Caller, request: Request) -> Result:
        wanted = request.get("Filter") or ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"]
        items = await self._database.scan(_details, caller.account, list(wanted), self._principals.aws_policies)
        listed = page(items, request, "Items", lambda item: item, lambda item: f"{item[0]} {item[1]}")
        result: Result = {f"{name}DetailList": [] for name in _KINDS} | {"Policies": []}
        for kind, _, shape in listed.pop("Items"):
            result["Policies" if kind == "Policy" else f"{kind}DetailList"].append(shape)
        return result | listed


def _details(
    tx: Transaction, account: str, wanted: list[str], aws: Mapping[str, AwsPolicy]
) -> list[tuple[str, str, Result]]:
    """(kind, ARN, shape) of everything that was asked for."""
    found: list[tuple[str, str, Result]] = []
    for label, kind in _KINDS.items():
        if label in wanted:
            found += [(label, e.arn, _detail(tx, e)) for e in store.list_entities(tx, account, kind, "/")]
    if "LocalManagedPolicy" in wanted:
        found += [("Policy", p.arn, _policy(tx, p)) for p in policy_store.list_all(tx, account, "/")]
    if "AWSManagedPolicy" in wanted:
        for arn, known in aws.items():
            used = len(store.attachments_of(tx, account, arn))
            # AWS: only those in use are told of.
            if used:
                versions = [shapes.version(known.version, known.version.version, document=True)]
                shape = shapes.policy(known.policy) | {"AttachmentCount": used, "PolicyVersionList": versions}
                found.append(("Policy", arn, shape))
    return found


def _policy(tx: Transaction, policy: ManagedPolicy) -> Result:
    versions = policy_store.versions(tx, policy.account, policy.arn)
    shown = [shapes.version(version, policy.default_version, document=True) for version in versions]
    return shapes.policy(policy, described=True) | {"PolicyVersionList": shown}


def _detail(tx: Transaction, entity: Entity) -> Result:
    account, kind, name = entity.account, entity.kind, entity.name
    tags = store.tags(tx, account, kind, name)
    inline = [shapes.inline(policy, text) for policy, text in store.inline_policies(tx, account, kind, name).items()]
    attached = [
        {"PolicyName": arn.rsplit("/", 1)[-1], "PolicyArn": arn} for arn in store.attached(tx, account, kind, name)
    ]
    label = kind.capitalize()
    shared = {f"{label}PolicyList": inline, "AttachedManagedPolicies": attached}
    if kind == "user":
        return shapes.user(entity, tags) | shared | {"GroupList": store.owners(tx, account, "group", name)}
    if kind == "group":
        return shapes.group(entity) | shared
    profiles = [
        shapes.instance_profile(store.get_entity(tx, account, "instance-profile", owner), [entity])
        for owner in store.owners(tx, account, "instance-profile", name)
    ]
    shape = shapes.role(entity, tags) | shared | {"InstanceProfileList": profiles}
    del shape["MaxSessionDuration"]
    return shape
