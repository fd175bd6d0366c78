"""A request's journey, on one screen: route, sign, parse, validate, authorise, call, render.

`Gateway.handle` is for requests from the wire, `Gateway.call` for one service asking another: the same road,
without the wire.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.errors import AwsError, InternalFailure, NotImplementedHere
from pilotlight.gateway.bodies import Bodies, Held
from pilotlight.gateway.browsers import Strangers
from pilotlight.gateway.local import LocalPages
from pilotlight.gateway.placeholders import Placeholder
from pilotlight.gateway.registry import Entry, Registry
from pilotlight.gateway.routes import Route, Router, path_style
from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.identity.signatures import Checked, Signatures, Target, anonymous, target_of
from pilotlight.ids import Ids
from pilotlight.protocols.messages import Request, Response
from pilotlight.protocols.model import Operation
from pilotlight.protocols.router import find_operation
from pilotlight.protocols.validate import validate
from pilotlight.services.apigatewayv2.data_plane import HttpApis
from pilotlight.services.awslambda.url_data_plane import UrlDataPlane
from pilotlight.services.ecr.data_plane import Registry as ImageRegistry
from pilotlight.services.s3.cors import CrossOrigin
from pilotlight.services.s3.forms import Forms, is_form
from pilotlight.services.s3.websites import Websites
from pilotlight.settings import ACCOUNT, Settings

log = logging.getLogger(__name__)

UNSIGNED = frozenset({("sns", "ConfirmSubscription"), ("sns", "Unsubscribe")})
"""What the addresses in SNS's messages do: a token is the permission, or that one knows the subscription."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A route of which the operation is known."""

    entry: Entry
    operation: Operation
    labels: Mapping[str, str]
    sent_path: str
    """As the client signed it: a virtual host's bucket is not in it."""


