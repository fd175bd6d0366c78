"""What a function's role may do elsewhere, asked of IAM before a setting that needs it is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.store import Name
from pilotlight.services.awslambda.surroundings import Surroundings


async def denied(
    parts: Surroundings, caller: Caller, function: Name, role: str, actions: Sequence[str], resource: str
) -> list[str]:
    """Those of the actions (`sqs:SendMessage`) that the role's own policies do not allow; all, without a role."""
    # As the account itself: whoever changes the function need not be allowed to look at roles.
    own = replace(caller, kind="administrator", account=function.account)
    asked = {"PolicySourceArn": role, "ActionNames": list(actions), "ResourceArns": [resource]}
    try:
        told = await parts.cloud.call("iam", "SimulatePrincipalPolicy", asked, own)
    except AwsError:
        return list(actions)
    results = told["EvaluationResults"]
    return [result["EvalActionName"] for result in results if result["EvalDecision"] != "allowed"]
