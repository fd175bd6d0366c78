"""Operations on an API's parts: integrations, routes, stages and deployments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.apigatewayv2 import store
from pilotlight.services.apigatewayv2.apis import bad_request, moment, not_found, page_size
from pilotlight.services.apigatewayv2.routing import is_route_key
from pilotlight.services.apigatewayv2.store import Part, PartKind
from pilotlight.storage import Database, Transaction

T = TypeVar("T")
Request = Mapping[str, Any]

FUNCTION = re.compile(
    r"^(?:arn:aws:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/)?(arn:aws:lambda:[^/]+)(?:/invocations)?$"
)
STAGE_NAME = re.compile(r"^(\$default|[A-Za-z0-9_-]{1,128})$")
INTEGRATION_KEPT = ("IntegrationType", "IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis", "Description")
INTEGRATION_REFUSED = (
    "ConnectionId",
    "ContentHandlingStrategy",
    "CredentialsArn",
    "IntegrationSubtype",
    "PassthroughBehavior",
    "RequestParameters",
    "RequestTemplates",
    "ResponseParameters",
    "TemplateSelectionExpression",
    "TlsConfig",
)
ROUTE_KEPT = ("RouteKey", "Target", "OperationName", "AuthorizationType", "ApiKeyRequired")
ROUTE_REFUSED = (
    "AuthorizationScopes",
    "AuthorizerId",
    "ModelSelectionExpression",
    "RequestModels",
    "RequestParameters",
    "RouteResponseSelectionExpression",
)
STAGE_KEPT = ("AutoDeploy", "DeploymentId", "Description", "StageVariables", "Tags", "DefaultRouteSettings")
STAGE_REFUSED = ("AccessLogSettings", "ClientCertificateId", "RouteSettings")


class _Parts:
    """What the four kinds have in common: they hang on an API of the caller's."""

    kind: PartKind
    label: str

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def _in_api(self, caller: Caller, request: Request, work: Callable[[Transaction], T]) -> T:
        def checked(tx: Transaction) -> T:
            _require_api(tx, caller, request)
            return work(tx)

        return await self._database.write(checked)

    async def _one(self, caller: Caller, request: Request, identity: str) -> Part:
        def read(tx: Transaction) -> Part:
            _require_api(tx, caller, request)
            return self._find(tx, request["ApiId"], identity)

        return await self._database.read(read)

    async def _all(self, caller: Caller, request: Request) -> list[Part]:
        def read(tx: Transaction) -> list[Part]:
            _require_api(tx, caller, request)
            return store.list_parts(tx, request["ApiId"], self.kind)

        return await self._database.read(read)

    def _find(self, tx: Transaction, api: str, identity: str) -> Part:
        part = store.find_part(tx, api, self.kind, identity)
        if part is None:
            raise not_found(self.label, identity)
        return part

    async def _update(self, caller: Caller, request: Request, identity: str, change: Mapping[str, Any]) -> Part:
        def update(tx: Transaction) -> Part:
            part = self._find(tx, request["ApiId"], identity)
            part.body.update(change)
            store.save_part(tx, part)
            return part

        return await self._in_api(caller, request, update)

    async def _delete(self, caller: Caller, request: Request, identity: str) -> None:
        def delete(tx: Transaction) -> None:
            self._find(tx, request["ApiId"], identity)
            store.delete_part(tx, request["ApiId"], self.kind, identity)

        await self._in_api(caller, request, delete)

    async def _page(
        self, caller: Caller, request: Request, describe: Callable[[Part], dict[str, Any]]
    ) -> dict[str, Any]:
        limit, after = page_size(request), request.get("NextToken", "")
        parts = [part for part in await self._all(caller, request) if part.id > after]
        result: dict[str, Any] = {"Items": [describe(part) for part in parts[:limit]]}
        if len(parts) > limit:
            result["NextToken"] = parts[limit - 1].id
        return result


def _require_api(tx: Transaction, caller: Caller, request: Request) -> None:
    if store.find_api(tx, request["ApiId"], account=caller.account, region=caller.region) is None:
        raise not_found("API", request["ApiId"])


