"""The permissions that IAM's own operations need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params

_KINDS = (
    ("RoleName", "role"),
    ("GroupName", "group"),
    ("UserName", "user"),
    ("InstanceProfileName", "instance-profile"),
)
_NEW = {"CreatePolicy": ("PolicyName", "policy")}


class IamGuard:
    """One permission an operation: `iam:OPERATION` on what its parameters name."""

    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        context: dict[str, Any] = {}
        if "PolicyArn" in params:
            context["iam:PolicyARN"] = params["PolicyArn"]
        if params.get("PermissionsBoundary"):
            context["iam:PermissionsBoundary"] = params["PermissionsBoundary"]
        if "AWSServiceName" in params:
            context["iam:AWSServiceName"] = params["AWSServiceName"]
        for tag in params.get("Tags") or ():
            context[f"aws:RequestTag/{tag['Key']}"] = tag["Value"]
        if params.get("Tags") or params.get("TagKeys"):
            context["aws:TagKeys"] = [*(tag["Key"] for tag in params.get("Tags") or ()), *(params.get("TagKeys") or ())]
        return [Access(f"iam:{operation}", self._resource(operation, params, caller), context)]

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        return None

    def _resource(self, operation: str, params: Params, caller: Caller) -> str:
        prefix = f"arn:aws:iam::{caller.account}:"
        if operation in _NEW:
            member, kind = _NEW[operation]
            return f"{prefix}{kind}{params.get('Path', '/')}{params[member]}"
        for member, kind in _KINDS:
            if params.get(member):
                return f"{prefix}{kind}{params.get('Path', '/')}{params[member]}"
        if "PolicyArn" in params:
            return str(params["PolicyArn"])
        if "PolicySourceArn" in params:
            return str(params["PolicySourceArn"])
        if operation.startswith("List"):
            return f"{prefix}{_LISTED.get(operation, '*')}" if operation in _LISTED else "*"
        own = caller.kind == "user" and operation in ("GetUser", "CreateAccessKey", "ListAccessKeys", "DeleteAccessKey")
        return caller.arn if own else "*"


_LISTED = {
    "ListUsers": "user/",
    "ListRoles": "role/",
    "ListGroups": "group/",
    "ListPolicies": "policy/",
    "ListInstanceProfiles": "instance-profile/",
}
