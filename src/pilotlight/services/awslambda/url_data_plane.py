"""HTTP requests to function URLs: admit, invoke, answer. The gateway calls this for `lambda-url` hosts and paths."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from pilotlight.clock import Clock
from pilotlight.engine.contract import Invocation, ResponseSink
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Request, Response
from pilotlight.services.awslambda import recursion, url_cors, url_events, url_store
from pilotlight.services.awslambda.durable import starts
from pilotlight.services.awslambda.durable.starts import Starter
from pilotlight.services.awslambda.invocations import SYNCHRONOUS_BYTES_MAX
from pilotlight.services.awslambda.permissions import find_policy, policy_text
from pilotlight.services.awslambda.resolver import Resolver, Route
from pilotlight.services.awslambda.running import choose, run
from pilotlight.services.awslambda.streaming import Answer
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.services.awslambda.url_events import PRELUDE_BYTES_MAX, PRELUDE_END, BadAnswer, Circumstances
from pilotlight.services.awslambda.url_store import FunctionUrl
from pilotlight.services.contract import Access
from pilotlight.storage import Transaction

log = logging.getLogger(__name__)

HTTP_TYPE = "application/vnd.awslambda.http-integration-response"
FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


class Signed(Protocol):
    """A request whose signature was checked: `identity.signatures.Checked`."""

    @property
    def caller(self) -> Caller: ...


Admit = Callable[[Request, str], Awaitable[Signed]]
"""Checks the signature of a request with this id, or raises AwsError."""


class UrlDataPlane:
    """Answers at function URLs. It keeps nothing: what a URL allows is read anew for each request."""

    def __init__(
        self, parts: Surroundings, resolver: Resolver, durable: Starter, policies: Policies, admit: Admit
    ) -> None:
        self._parts = parts
        self._resolver = resolver
        self._durable = durable
        self._policies = policies
        self._admit = admit

    async def answer(self, request: Request, url_id: str, path: str, domain: str, request_id: str) -> Response:
        url, policy = await self._parts.database.read(_find, url_id)
        if url is None:
            return _failure(404, {"Message": None}, "ResourceNotFoundException", request_id)
        cors = url.body.get("Cors")
        if cors and url_cors.is_preflight(request):
            response = url_cors.preflight(request, cors)
        else:
            response = await self._admitted(request, url, policy, path, domain, request_id)
            if cors:
                url_cors.add_headers(request, cors, response)
        response.headers.append(("x-amzn-requestid", request_id))
        return response

    async def _admitted(
        self, request: Request, url: FunctionUrl, policy: str | None, path: str, domain: str, request_id: str
    ) -> Response:
        try:
            caller = await self._caller(request, url, policy, request_id)
            body = await _body(request)
            resolved = await self._resolver.resolve(url.reference)
            route = choose(resolved, self._parts.ids)
            trace, loop = recursion.step(
                self._parts, request.headers.get("x-amzn-trace-id", ""), resolved, url.function.arn
            )
            if loop:
                raise recursion.refused(url.function.arn)
            event = url_events.event(
                request, body, _circumstances(self._parts.clock, trace, url, path, domain, request_id, caller)
            )
            streamed = url.body["InvokeMode"] == "RESPONSE_STREAM"
            if route.durable is not None:
                starts.check_invoke(url.reference, route, {})
                return await self._invoke_durable(route, event, request_id, streamed=streamed)
            return await self._invoke(route, event, request_id, trace, streamed=streamed)
        except AwsError as error:
            return _refused(error, request_id)
        except BadAnswer as error:
            log.info("function URL of %s: %s", url.reference.arn, error)
            return _broken(request_id)

    async def _caller(self, request: Request, url: FunctionUrl, policy: str | None, request_id: str) -> Caller | None:
        """Who signed; None where nobody has to. Raises AwsError where it is not allowed.

        AWS: since October 2025 a caller needs `InvokeFunctionUrl` and `InvokeFunction` both.
        """
        signed = url.body["AuthType"] == "AWS_IAM"
        if signed:
            if "authorization" not in request.headers and "X-Amz-Signature=" not in request.query:
                raise AwsError("AccessDeniedException", FORBIDDEN, status=403)
            caller = (await self._admit(request, request_id)).caller
            if caller.region != url.function.region:
                message = "Credential should be scoped to a valid region. "
                raise AwsError("InvalidSignatureException", message, status=403)
        else:
            caller = Caller(
                account=url.function.account,
                region=url.function.region,
                kind="anonymous",
                arn="anonymous",
                user_id="anonymous",
                request_id=request_id,
                source_ip=request.source_ip,
                secure=request.secure,
            )
        context: dict[str, Any] = {"lambda:FunctionUrlAuthType": url.body["AuthType"]}
        via: dict[str, Any] = {"lambda:InvokedViaFunctionUrl": True}
        for access in (
            Access("lambda:InvokeFunctionUrl", url.reference.arn, context),
            Access("lambda:InvokeFunction", url.reference.arn, via),
        ):
            decision = await self._policies.decide(caller, access, resource_policy=policy)
            if not decision.allowed:
                log.warning("function URL of %s: %s lacks %s", url.reference.arn, caller.arn, access.action)
                raise AwsError("AccessDeniedException", FORBIDDEN, status=403)
        return caller if signed else None

    async def _invoke_durable(
        self, route: Route, event: dict[str, Any], request_id: str, *, streamed: bool
    ) -> Response:
        """As a synchronous invocation: the answer comes when the execution has ended."""
        if streamed:
            raise NotImplementedHere("streamed answers of durable functions")
        payload = json.dumps(event, ensure_ascii=False)
        execution = starts.new_execution(route, self._parts, name=request_id, payload=payload, synchronous=True)
        answer, _ = await starts.invoke(self._durable, execution)
        return _broken(request_id) if "FunctionError" in answer else url_events.response(answer["Payload"])

    async def _invoke(
        self, route: Route, event: dict[str, Any], request_id: str, trace: str, *, streamed: bool
    ) -> Response:
        payload = json.dumps(event, ensure_ascii=False).encode()
        if not streamed:
            outcome = await run(self._parts, route, _invocation(route, payload, request_id, trace, None))
            return _broken(request_id) if outcome.function_error else url_events.response(outcome.payload)
        answer = Answer()
        answer.start(run(self._parts, route, _invocation(route, payload, request_id, trace, answer)), self._parts.spawn)
        pieces = answer.pieces()
        try:
            if await answer.wait_begun():
                return await _streamed(answer, pieces)
        except BaseException:
            answer.abandon()
            raise
        assert answer.outcome is not None
        if answer.outcome.function_error:
            return _broken(request_id)
        # AWS: what a handler that does not stream answers is not read here: it is the body as it is.
        return Response(headers=[("content-type", "application/octet-stream")], body=answer.outcome.payload)


async def _streamed(answer: Answer, pieces: AsyncIterator[bytes]) -> Response:
    if answer.content_type != HTTP_TYPE:
        return Response(headers=[("content-type", answer.content_type)], body=_rest(answer, b"", pieces))
    data = b""
    while PRELUDE_END not in data:
        piece = await anext(pieces, b"")
        if not piece or len(data) > PRELUDE_BYTES_MAX:
            raise BadAnswer("the stream's metadata does not end")
        data += piece
    prelude, _, first = data.partition(PRELUDE_END)
    response = url_events.read_prelude(prelude)
    response.body = _rest(answer, first, pieces)
    return response


async def _rest(answer: Answer, first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is left of a stream. A failure midway cuts the connection: the status was sent long ago."""
    try:
        if first:
            yield first
        async for piece in pieces:
            yield piece
        if answer.outcome is not None and answer.outcome.function_error:
            raise ConnectionAbortedError("the function failed while it streamed")
    finally:
        answer.abandon()


