"""Chained invokes: a durable function calls another one, as its own role.

A function that cannot be invoked is found out when the checkpoint is taken, and fails the operation then and there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.arn import Arn
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.durable.answers import error_of
from pilotlight.services.awslambda.durable.fold import Course, Target
from pilotlight.services.awslambda.durable.starts import new_execution
from pilotlight.services.awslambda.durable.state import PAYLOAD_BYTES_MAX, Error, Execution
from pilotlight.services.awslambda.names import FUNCTION, Reference, invalid
from pilotlight.services.awslambda.resolver import Resolver
from pilotlight.services.awslambda.running import choose
from pilotlight.services.awslambda.store import Name
from pilotlight.services.awslambda.surroundings import Surroundings

OUTPUT_TOO_LARGE = f"CHAINED_INVOKE output payload size must be less than or equal to {PAYLOAD_BYTES_MAX} bytes."


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a chained invoke ended."""

    status: str
    result: str | None = None
    error: Error | None = None


class Chained:
    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def targets(self, execution: Execution, updates: Sequence[Mapping[str, Any]]) -> dict[str, Target]:
        """What the functions are that this batch wants to call, by operation. Raises for names that are none."""
        return {
            update["Id"]: await self._target(execution, update)
            for update in updates
            if update["Type"] == "CHAINED_INVOKE" and update["Action"] == "START" and update.get("ChainedInvokeOptions")
        }

    async def call(self, execution: Execution, target: str, payload: str | None) -> End:
        """Invoke a function that is not durable, and wait for it."""
        request = {"FunctionName": target, "Payload": (payload or "{}").encode()}
        try:
            answer = await self._parts.cloud.call("lambda", "Invoke", request, await self._role(execution))
        except AwsError as error:
            return End(status="FAILED", error=_refused(error))
        body: bytes = answer.get("Payload") or b""
        if answer.get("FunctionError"):
            return End(status="FAILED", error=error_of(body))
        if len(body) > PAYLOAD_BYTES_MAX:
            return End(status="FAILED", error={"ErrorMessage": OUTPUT_TOO_LARGE})
        try:
            return End(status="SUCCEEDED", result=body.decode() if body else None)
        except UnicodeDecodeError:
            message = "CHAINED_INVOKE response could not be decoded as UTF-8."
            return End(status="FAILED", error={"ErrorMessage": message})

    async def _target(self, execution: Execution, update: Mapping[str, Any]) -> Target:
        options = update["ChainedInvokeOptions"]
        for member in ("TenantId", "XAmznTraceId"):
            if options.get(member):
                raise NotImplementedHere(f"CHAINED_INVOKE with {member}")
        named: str = options["FunctionName"]
        reference = _reference(execution, named)
        request = {"FunctionName": named, "InvocationType": "DryRun"}
        try:
            await self._parts.cloud.call("lambda", "Invoke", request, await self._role(execution))
            route = choose(await self._resolver.resolve(reference), self._parts.ids)
        except AwsError as error:
            return Target(error=_refused(error))
        if route.durable is None:
            return Target(version=route.version.version)
        child = new_execution(
            route,
            self._parts,
            name=self._parts.ids.uuid(),
            payload=update.get("Payload") or "{}",
            synchronous=False,
        )
        child.parent, child.parent_operation = execution.arn, update["Id"]
        course = Course(child, {}, self._parts.ids.uuid)
        course.start(child.started_ms)
        return Target(version=child.version, child=course)

    async def _role(self, execution: Execution) -> Caller:
        """The function's role, as it is now."""
        name = Name(execution.account, execution.region, execution.function)
        route = (await self._resolver.resolve(Reference(name, execution.version))).primary
        role = Arn.parse(route.version.role_arn)
        session = f"assumed-role/{role.resource.rpartition('/')[2]}/{execution.function}"
        return Caller(
            account=role.account,
            region=execution.region,
            kind="role",
            arn=f"arn:aws:sts::{role.account}:{session}",
            role_arn=route.version.role_arn,
            request_id=self._parts.ids.uuid(),
        )


def _reference(execution: Execution, named: str) -> Reference:
    match = FUNCTION.fullmatch(named)
    if match is None:
        raise invalid(f"Invalid function ARN '{named}'")
    if match["account"] not in (None, execution.account):
        raise invalid("Cannot start a CHAINED_INVOKE on a function in another account.")
    if match["region"] not in (None, execution.region):
        raise invalid("Cannot start a CHAINED_INVOKE on a function in another region.")
    return Reference(Name(execution.account, execution.region, match["name"]), match["qualifier"] or "")


def _refused(error: AwsError) -> Error:
    return {"ErrorMessage": error.message, "ErrorType": error.code}


def ended_as(child: Execution) -> End:
    """A child's end, as its parent sees it."""
    if child.status == "SUCCEEDED":
        return End(status="SUCCEEDED", result=child.result)
    if child.status == "TIMED_OUT":
        message = f"CHAINED_INVOKE timed out after {child.timeout_seconds} seconds."
        return End(status="TIMED_OUT", error={"ErrorMessage": message, "ErrorType": "ChainedInvoke.Timeout"})
    return End(status=child.status, error=child.error or {})
