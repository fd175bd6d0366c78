"""IAM's nouns as its answers show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.iam.entities import (
    Entity,
    ManagedPolicy,
    PolicyVersion,
    StoredKey,
    encoded,
    moment,
    not_attachable,
    tags_shape,
)
from pilotlight.services.iam.principals import Principals

Shape = dict[str, Any]


async def check_boundary(principals: Principals, account: str, arn: str) -> None:
    """A permissions boundary must be a managed policy that exists."""
    if not arn:
        return
    if not arn.startswith("arn:") or ":policy/" not in arn:
        raise AwsError("InvalidInput", f"ARN {arn} is not valid.")
    if await principals.policy_document(account, arn) is None:
        raise AwsError("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", status=404)


async def check_attachable(principals: Principals, account: str, arn: str) -> None:
    """Raises where there is no such managed policy, AWS's or the account's own."""
    if not arn.startswith("arn:") or ":policy/" not in arn:
        raise AwsError("InvalidInput", f"ARN {arn} is not valid.")
    if await principals.policy_document(account, arn) is None:
        raise not_attachable(arn)


def _head(entity: Entity) -> Shape:
    return {"Path": entity.path, "Arn": entity.arn, "CreateDate": moment(entity.created_ms)}


def _boundary(entity: Entity) -> Shape:
    if not entity.boundary:
        return {}
    boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": entity.boundary}
    return {"PermissionsBoundary": boundary}


def user(entity: Entity, tags: Mapping[str, str] | None) -> Shape:
    """`tags` None: a list, which shows neither tags nor boundaries."""
    shape = {"UserName": entity.name, "UserId": entity.id, **_head(entity)}
    if tags is None:
        return shape
    return shape | _boundary(entity) | ({"Tags": tags_shape(tags)} if tags else {})


def group(entity: Entity) -> Shape:
    return {"GroupName": entity.name, "GroupId": entity.id, **_head(entity)}


def role(entity: Entity, tags: Mapping[str, str] | None) -> Shape:
    """`tags` None: a list, which shows neither tags nor boundaries nor the last use."""
    shape: Shape = {
        "RoleName": entity.name,
        "RoleId": entity.id,
        "AssumeRolePolicyDocument": encoded(entity.trust),
        "MaxSessionDuration": entity.max_session_seconds,
        **_head(entity),
    }
    if entity.description:
        shape["Description"] = entity.description
    if tags is None:
        return shape
    return shape | _boundary(entity) | {"RoleLastUsed": {}} | ({"Tags": tags_shape(tags)} if tags else {})


def instance_profile(entity: Entity, roles: list[Entity], tags: Mapping[str, str] | None = None) -> Shape:
    return {
        "InstanceProfileName": entity.name,
        "InstanceProfileId": entity.id,
        "Roles": [role(held, None) for held in roles],
        **_head(entity),
        **({"Tags": tags_shape(tags)} if tags else {}),
    }


def access_key(key: StoredKey) -> Shape:
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": moment(key.created_ms),
    }


def policy(value: ManagedPolicy, tags: Mapping[str, str] | None = None, *, described: bool = False) -> Shape:
    """`described`: lists do not show descriptions."""
    shape: Shape = {
        "PolicyName": value.name,
        "PolicyId": value.id,
        "Arn": value.arn,
        "Path": value.path,
        "DefaultVersionId": f"v{value.default_version}",
        "AttachmentCount": value.attachments,
        "PermissionsBoundaryUsageCount": value.boundary_uses,
        "IsAttachable": True,
        "CreateDate": moment(value.created_ms),
        "UpdateDate": moment(value.updated_ms),
    }
    if described and value.description:
        shape["Description"] = value.description
    if tags:
        shape["Tags"] = tags_shape(tags)
    return shape


def version(value: PolicyVersion, default: int, *, document: bool) -> Shape:
    shape: Shape = {
        "VersionId": f"v{value.version}",
        "IsDefaultVersion": value.version == default,
        "CreateDate": moment(value.created_ms),
    }
    return shape | ({"Document": encoded(value.document)} if document else {})


def inline(name: str, document: str) -> Shape:
    return {"PolicyName": name, "PolicyDocument": encoded(document)}
