"""Step Functions' permissions: `states:StartExecution` on the state machine, and so on."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params
from pilotlight.services.stepfunctions.names import machine_arn

WITHOUT_RESOURCE = frozenset(
    {"ListStateMachines", "SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat", "ValidateStateMachineDefinition"}
)


class StatesGuard:
    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        action = f"states:{operation}"
        if operation in WITHOUT_RESOURCE:
            return [Access(action, "*")]
        resource = next(
            (params[name] for name in ("stateMachineArn", "executionArn", "resourceArn") if name in params), ""
        )
        accesses = [Access(action, resource or machine_arn(caller, params.get("name", "*")))]
        if operation in ("CreateStateMachine", "UpdateStateMachine") and params.get("roleArn"):
            passed = {"iam:PassedToService": "states.amazonaws.com"}
            accesses.append(Access("iam:PassRole", params["roleArn"], passed))
        return accesses

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        return None