def _find(tx: Transaction, url_id: str) -> tuple[FunctionUrl | None, str | None]:
    url = url_store.find_by_id(tx, url_id.lower())
    part = find_policy(tx, url.reference) if url else None
    return url, policy_text(part) if part else None


async def _body(request: Request) -> bytes:
    """Raises AwsError where it is larger than an invocation's payload may be."""
    if request.stream is None:
        return request.body
    chunks, size = [], 0
    async for chunk in request.stream:
        size += len(chunk)
        if size > SYNCHRONOUS_BYTES_MAX:
            raise AwsError(
                "RequestTooLargeException", f"Request must be smaller than {SYNCHRONOUS_BYTES_MAX} bytes", status=413
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _circumstances(
    clock: Clock, trace: str, url: FunctionUrl, path: str, domain: str, request_id: str, caller: Caller | None
) -> Circumstances:
    now = clock.now()
    return Circumstances(
        url_id=url.id,
        domain=domain,
        path=path,
        request_id=request_id,
        trace_id=trace,
        now=now,
        caller=caller,
    )


def _invocation(route: Route, payload: bytes, request_id: str, trace: str, sink: ResponseSink | None) -> Invocation:
    return Invocation(
        request_id=request_id,
        payload=payload,
        invoked_arn=route.arn,
        trace_id=trace,
        limits=route.limits,
        provisioned_key=route.provisioned_key,
        sink=sink,
    )


def _refused(error: AwsError, request_id: str) -> Response:
    label = "Message" if error.status in (403, 413) else "message"
    return _failure(error.status, {**error.members, label: error.message}, error.code, request_id)


def _broken(request_id: str) -> Response:
    """AWS: whatever the function does wrong is a 502, and the body does not say what."""
    return Response(
        status=502,
        headers=[("content-type", "application/json"), ("x-amzn-errortype", "InternalServerErrorException")],
        body=b"Internal Server Error",
    )


def _failure(status: int, body: dict[str, Any], code: str, request_id: str) -> Response:
    headers = [("content-type", "application/json"), ("x-amzn-errortype", code)]
    return Response(status=status, headers=headers, body=json.dumps(body, separators=(",", ":")).encode())
