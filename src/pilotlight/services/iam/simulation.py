"""What-if questions: the evaluator of `identity/`, asked about policies and actions that the caller names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.authorise import request_context
from pilotlight.identity.caller import Caller
from pilotlight.identity.conditions import context_of
from pilotlight.identity.policies import Ask, Asker, Decision, InvalidPolicy, Papers, Policy, compile_policy, evaluate
from pilotlight.services.iam import policy_store, store
from pilotlight.services.iam.entities import Entity, Kind, page
from pilotlight.services.iam.principals import Principals
from pilotlight.storage.database import Database

Request = dict[str, Any]
Result = dict[str, Any]

Source = tuple[str, str, Policy]
"""Id and type of a policy as `MatchedStatements` names them, and the policy."""


class Simulation:
    def __init__(self, *, database: Database, principals: Principals, clock: Clock) -> None:
        self._database = database
        self._principals = principals
        self._clock = clock

    async def simulate_custom_policy(self, caller: Caller, request: Request) -> Result:
        _check_members(request, "SimulateCustomPolicy")
        return _simulate(request, _given(request), None, caller, self._clock.wall_ms())

    async def simulate_principal_policy(self, caller: Caller, request: Request) -> Result:
        _check_members(request, "SimulatePrincipalPolicy")
        arn = request["PolicySourceArn"]
        entity = await self._entity(caller.account, arn)
        rows = await self._database.read(policy_store.sources, caller.account, entity.kind, entity.name)
        sources: list[Source] = []
        for kind, owner, name, document in rows:
            text = document or await self._principals.policy_document(caller.account, name) or ""
            inline = not name.startswith("arn:")
            sources.append(
                (
                    f"{kind}_{owner}_{name}" if inline else name.rsplit("/", 1)[-1],
                    kind if inline else ("aws-managed" if name.startswith("arn:aws:iam::aws:") else "user-managed"),
                    compile_policy(text),
                )
            )
        boundary = None
        if entity.boundary:
            text = await self._principals.policy_document(caller.account, entity.boundary) or ""
            boundary = compile_policy(text)
        simulated = _as_caller(caller, entity)
        return _simulate(request, sources + _given(request), boundary, simulated, self._clock.wall_ms())

    async def get_context_keys_for_custom_policy(self, caller: Caller, request: Request) -> Result:
        return {"ContextKeyNames": _context_keys([policy for _, _, policy in _given(request)])}

    async def _entity(self, account: str, arn: str) -> Entity:
        parts = arn.split(":", 5)
        kind = parts[5].partition("/")[0] if len(parts) == 6 else ""
        kinds: dict[str, Kind] = {"user": "user", "role": "role", "group": "group"}
        if kind not in kinds:
            raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
        return await self._database.read(store.get_entity, account, kinds[kind], arn.rsplit("/", 1)[-1])


def _check_members(request: Request, operation: str) -> None:
    for member in (
        "OrderedOrganizationPolicyInputList",
        "PolicyExclusionList",
        "ResourceOwner",
        "ResourceHandlingOption",
    ):
        if request.get(member):
            raise NotImplementedHere(f"{operation} with {member}")


def _as_caller(caller: Caller, entity: Entity) -> Caller:
    return Caller(
        account=caller.account,
        region=caller.region,
        kind="role" if entity.kind == "role" else "user",
        arn=entity.arn,
        role_arn=entity.arn if entity.kind == "role" else "",
        user_id=entity.id,
        source_ip=caller.source_ip,
    )


def _given(request: Request) -> list[Source]:
    return [
        (f"PolicyInputList.{number}", "IAM Policy", _compiled(text))
        for number, text in enumerate(request.get("PolicyInputList") or (), start=1)
    ]


def _compiled(text: str) -> Policy:
    try:
        return compile_policy(text)
    except InvalidPolicy:
        message = "The policy failed validation. Check the syntax and grammar of the policy document."
        raise AwsError("InvalidInput", message) from None


def _simulate(
    request: Request, sources: Sequence[Source], boundary: Policy | None, caller: Caller, wall_ms: int
) -> Result:
    boundaries = request.get("PermissionsBoundaryPolicyInputList") or []
    if boundaries:
        boundary = _compiled(boundaries[0])
    resource_policy = _compiled(request["ResourcePolicy"]) if request.get("ResourcePolicy") else None
    given = {
        entry["ContextKeyName"]: entry.get("ContextKeyValues", []) for entry in request.get("ContextEntries") or ()
    }
    context = context_of(request_context(caller, wall_ms), given)
    arn = request.get("CallerArn", caller.arn)
    asker = Asker(caller.account, arn, arn if ":role/" in arn else "")
    papers = Papers(identity=[policy for _, _, policy in sources], boundary=boundary, resource=resource_policy)
    results = []
    for action in request["ActionNames"]:
        for resource in request.get("ResourceArns") or ["*"]:
            ask = Ask(action.lower(), resource, context, asker)
            decision = evaluate(ask, papers)
            shape: Result = {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": _word(decision),
                "MatchedStatements": _matched(ask, sources, decision),
                "MissingContextValues": _missing(ask, sources),
            }
            if boundary is not None:
                allowed = boundary.verdict(ask) == "allow"
                shape["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
            results.append(shape)
    return page(
        list(enumerate(results)), request, "EvaluationResults", lambda item: item[1], lambda item: f"{item[0]:06}"
    )


def _word(decision: Decision) -> str:
    if decision.allowed:
        return "allowed"
    return "explicitDeny" if decision.explicit else "implicitDeny"


def _matched(ask: Ask, sources: Sequence[Source], decision: Decision) -> list[Result]:
    """The statements that decided: the denying ones, or the allowing ones."""
    wanted = not decision.explicit
    return [
        {"SourcePolicyId": source, "SourcePolicyType": kind}
        for source, kind, policy in sources
        for statement in policy.statements
        if statement.allow == wanted and statement.applies(ask)
    ]


def _missing(ask: Ask, sources: Sequence[Source]) -> list[str]:
    keys = _context_keys([policy for _, _, policy in sources])
    return [key for key in keys if key.lower() not in ask.context]


def _context_keys(policies: Sequence[Policy]) -> list[str]:
    found = {
        condition.key for policy in policies for statement in policy.statements for condition in statement.conditions
    }
    return sorted(found)
