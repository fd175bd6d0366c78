"""The cloud's own pages: health, the clock, reset. What LocalStack's users ask for answers beside them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight import __version__
from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request, Response

Page = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages ask of the node; each takes the request's JSON and answers with JSON."""

    health: Page
    status: Page
    clock: Page
    reset: Page
    init: Page
    costs: Page
    mailbox: Page


CERTIFICATE = "/_pilotlight/sns/SimpleNotificationService.pem"
"""Whoever got a message may check its signature."""
PACKAGES = "/_pilotlight/packages/"
Open = Callable[[str, str], Awaitable[bytes | None]]
"""`(path, query) → content`: an address that carries its own permission."""


class LocalPages:
    def __init__(self, pages: Pages, open_package: Open, certificate: Callable[[], Awaitable[bytes]]) -> None:
        self._certificate = certificate
        self._open_package = open_package
        self._routes: dict[tuple[str, str], Page] = {
            ("GET", "/_pilotlight/health"): pages.health,
            ("GET", "/_pilotlight/status"): pages.status,
            ("GET", "/_pilotlight/clock"): pages.clock,
            ("POST", "/_pilotlight/clock"): pages.clock,
            ("POST", "/_pilotlight/reset"): pages.reset,
            ("GET", "/_pilotlight/cost"): pages.costs,
            ("GET", "/_pilotlight/mailbox"): pages.mailbox,
            ("GET", "/_localstack/health"): self._localstack_health(pages.health),
            ("HEAD", "/_localstack/health"): self._localstack_health(pages.health),
            ("GET", "/_localstack/info"): self._localstack_info,
            ("GET", "/_localstack/init"): pages.init,
            ("POST", "/_localstack/state/reset"): pages.reset,
        }

    async def answer(self, request: Request, refusal: AwsError | None) -> Response:
        """Pages are for the operator: not for web pages, and not for functions in their sandboxes."""
        if request.method == "GET" and request.path == CERTIFICATE:
            return Response(headers=[("content-type", "application/x-pem-file")], body=await self._certificate())
        if refusal is not None or request.instance:
            return _json(403, {"message": refusal.message if refusal else "Not for functions."})
        path = request.path.rstrip("/")
        if request.method == "GET" and path.startswith(PACKAGES):
            content = await self._open_package(path, request.query)
            if content is None:
                return _json(403, {"message": "The address is not valid, or no more."})
            return Response(headers=[("content-type", "application/zip")], body=content)
        page = self._routes.get((request.method, path))
        if page is None and request.method == "GET" and path.startswith("/_localstack/init/"):
            page = self._routes["GET", "/_localstack/init"]
        if page is None:
            return _json(404, {"message": f"No page {request.method} {request.path}"})
        try:
            given = await request.stream.read() if request.stream is not None else request.body
            body = json.loads(given or b"{}")
            return _json(200, await page(body))
        except (ValueError, KeyError, TypeError) as error:
            return _json(400, {"message": f"The request could not be understood: {error}"})
        except AwsError as error:
            return _json(error.status, {"message": error.message})

    def _localstack_health(self, health: Page) -> Page:
        async def page(body: Mapping[str, Any]) -> dict[str, Any]:
            ours = await health(body)
            return {"services": ours["services"], "edition": "community", "version": f"pilotlight-{__version__}"}

        return page

    async def _localstack_info(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"version": f"pilotlight-{__version__}", "edition": "community", "is_license_activated": False}


def _json(status: int, value: Mapping[str, Any]) -> Response:
    return Response(
        status=status,
        headers=[("content-type", "application/json")],
        body=json.dumps(value, default=str).encode(),
    )