class Integrations(_Parts):
    kind: PartKind = "integration"
    label = "Integration"

    async def create_integration(self, caller: Caller, request: Request) -> dict[str, Any]:
        body = {
            "PayloadFormatVersion": "1.0",
            "TimeoutInMillis": 30000,
            "ConnectionType": "INTERNET",
            "IntegrationMethod": request.get("IntegrationMethod", "POST"),
            **_kept(request, INTEGRATION_KEPT, INTEGRATION_REFUSED),
        }
        _check_integration(body, request)
        part = Part(request["ApiId"], self.kind, self._ids.lower(7), self._clock.now_ms(), body)
        await self._in_api(caller, request, lambda tx: store.save_part(tx, part))
        return _integration(part)

    async def get_integration(self, caller: Caller, request: Request) -> dict[str, Any]:
        return _integration(await self._one(caller, request, request["IntegrationId"]))

    async def get_integrations(self, caller: Caller, request: Request) -> dict[str, Any]:
        return await self._page(caller, request, _integration)

    async def update_integration(self, caller: Caller, request: Request) -> dict[str, Any]:
        current = await self._one(caller, request, request["IntegrationId"])
        change = _kept(request, INTEGRATION_KEPT, INTEGRATION_REFUSED)
        _check_integration({**current.body, **change}, request)
        return _integration(await self._update(caller, request, request["IntegrationId"], change))

    async def delete_integration(self, caller: Caller, request: Request) -> None:
        def delete(tx: Transaction) -> None:
            identity = request["IntegrationId"]
            self._find(tx, request["ApiId"], identity)
            for route in store.list_parts(tx, request["ApiId"], "route"):
                if route.body.get("Target") == f"integrations/{identity}":
                    message = f"Cannot delete Integration. Integration {identity} is referenced in route {route.id}"
                    raise AwsError("ConflictException", message, status=409)
            store.delete_part(tx, request["ApiId"], self.kind, identity)

        await self._in_api(caller, request, delete)


class Routes(_Parts):
    kind: PartKind = "route"
    label = "Route"

    async def create_route(self, caller: Caller, request: Request) -> dict[str, Any]:
        body = {
            "AuthorizationType": "NONE",
            "ApiKeyRequired": False,
            **_kept(request, ROUTE_KEPT, ROUTE_REFUSED),
        }
        part = Part(request["ApiId"], self.kind, self._ids.lower(7), self._clock.now_ms(), body)
        await self._in_api(caller, request, lambda tx: self._save(tx, part))
        return _route(part)

    async def get_route(self, caller: Caller, request: Request) -> dict[str, Any]:
        return _route(await self._one(caller, request, request["RouteId"]))

    async def get_routes(self, caller: Caller, request: Request) -> dict[str, Any]:
        return await self._page(caller, request, _route)

    async def update_route(self, caller: Caller, request: Request) -> dict[str, Any]:
        change = _kept(request, ROUTE_KEPT, ROUTE_REFUSED)

        def update(tx: Transaction) -> Part:
            part = self._find(tx, request["ApiId"], request["RouteId"])
            part.body.update(change)
            self._save(tx, part)
            return part

        return _route(await self._in_api(caller, request, update))

    async def delete_route(self, caller: Caller, request: Request) -> None:
        await self._delete(caller, request, request["RouteId"])

    def _save(self, tx: Transaction, part: Part) -> None:
        key, target = part.body["RouteKey"], part.body.get("Target", "")
        if not is_route_key(key):
            raise bad_request(
                f"The provided route key is not formatted properly for HTTP protocol. Format should be "
                f'"<HTTP METHOD> /<RESOURCE PATH>" or "$default": {key}'
            )
        if part.body.get("AuthorizationType", "NONE") != "NONE":
            raise NotImplementedHere(f"routes with AuthorizationType={part.body['AuthorizationType']}")
        if part.body.get("ApiKeyRequired"):
            raise bad_request("ApiKeyRequired is not currently supported for HTTP APIs")
        if target and store.find_part(tx, part.api, "integration", target.removeprefix("integrations/")) is None:
            raise not_found("Integration", target.removeprefix("integrations/"))
        for other in store.list_parts(tx, part.api, "route"):
            if other.body["RouteKey"] == key and other.id != part.id:
                raise AwsError("ConflictException", f"Route with key {key} already exists for this API", status=409)
        store.save_part(tx, part)


class Stages(_Parts):
    kind: PartKind = "stage"
    label = "Stage"

    async def create_stage(self, caller: Caller, request: Request) -> dict[str, Any]:
        name = request["StageName"]
        if not STAGE_NAME.match(name):
            raise bad_request("Stage name only allows a-zA-Z0-9_- and $default")
        body = {"AutoDeploy": False, "Tags": {}, **_stage_settings(request)}
        part = Part(request["ApiId"], self.kind, name, self._clock.now_ms(), body)

        def create(tx: Transaction) -> None:
            if store.find_part(tx, part.api, "stage", name) is not None:
                raise AwsError("ConflictException", f"Stage with name {name} already exists", status=409)
            _require_deployment(tx, part)
            store.save_part(tx, part)

        await self._in_api(caller, request, create)
        return _stage(part)

    async def get_stage(self, caller: Caller, request: Request) -> dict[str, Any]:
        return _stage(await self._one(caller, request, request["StageName"]))

    async def get_stages(self, caller: Caller, request: Request) -> dict[str, Any]:
        return await self._page(caller, request, _stage)

    async def update_stage(self, caller: Caller, request: Request) -> dict[str, Any]:
        change = _stage_settings(request)

        def update(tx: Transaction) -> Part:
            part = self._find(tx, request["ApiId"], request["StageName"])
            part.body.update(change)
            _require_deployment(tx, part)
            store.save_part(tx, part)
            return part

        return _stage(await self._in_api(caller, request, update))

    async def delete_stage(self, caller: Caller, request: Request) -> None:
        await self._delete(caller, request, request["StageName"])


