"""Operations on HTTP APIs and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.apigatewayv2 import store
from pilotlight.services.apigatewayv2.routing import is_route_key
from pilotlight.services.apigatewayv2.store import Api, Part
from pilotlight.storage import Database, Transaction

PAGE = 100
CUSTOM_ID_TAGS = ("_custom_id_", "ls:custom_id")
KEPT = ("Name", "ProtocolType", "Description", "Version", "CorsConfiguration", "DisableExecuteApiEndpoint")
REFUSED = ("CredentialsArn", "DisableSchemaValidation")
DEFAULTS = {
    "ApiKeySelectionExpression": "$request.header.x-api-key",
    "RouteSelectionExpression": "$request.method $request.path",
}


def bad_request(message: str) -> AwsError:
    return AwsError("BadRequestException", message)


def not_found(what: str, identity: str) -> AwsError:
    return AwsError("NotFoundException", f"Invalid {what} identifier specified {identity}", status=404)


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)


class Apis:
    """HTTP APIs: create, read, change, delete, tag."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, port: int) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._port = port

    async def create_api(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        _check(request)
        if request["ProtocolType"] != "HTTP":
            raise NotImplementedHere("CreateApi with ProtocolType=WEBSOCKET")
        if "Target" in request and not request["Target"].startswith("arn:aws:lambda:"):
            raise NotImplementedHere("CreateApi with a Target that is no Lambda function")
        route_key = request.get("RouteKey", "$default")
        if not is_route_key(route_key):
            raise bad_request(f"The provided route key is not formatted properly for HTTP protocol. {route_key}")
        tags = dict(request.get("Tags", {}))
        custom = next((tags[name] for name in CUSTOM_ID_TAGS if name in tags), "")
        body = {**DEFAULTS, **{name: request[name] for name in KEPT if name in request}, "Tags": tags}
        # An id may be taken again by an API that is another: no revision of the first is one of the second's.
        revision = self._ids.number(48)
        api = Api(custom or self._ids.lower(10), caller.account, caller.region, revision, self._clock.now_ms(), body)
        parts = self._quick_parts(api, request["Target"], route_key) if "Target" in request else []

        def add(tx: Transaction) -> bool:
            if not store.add_api(tx, api):
                return False
            for part in parts:
                store.save_part(tx, part)
            return True

        if not await self._database.write(add):
            raise AwsError("ConflictException", f"An API with the id {api.id} exists already.", status=409)
        return self._describe(api)

    def _quick_parts(self, api: Api, target: str, route_key: str) -> list[Part]:
        """AWS: with `Target`, an integration, a route and a `$default` stage come along ("quick create")."""
        integration = self._ids.lower(7)
        bodies: list[tuple[str, str, dict[str, Any]]] = [
            (
                "integration",
                integration,
                {
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": target,
                    "PayloadFormatVersion": "2.0",
                    "ConnectionType": "INTERNET",
                    "IntegrationMethod": "POST",
                    "TimeoutInMillis": 30000,
                    "ApiGatewayManaged": True,
                },
            ),
            (
                "route",
                self._ids.lower(7),
                {
                    "RouteKey": route_key,
                    "Target": f"integrations/{integration}",
                    "AuthorizationType": "NONE",
                    "ApiKeyRequired": False,
                    "ApiGatewayManaged": True,
                },
            ),
            ("stage", "$default", {"AutoDeploy": True, "ApiGatewayManaged": True, "Tags": {}}),
        ]
        return [Part(api.id, kind, identity, api.created_ms, body) for kind, identity, body in bodies]

    async def get_api(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        api = await self._database.read(store.find_api, request["ApiId"], account=caller.account, region=caller.region)
        if api is None:
            raise not_found("API", request["ApiId"])
        return self._describe(api)

    async def get_apis(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        limit = page_size(request)
        apis = await self._database.read(
            store.list_apis,
            account=caller.account,
            region=caller.region,
            after=request.get("NextToken", ""),
            limit=limit + 1,
        )
        result: dict[str, Any] = {"Items": [self._describe(api) for api in apis[:limit]]}
        if len(apis) > limit:
            result["NextToken"] = apis[limit - 1].id
        return result

    async def update_api(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        _check(request)
        for name in ("Target", "RouteKey"):
            if name in request:
                raise NotImplementedHere(f"UpdateApi with {name}")
        change = {name: request[name] for name in KEPT if name in request}

        def update(tx: Transaction) -> Api | None:
            api = store.find_api(tx, request["ApiId"], account=caller.account, region=caller.region)
            if api is not None:
                api.body.update(change)
                store.save_api(tx, api.id, api.body)
            return api

        return self._describe(self._there(await self._database.write(update), request["ApiId"]))

    async def delete_api(self, caller: Caller, request: Mapping[str, Any]) -> None:
        def delete(tx: Transaction) -> Api | None:
            api = store.find_api(tx, request["ApiId"], account=caller.account, region=caller.region)
            if api is not None:
                store.delete_api(tx, api.id)
            return api

        self._there(await self._database.write(delete), request["ApiId"])

    async def delete_cors_configuration(self, caller: Caller, request: Mapping[str, Any]) -> None:
        def update(tx: Transaction) -> Api | None:
            api = store.find_api(tx, request["ApiId"], account=caller.account, region=caller.region)
            if api is not None and api.body.pop("CorsConfiguration", None) is not None:
                store.save_api(tx, api.id, api.body)
            return api

        self._there(await self._database.write(update), request["ApiId"])

    async def get_tags(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        api, stage = _tagged(request["ResourceArn"])

        def read(tx: Transaction) -> dict[str, str] | None:
            return _tags(tx, caller, api, stage)

        tags = await self._database.read(read)
        if tags is None:
            raise not_found("Resource", request["ResourceArn"])
        return {"Tags": tags}

    async def tag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        await self._change_tags(caller, request["ResourceArn"], lambda tags: {**tags, **request.get("Tags", {})})
        return {}

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> None:
        gone = set(request["TagKeys"])
        await self._change_tags(
            caller, request["ResourceArn"], lambda tags: {key: tags[key] for key in tags if key not in gone}
        )

    async def _change_tags(self, caller: Caller, arn: str, change: Any) -> None:
        identity, stage = _tagged(arn)

        def update(tx: Transaction) -> bool:
            tags = _tags(tx, caller, identity, stage)
            api = store.find_api(tx, identity, account=caller.account, region=caller.region)
            if tags is None or api is None:
                return False
            if stage:
                part = store.find_part(tx, identity, "stage", stage)
                if part is None:
                    return False
                part.body["Tags"] = change(tags)
                store.save_part(tx, part)
            else:
                api.body["Tags"] = change(tags)
                store.save_api(tx, identity, api.body)
            return True

        if not await self._database.write(update):
            raise not_found("Resource", arn)

    @staticmethod
    def _there(api: Api | None, identity: str) -> Api:
        if api is None:
            raise not_found("API", identity)
        return api

    def _describe(self, api: Api) -> dict[str, Any]:
        return {
            **api.body,
            "ApiId": api.id,
            "ApiEndpoint": f"http://{api.id}.execute-api.localhost.localstack.cloud:{self._port}",
            "CreatedDate": moment(api.created_ms),
            "IpAddressType": "ipv4",
            "DisableExecuteApiEndpoint": api.body.get("DisableExecuteApiEndpoint", False),
        }


def page_size(request: Mapping[str, Any]) -> int:
    text = request.get("MaxResults", str(PAGE))
    if not text.isdigit() or not 1 <= int(text) <= 500:
        raise bad_request(f"Invalid value for maxResults: {text}")
    return int(text)


def _check(request: Mapping[str, Any]) -> None:
    for name in REFUSED:
        if request.get(name):
            raise NotImplementedHere(f"HTTP APIs with {name}")
    for name, default in DEFAULTS.items():
        if request.get(name, default) not in (default, "${request.method} ${request.path}"):
            raise bad_request(f"Only {default} is supported as {name} for HTTP APIs")
    if request.get("IpAddressType", "ipv4") != "ipv4":
        raise NotImplementedHere("HTTP APIs with IpAddressType=dualstack")
    cors = request.get("CorsConfiguration") or {}
    if cors.get("AllowCredentials") and "*" in cors.get("AllowOrigins", ()):
        raise bad_request("Allowed origins cannot be wildcard (*) when credentials are allowed")


def _tagged(arn: str) -> tuple[str, str]:
    """`arn:aws:apigateway:REGION::/apis/ID` or `…/apis/ID/stages/NAME`."""
    parts = arn.partition("::/apis/")[2].split("/")
    if not parts[0] or len(parts) not in (1, 3):
        raise bad_request(f"Invalid resource ARN: {arn}")
    return parts[0], parts[2] if len(parts) == 3 else ""


def _tags(tx: Transaction, caller: Caller, api: str, stage: str) -> dict[str, str] | None:
    found = store.find_api(tx, api, account=caller.account, region=caller.region)
    if found is None or not stage:
        return dict(found.body.get("Tags", {})) if found else None
    part = store.find_part(tx, api, "stage", stage)
    return dict(part.body.get("Tags", {})) if part else None
