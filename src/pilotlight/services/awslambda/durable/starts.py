"""How an execution begins: `Invoke` of a durable function.

# AWS: a durable function is invoked by version or alias (or `$LATEST`, when it is named); synchronously only where its
# execution ends within 15 minutes. The same name and payload again is the same execution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pilotlight.errors import AwsError
from pilotlight.services.awslambda.durable.answers import failure_of
from pilotlight.services.awslambda.durable.refusals import already_started
from pilotlight.services.awslambda.durable.state import Execution
from pilotlight.services.awslambda.names import Reference, invalid
from pilotlight.services.awslambda.resolver import Route
from pilotlight.services.awslambda.surroundings import Surroundings

SYNCHRONOUS_SECONDS_MAX = 900
UNQUALIFIED = "You cannot invoke a durable function using an unqualified ARN."
TOO_LONG = "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes."


class Ended(Protocol):
    @property
    def execution(self) -> Execution: ...
    @property
    def log_tail(self) -> bytes: ...


class Starter(Protocol):
    """The runner, as `Invoke` sees it."""

    async def start(self, execution: Execution) -> Execution: ...
    async def wait_ended(self, arn: str) -> Ended: ...


def check_invoke(reference: Reference, route: Route, request: Mapping[str, Any]) -> None:
    """Raises AWS's refusals; of a function that is not durable, only its execution name is one."""
    if route.durable is None:
        if request.get("DurableExecutionName"):
            raise invalid("DurableExecutionName can only be given when a durable function is invoked.")
        return
    if not reference.qualifier:
        raise invalid(UNQUALIFIED)
    if request.get("InvocationType", "RequestResponse") != "RequestResponse":
        return
    if route.limits.concurrent == 0:
        raise AwsError(
            "TooManyRequestsException",
            "Rate Exceeded.",
            status=429,
            members={"Reason": route.limits.reason, "Type": "User"},
        )
    if route.durable["ExecutionTimeout"] > SYNCHRONOUS_SECONDS_MAX:
        raise invalid(TOO_LONG)


def new_execution(
    route: Route, parts: Surroundings, *, name: str, payload: str, synchronous: bool, client_context: str = ""
) -> Execution:
    version, durable = route.version, route.durable
    assert durable is not None
    now_ms, identity = parts.clock.now_ms(), parts.ids.uuid()
    return Execution(
        arn=f"{version.arn}:{version.version}/durable-execution/{name}/{identity}",
        account=version.account,
        region=version.region,
        function=version.name,
        version=version.version,
        name=name,
        id=identity,
        input=payload,
        synchronous=synchronous,
        client_context=client_context,
        timeout_seconds=durable["ExecutionTimeout"],
        retention_days=durable["RetentionPeriodInDays"],
        started_ms=now_ms,
        deadline_ms=now_ms + 1000 * durable["ExecutionTimeout"],
    )


async def begin(runner: Starter, execution: Execution) -> Execution:
    """Begin it, or find the one that was begun with the same name, version and payload."""
    there = await runner.start(execution)
    if there is execution:
        return execution
    if (there.version, there.input) != (execution.version, execution.input):
        raise already_started(there.arn)
    return there


async def invoke(runner: Starter, execution: Execution) -> tuple[dict[str, Any], bytes]:
    """The answer to `Invoke`, and the tail of the last invocation's log."""
    begun = await begin(runner, execution)
    answer = {"StatusCode": 202, "DurableExecutionArn": begun.arn}
    if not execution.synchronous:
        return answer, b""
    ended = await runner.wait_ended(begun.arn)
    answer |= {"StatusCode": 200, "ExecutedVersion": begun.version}
    if ended.execution.status == "SUCCEEDED":
        return {**answer, "Payload": (ended.execution.result or "null").encode()}, ended.log_tail
    return {**answer, "FunctionError": "Unhandled", "Payload": failure_of(ended.execution)}, ended.log_tail
