"""Invoke: at once, by queue, as a stream, or only tried.

The synchronous road writes nothing. The asynchronous one answers 202 after the event is a row of the outbox;
`delivery` brings it back to `Asynchronous.attempt`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from pilotlight.engine.contract import Invocation, Outcome, ResponseSink
from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import BodyStream
from pilotlight.services.awslambda import recursion
from pilotlight.services.awslambda.durable import starts
from pilotlight.services.awslambda.durable.starts import Starter
from pilotlight.services.awslambda.names import Reference, refer, user_error
from pilotlight.services.awslambda.resolver import Resolver, Route
from pilotlight.services.awslambda.running import choose, run
from pilotlight.services.awslambda.streaming import Answer
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import outbox
from pilotlight.storage.outbox import OutboxEvent

SYNCHRONOUS_BYTES_MAX = 6 * 1024 * 1024
ASYNCHRONOUS_BYTES_MAX = 1024 * 1024
"""AWS: 1 MB since late 2025; API reference of Invoke: "For asynchronous invocations, the maximum … is 1 MB"."""
CLIENT_CONTEXT_BYTES_MAX = 3583


class Invocations:
    """The operation that everything else is for."""

    def __init__(self, parts: Surroundings, resolver: Resolver, durable: Starter) -> None:
        self._parts = parts
        self._resolver = resolver
        self._durable = durable

    async def invoke(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        _refuse("Invoke", request)
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        kind = request.get("InvocationType", "RequestResponse")
        payload: bytes = request.get("Payload") or b""
        _check_size(payload, asynchronous=kind == "Event")
        resolved = await self._resolver.resolve(reference)
        starts.check_invoke(reference, resolved.primary, request)
        if kind == "DryRun":
            return {"StatusCode": 204}
        check_json(payload)
        if resolved.primary.durable is not None:
            return await self._invoke_durable(caller, choose(resolved, self._parts.ids), request)
        trace, loop = recursion.step(self._parts, caller.trace_id, resolved, reference.function.arn)
        if kind == "Event":
            _context(request)
            await self._accept(caller, reference, payload)
            return {"StatusCode": 202}
        if loop:
            raise recursion.refused(reference.function.arn)
        route = choose(resolved, self._parts.ids)
        outcome = await run(self._parts, route, self._invocation(caller, route, request, trace, None))
        return _answer(route, outcome, tail=request.get("LogType") == "Tail")

    async def invoke_async(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """The API of 2014, for those who never left it: Invoke with `InvocationType=Event`."""
        body = request["InvokeArgs"]
        payload = body if isinstance(body, bytes) else await _read(body)
        wanted = {"FunctionName": request["FunctionName"], "InvocationType": "Event", "Payload": payload}
        return {"Status": (await self.invoke(caller, wanted))["StatusCode"]}

    async def invoke_with_response_stream(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """A handler that does not stream is answered in one chunk.

        AWS: `ResponseStreamContentType` is the header `Content-Type`, which is that of the event stream itself; the
        type that the handler set shows with function URLs only.
        """
        _refuse("InvokeWithResponseStream", request)
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        payload: bytes = request.get("Payload") or b""
        _check_size(payload, asynchronous=False)
        resolved = await self._resolver.resolve(reference)
        if resolved.primary.durable is not None:
            raise NotImplementedHere("InvokeWithResponseStream of a durable function")
        if request.get("InvocationType") == "DryRun":
            return {"StatusCode": 204}
        check_json(payload)
        trace, loop = recursion.step(self._parts, caller.trace_id, resolved, reference.function.arn)
        if loop:
            raise recursion.refused(reference.function.arn)
        route = choose(resolved, self._parts.ids)
        answer = Answer()
        invocation = self._invocation(caller, route, request, trace, answer)
        answer.start(run(self._parts, route, invocation), self._parts.spawn)
        try:
            await answer.wait_begun()
        except BaseException:
            answer.abandon()
            raise
        return {
            "StatusCode": 200,
            "ExecutedVersion": route.version.version,
            "EventStream": _events(answer, tail=request.get("LogType") == "Tail"),
        }

    async def _invoke_durable(self, caller: Caller, route: Route, request: Mapping[str, Any]) -> dict[str, Any]:
        """The same request, accepted twice, is one execution: its name is the request's."""
        execution = starts.new_execution(
            route,
            self._parts,
            name=request.get("DurableExecutionName") or caller.request_id or self._parts.ids.uuid(),
            payload=(request.get("Payload") or b"{}").decode(),
            synchronous=request.get("InvocationType", "RequestResponse") == "RequestResponse",
            client_context=_context(request),
        )
        answer, log_tail = await starts.invoke(self._durable, execution)
        if request.get("LogType") == "Tail" and execution.synchronous:
            answer["LogResult"] = base64.b64encode(log_tail).decode()
        return answer

    def _invocation(
        self, caller: Caller, route: Route, request: Mapping[str, Any], trace: str, sink: ResponseSink | None
    ) -> Invocation:
        context = _context(request)
        return Invocation(
            request_id=caller.request_id or self._parts.ids.uuid(),
            payload=request.get("Payload") or b"{}",
            invoked_arn=route.arn,
            client_context=context,
            trace_id=trace,
            limits=route.limits,
            provisioned_key=route.provisioned_key,
            sink=sink,
        )

    async def _accept(self, caller: Caller, reference: Reference, payload: bytes) -> None:
        """Durable before the answer. The same request, accepted twice, is one event."""
        request_id = caller.request_id or self._parts.ids.uuid()
        now_ms = self._parts.clock.now_ms()
        event = OutboxEvent(
            id=f"async-{request_id}",
            kind="lambda_async",
            account=reference.function.account,
            region=reference.function.region,
            target=reference.arn,
            source=caller.source_arn,
            payload=payload or b"{}",
            created_ms=now_ms,
            due_ms=now_ms,
            detail=json.dumps({"request_id": request_id, "trace_id": caller.trace_id}),
        )
        await self._parts.database.write(outbox.post, event)
        self._parts.wake_delivery()


