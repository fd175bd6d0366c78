"""CloudFormation's permissions: `cloudformation:CreateStack` on the stack's ARN, and so on."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params

WHOLE = {"ListStacks", "ListExports", "ListImports", "ValidateTemplate", "GetTemplateSummary", "DescribeAccountLimits"}


class CloudFormationGuard:
    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        name = params.get("StackName", "")
        if operation in WHOLE or not name:
            resource = "*"
        elif name.startswith("arn:"):
            resource = name
        else:
            resource = f"arn:aws:cloudformation:{caller.region}:{caller.account}:stack/{name}/*"
        found = [Access(f"cloudformation:{operation}", resource)]
        if params.get("RoleARN"):
            passed = {"iam:PassedToService": "cloudformation.amazonaws.com"}
            found.append(Access("iam:PassRole", params["RoleARN"], passed))
        return found

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        return None