class Deployments(_Parts):
    kind: PartKind = "deployment"
    label = "Deployment"

    async def create_deployment(self, caller: Caller, request: Request) -> dict[str, Any]:
        """A deployment keeps the routes and integrations as they are now, for stages without AutoDeploy."""

        def create(tx: Transaction) -> Part:
            whole = store.snapshot(tx, request["ApiId"])
            kept = [part for part in whole.parts if part.kind in ("route", "integration")] if whole else []
            if not any(part.kind == "route" for part in kept):
                raise bad_request("At least one route is required before deploying the API.")
            body = {
                "Description": request.get("Description", ""),
                "Parts": [[part.kind, part.id, part.body] for part in kept],
            }
            part = Part(request["ApiId"], "deployment", self._ids.lower(6), self._clock.now_ms(), body)
            store.save_part(tx, part)
            if "StageName" in request:
                stage = store.find_part(tx, request["ApiId"], "stage", request["StageName"])
                if stage is None:
                    raise not_found("Stage", request["StageName"])
                stage.body["DeploymentId"] = part.id
                store.save_part(tx, stage)
            return part

        return _deployment(await self._in_api(caller, request, create))

    async def get_deployment(self, caller: Caller, request: Request) -> dict[str, Any]:
        return _deployment(await self._one(caller, request, request["DeploymentId"]))

    async def get_deployments(self, caller: Caller, request: Request) -> dict[str, Any]:
        return await self._page(caller, request, _deployment)

    async def delete_deployment(self, caller: Caller, request: Request) -> None:
        def delete(tx: Transaction) -> None:
            identity = request["DeploymentId"]
            self._find(tx, request["ApiId"], identity)
            for stage in store.list_parts(tx, request["ApiId"], "stage"):
                if stage.body.get("DeploymentId") == identity:
                    raise bad_request("Active stages pointing to this deployment must be moved or deleted")
            store.delete_part(tx, request["ApiId"], self.kind, identity)

        await self._in_api(caller, request, delete)


def _kept(request: Request, kept: tuple[str, ...], refused: tuple[str, ...]) -> dict[str, Any]:
    for name in refused:
        if request.get(name):
            raise NotImplementedHere(f"HTTP APIs with {name}")
    return {name: request[name] for name in kept if name in request}


def function_arn(uri: str) -> str | None:
    """The function behind an integration's URI: its ARN, or API Gateway's path form of it."""
    match = FUNCTION.match(uri)
    return match[1] if match else None


def _check_integration(body: Mapping[str, Any], request: Request) -> None:
    if body["IntegrationType"] != "AWS_PROXY":
        raise NotImplementedHere(f"integrations of type {body['IntegrationType']}")
    if request.get("ConnectionType", "INTERNET") != "INTERNET":
        raise NotImplementedHere("integrations with ConnectionType=VPC_LINK")
    if function_arn(body.get("IntegrationUri", "")) is None:
        raise bad_request(f"Invalid function ARN specified: {body.get('IntegrationUri', '')}")
    if body["PayloadFormatVersion"] not in ("1.0", "2.0"):
        raise bad_request("PayloadFormatVersion must be 1.0 or 2.0")
    if body["PayloadFormatVersion"] == "1.0":
        raise NotImplementedHere("integrations with PayloadFormatVersion=1.0; ask for 2.0")


def _stage_settings(request: Request) -> dict[str, Any]:
    settings = _kept(request, STAGE_KEPT, STAGE_REFUSED)
    for name in ("ThrottlingBurstLimit", "ThrottlingRateLimit", "LoggingLevel", "DataTraceEnabled"):
        if settings.get("DefaultRouteSettings", {}).get(name):
            raise NotImplementedHere(f"stages with {name}")
    return settings


def _require_deployment(tx: Transaction, stage: Part) -> None:
    identity = stage.body.get("DeploymentId")
    if identity and store.find_part(tx, stage.api, "deployment", identity) is None:
        raise not_found("Deployment", identity)


def _integration(part: Part) -> dict[str, Any]:
    return {**part.body, "IntegrationId": part.id}


def _route(part: Part) -> dict[str, Any]:
    return {**part.body, "RouteId": part.id}


def _stage(part: Part) -> dict[str, Any]:
    return {
        "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        "RouteSettings": {},
        "StageVariables": {},
        **part.body,
        "StageName": part.id,
        "CreatedDate": moment(part.created_ms),
        "LastUpdatedDate": moment(part.created_ms),
    }


def _deployment(part: Part) -> dict[str, Any]:
    return {
        "DeploymentId": part.id,
        "Description": part.body["Description"],
        "AutoDeployed": False,
        "CreatedDate": moment(part.created_ms),
        "DeploymentStatus": "DEPLOYED",
    }
