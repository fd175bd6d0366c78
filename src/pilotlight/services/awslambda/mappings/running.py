"""A batch of a mapping's records on its way through a function."""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.engine.contract import Invocation
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import recursion
from pilotlight.services.awslambda.mappings.store import Mapping
from pilotlight.services.awslambda.resolver import Resolver
from pilotlight.services.awslambda.running import choose, run
from pilotlight.services.awslambda.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Ran:
    payload: bytes
    failed: bool


class MappedFunctions:
    """What `event_sources` invokes: no permission of the function's is needed, since Lambda itself reads the source."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def role(self, mapping: Mapping) -> Caller:
        """The function's role, which must be allowed to read the source. Raises AwsError."""
        version = (await self._resolver.resolve(mapping.reference)).primary.version
        role = version.role_arn.rsplit("/", 1)[-1]
        return Caller(
            account=version.account,
            region=version.region,
            kind="role",
            arn=f"arn:aws:sts::{version.account}:assumed-role/{role}/{version.name}",
            role_arn=version.role_arn,
        )

    async def timeout_seconds(self, mapping: Mapping) -> int:
        return (await self._resolver.resolve(mapping.reference)).primary.version.timeout_seconds

    async def invoke(self, mapping: Mapping, payload: bytes, trace: str = "") -> Ran:
        """Raises AwsError: throttled, or the function is gone."""
        resolved = await self._resolver.resolve(mapping.reference)
        trace, loop = recursion.step(self._parts, trace, resolved, mapping.reference.function.arn)
        if loop:
            return Ran(b'{"errorType": "RecursiveInvocationException"}', failed=True)
        route = choose(resolved, self._parts.ids)
        invocation = Invocation(
            request_id=self._parts.ids.uuid(),
            payload=payload,
            invoked_arn=route.arn,
            trace_id=trace,
            limits=route.limits,
            provisioned_key=route.provisioned_key,
        )
        outcome = await run(self._parts, route, invocation)
        return Ran(outcome.payload, failed=bool(outcome.function_error))