class Gateway:
    def __init__(
        self,
        *,
        registry: Registry,
        signatures: Signatures,
        policies: Policies,
        ids: Ids,
        settings: Settings,
        local: LocalPages,
        observe: Callable[[str, str, str], None] = lambda account, service, operation: None,
    ) -> None:
        """`observe(account, service, operation)` hears of each request that was carried out."""
        self._registry = registry
        self._router = Router(registry, settings.hosts)
        self._strangers = Strangers(settings.origins)
        self._signatures = signatures
        self._policies = policies
        self._ids = ids
        self._local = local
        self._observe = observe
        self._placeholder = Placeholder(settings.placeholder_account)
        self._debug = settings.debug
        self._bodies = Bodies()
        self.http_apis: HttpApis | None = None
        self.function_urls: UrlDataPlane | None = None
        self.websites: Websites | None = None
        self.images: ImageRegistry | None = None
        self.forms: Forms | None = None
        self.cross_origin: CrossOrigin | None = None
        """S3's CORS: pages of the origins that a bucket's rules name are no strangers to it."""
        self._targets: dict[str, Target] = {}
        for name, entry in registry.entries.items():
            self._targets[name] = target_of(entry.model.protocol, entry.model.signing_name, *entry.signing_names)

    async def handle(self, request: Request) -> Response:
        request_id = self._ids.uuid()
        route = self._router.route(request)
        if route.kind == "execute-api" and self.http_apis is not None and route.host.known:
            self._observe(ACCOUNT, "execute-api", "Invoke")
            return await self.http_apis.answer(request, route.api_id, route.path, route.domain)
        if route.kind == "lambda-url" and self.function_urls is not None and route.host.known:
            return await self._function_url(self.function_urls, request, route, request_id)
        if route.kind == "website" and self.websites is not None and route.host.known:
            return await self._website(self.websites, request, route, request_id)
        refusal = self._strangers.refusal(request, host_known=route.host.known)
        if route.kind == "registry" and self.images is not None:
            return await self._registry_answer(self.images, request, route, refusal, request_id)
        if route.kind == "local":
            return await self._local.answer(request, refusal)
        if route.entry is None:
            return _render_plain(refusal or _unknown_service(route), request_id)
        sent_path = request.path
        path_style(request, route.host)
        if route.entry.name == "s3" and self.cross_origin is not None and route.host.known:
            if request.method == "OPTIONS":
                return await self._preflight(request, route.entry, request_id)
            if allowed := await self.cross_origin.headers(request):
                response = await self._operation(request, route.entry, None, sent_path, request_id)
                response.headers += allowed.items()
                return response
            if request.method in ("GET", "HEAD") and "sec-fetch-site" not in request.headers:
                # AWS: the answer to an origin that no rule names lacks the headers, and that is all. Browsers, which
                # say `Sec-Fetch-Site` to every loopback address, are still refused: an image needs no headers.
                refusal = None
        return await self._operation(request, route.entry, refusal, sent_path, request_id)

    async def _preflight(self, request: Request, entry: Entry, request_id: str) -> Response:
        assert self.cross_origin is not None
        try:
            return await self.cross_origin.preflight(request)
        except AwsError as error:
            return entry.model.render_error(error, request_id)

    async def _operation(
        self, request: Request, entry: Entry, refusal: AwsError | None, sent_path: str, request_id: str
    ) -> Response:
        if entry.name == "s3" and self.forms is not None and is_form(request):
            return await self._form(self.forms, request, entry, refusal, request_id)
        with self._bodies.hold(request.instance) as held:
            found = await self._find_operation(entry, request, held)
            if isinstance(found, AwsError):
                return entry.model.render_error(refusal or found, request_id)
            way = _Way(entry, *found, sent_path)
            response = await self._answer(request, way, refusal, held, request_id)
        if self._debug:
            log.info("%s.%s → %s", way.entry.name, way.operation.name, response.status)
        return response

    async def _find_operation(
        self, entry: Entry, request: Request, held: Held
    ) -> tuple[Operation, Mapping[str, str]] | AwsError:
        if entry.model.protocol == "query":  # the body names the operation
            try:
                await held.take(request)
            except AwsError as error:
                return error
        return find_operation(entry.model, request)

    async def _registry_answer(
        self, images: ImageRegistry, request: Request, route: Route, refusal: AwsError | None, request_id: str
    ) -> Response:
        """Container images, pushed and pulled."""
        if refusal is not None:
            return _render_plain(refusal, request_id)
        account, _, region = route.name.partition("/")
        try:
            return await images.answer(request, account, region, request_id)
        except Exception:  # our bug: logged here, told to nobody else
            log.exception("bug in the registry, request %s", request_id)
            return _render_plain(InternalFailure(), request_id)

    async def _website(self, websites: Websites, request: Request, route: Route, request_id: str) -> Response:
        """A page: public, or not shown. So pages of others may ask for it, too."""
        operation = self._registry.entries["s3"].model.operations["GetObject"]
        visitor = anonymous(request, request_id)

        async def fetch(params: Mapping[str, Any]) -> Response:
            return operation.render(await self.call("s3", "GetObject", params, visitor), request_id)

        self._observe(ACCOUNT, "s3", "GetObject")
        try:
            return await websites.answer(request, route.name, route.path, fetch, request_id)
        except Exception:  # our bug: logged here, told to nobody else
            log.exception("bug in s3's websites, request %s", request_id)
            return _render_plain(InternalFailure(), request_id)

    async def admit_to_url(self, request: Request, request_id: str) -> Checked:
        """The signature of a request to a function URL. Raises AwsError."""
        checked = await self._signatures.check(request, self._targets["lambda"], request_id)
        request.body, request.stream = checked.body, checked.stream
        return checked

    async def _function_url(self, urls: UrlDataPlane, request: Request, route: Route, request_id: str) -> Response:
        try:
            return await urls.answer(request, route.name, route.path, route.domain, request_id)
        except Exception:  # our bug: logged here, told to nobody else
            log.exception("bug in lambda's function URLs, request %s", request_id)
            return _render_plain(InternalFailure(), request_id)

    async def _form(
        self, forms: Forms, request: Request, entry: Entry, refusal: AwsError | None, request_id: str
    ) -> Response:
        """An upload by a browser's form: its fields carry the signature."""

        async def admit(fields: Mapping[str, str]) -> Caller:
            return await self._signatures.check_form(request, fields, self._targets["s3"], request_id)

        async def authorise(caller: Caller, params: Mapping[str, Any]) -> None:
            await self._policies.authorise(caller, entry.guard, "PutObject", params, protocol=entry.model.protocol)

        try:
            if refusal is not None:
                raise refusal
            response = await forms.answer(request, admit, authorise)
        except AwsError as error:
            return entry.model.render_error(error, request_id)
        except Exception:  # our bug: logged here, told to nobody else
            log.exception("bug in s3's forms, request %s", request_id)
            return entry.model.render_error(InternalFailure(), request_id)
        response.headers += [("x-amz-request-id", request_id)]
        return response

    async def _answer(
        self, request: Request, way: _Way, refusal: AwsError | None, held: Held, request_id: str
    ) -> Response:
        operation = way.operation
        try:
            if refusal is not None:
                raise refusal
            if not operation.streams_request:
                await held.take(request)
            target = self._targets[way.entry.name]
            if (way.entry.name, operation.name) in UNSIGNED:
                target = replace(target, open=True)
            checked = await self._signatures.check(request, target, request_id, sent_path=way.sent_path)
            request.body, request.stream = checked.body, checked.stream
            method = way.entry.methods.get(operation.name)
            if method is None:
                raise NotImplementedHere(f"{way.entry.name}:{operation.name}")
            params = operation.parse(request, way.labels)
            if self._placeholder.named_in(request):
                params = self._placeholder.rewrite(params, checked.caller.account)
            validate(params, operation)
            await self._policies.authorise(
                checked.caller, way.entry.guard, operation.name, params, protocol=way.entry.model.protocol
            )
            result = await method(checked.caller, params)
            self._observe(checked.caller.account, way.entry.name, operation.name)
            return operation.render(result or {}, request_id)
        except AwsError as error:  # an answer, though not the wished one
            if self._debug:
                log.info("%s.%s refused: %s", way.entry.name, operation.name, error)
            return operation.render_error(error, request_id)
        except Exception:  # our bug: logged here, told to nobody else
            log.exception("bug in %s.%s, request %s", way.entry.name, operation.name, request_id)
            return operation.render_error(InternalFailure(), request_id)

    async def call(self, service: str, operation: str, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """`services.contract.Cloud`: one service asks another."""
        entry = self._registry.by_name(service)
        if entry is None:
            raise NotImplementedHere(service)
        method = entry.methods.get(operation)
        if method is None:
            raise NotImplementedHere(f"{service}:{operation}")
        validate(params, entry.model.operations[operation])
        await self._policies.authorise(caller, entry.guard, operation, params, protocol=entry.model.protocol)
        return dict(await method(caller, params) or {})


def _unknown_service(route: Route) -> AwsError:
    return NotImplementedHere(f"the service {route.name!r}")


def _render_plain(error: AwsError, request_id: str) -> Response:
    """An error for which no service's protocol is known: JSON that SDKs of either family can read."""

    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    headers = [
        ("content-type", "application/json"),
        ("x-amzn-errortype", error.code),
        ("x-amzn-requestid", request_id),
    ]
    return Response(status=error.status, headers=headers, body=body)
