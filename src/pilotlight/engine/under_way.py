"""The invocation under way: what an instance knows of it while it is answered, and how it is handed over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from pilotlight.engine.contract import Invocation
from pilotlight.engine.runtime_api.extensions import Extensions
from pilotlight.engine.streams import Streaming


@dataclass(slots=True)
class UnderWay:
    """One, from its start to the end of its report."""

    request_id: str
    began: float
    seconds: float
    """From `began` to its deadline."""
    ready: bool = True
    """The bootstrap is done with it. One that answers by frames is when it answers."""
    extensions: Extensions | None = None
    """Where some are told of invocations, and must be done with it too."""
    trace_id: str = ""
    began_ms: int = 0
    answered_ms: float = 0.0
    tail: bytearray = field(default_factory=bytearray)
    answer: tuple[int, bytes, int] | None = None
    lost: bool = False
    late: bool = False
    woken: asyncio.Future[None] | None = None
    streaming: Streaming | None = None

    @property
    def settled(self) -> bool:
        return self.lost or (self.ready and (self.extensions is None or not self.extensions.busy))

    def wake(self) -> None:
        if self.woken is not None and not self.woken.done():
            self.woken.set_result(None)


async def wait_settled(under: UnderWay) -> None:
    while not under.settled:
        under.woken = asyncio.get_running_loop().create_future()
        await under.woken


def invoke_body(invocation: Invocation, deadline_ms: int) -> bytes:
    header: dict[str, Any] = {
        "request_id": invocation.request_id,
        "deadline_ms": deadline_ms,
        "invoked_arn": invocation.invoked_arn,
    }
    if invocation.sink is not None:
        header["stream"] = True
    if invocation.trace_id:
        header["trace_id"] = invocation.trace_id
    if invocation.client_context:
        header["client_context"] = invocation.client_context
    if invocation.cognito_identity:
        header["identity"] = invocation.cognito_identity
    encoded = orjson.dumps(header)
    # AWS: an invocation without a payload has an empty object for its event.
    return len(encoded).to_bytes(4, "little") + encoded + (invocation.payload or b"{}")