async def _read(body: BodyStream) -> bytes:
    data = b""
    async for chunk in body:
        data += chunk
        _check_size(data, asynchronous=True)
    return data


def _refuse(operation: str, request: Mapping[str, Any]) -> None:
    if request.get("TenantId"):
        raise NotImplementedHere(f"{operation} with TenantId")


async def _events(answer: Answer, *, tail: bool) -> AsyncIterator[dict[str, Any]]:
    """The events of a streamed answer. AWS: an error is told by the last one, under a status of 200."""
    async for piece in answer.pieces():
        yield {"PayloadChunk": {"Payload": piece}}
    outcome = answer.outcome
    assert outcome is not None
    complete: dict[str, Any] = {}
    if outcome.function_error:
        complete = {"ErrorCode": outcome.function_error, "ErrorDetails": outcome.payload.decode("utf-8", "replace")}
    elif outcome.payload:
        yield {"PayloadChunk": {"Payload": outcome.payload}}
    if tail:
        complete["LogResult"] = base64.b64encode(outcome.log_tail).decode()
    yield {"InvokeComplete": complete}


def _answer(route: Route, outcome: Outcome, *, tail: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "StatusCode": 200,
        "ExecutedVersion": route.version.version,
        "Payload": outcome.payload,
    }
    if outcome.function_error:
        answer["FunctionError"] = outcome.function_error
    if tail:
        answer["LogResult"] = base64.b64encode(outcome.log_tail).decode()
    return answer


def _check_size(payload: bytes, *, asynchronous: bool) -> None:
    limit = ASYNCHRONOUS_BYTES_MAX if asynchronous else SYNCHRONOUS_BYTES_MAX
    if len(payload) > limit:
        raise user_error(
            "RequestTooLargeException",
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
            status=413,
        )


def check_json(payload: bytes) -> None:
    """AWS: an empty body is an empty object, anything else must be JSON. The reason is worded as Jackson does."""
    if not payload:
        return
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise user_error(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {_why(payload)}",
        ) from None


def _why(payload: bytes) -> str:
    text = payload.decode("utf-8", "replace").lstrip()
    word = ""
    for character in text:
        if not (character.isalnum() or character in "_$"):
            break
        word += character
    shown = payload.decode("utf-8", "replace")[:500]
    place = f'\n at [Source: (byte[])"{shown}"; line: 1, column: {len(word) + 1}]'
    if word and not word[0].isdigit() and word not in ("true", "false", "null"):
        return (
            f"Unrecognized token '{word}': was expecting (JSON String, Number, Array, Object or token 'null', "
            f"'true' or 'false'){place}"
        )
    return f"Unexpected end-of-input or character{place}"


def _context(request: Mapping[str, Any]) -> str:
    """The client's context, decoded, or nothing."""
    context = request.get("ClientContext", "")
    if not context:
        return ""
    if len(context) > CLIENT_CONTEXT_BYTES_MAX:
        raise user_error(
            "InvalidRequestContentException",
            f"Client context must be at most {CLIENT_CONTEXT_BYTES_MAX} bytes of Base64, and has {len(context)}.",
        )
    try:
        text = base64.b64decode(context, validate=True).decode()
        if isinstance(json.loads(text), dict):
            return text
    except ValueError:
        pass  # told below
    raise user_error("InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
