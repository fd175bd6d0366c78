"""HTTP requests to an API: route, invoke, answer. The gateway calls this for `execute-api` hosts and paths."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.protocols.messages import Request, Response
from pilotlight.services.apigatewayv2 import cors, proxy, store
from pilotlight.services.apigatewayv2.parts import function_arn
from pilotlight.services.apigatewayv2.routing import DEFAULT, Match, RouteTable
from pilotlight.services.apigatewayv2.store import Api, Part, Snapshot
from pilotlight.services.contract import Cloud
from pilotlight.storage import Database

BODY_BYTES_MAX = 10 * 1024 * 1024
APIS_CACHED_MAX = 1000


@dataclass(frozen=True, slots=True)
class _Stage:
    name: str
    variables: dict[str, str]
    table: RouteTable
    functions: dict[str, str]
    """Integration target → function ARN."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    api: Api
    stages: dict[str, _Stage]


class HttpApis:
    """The data plane of HTTP APIs. What it keeps in memory is keyed by the API's revision."""

    def __init__(self, database: Database, cloud: Cloud, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._cloud = cloud
        self._clock = clock
        self._ids = ids
        self._compiled: OrderedDict[tuple[str, int], _Compiled] = OrderedDict()

    async def answer(self, request: Request, api_id: str, path: str, domain: str) -> Response:
        """`path` starts with the stage's name where the stage is not `$default`."""
        request_id = self._ids.token(11) + "="
        compiled = await self._find(api_id)
        if compiled is None or compiled.api.body.get("DisableExecuteApiEndpoint"):
            return proxy.failure(404, "Not Found", request_id)
        configuration = compiled.api.body.get("CorsConfiguration")
        if configuration and cors.is_preflight(request):
            return cors.preflight(request, configuration, request_id)
        response = await self._route(request, compiled, path, domain, request_id)
        if configuration:
            cors.add_headers(request, configuration, response)
        return response

    async def _route(self, request: Request, compiled: _Compiled, path: str, domain: str, request_id: str) -> Response:
        first, _, rest = path.lstrip("/").partition("/")
        stage = compiled.stages.get(first)
        inner = "/" + rest
        if stage is None or first == DEFAULT:
            stage, inner = compiled.stages.get(DEFAULT), path
        match = stage.table.match(request.method, inner) if stage else None
        if stage is None or match is None or match.target not in stage.functions:
            return proxy.failure(404, "Not Found", request_id)
        body = await request.stream.read() if request.stream else request.body
        if len(body) > BODY_BYTES_MAX:
            return proxy.failure(413, "Request Entity Too Large", request_id)
        return await self._invoke(request, body, compiled.api, stage, match, path, domain, request_id)

    async def _invoke(
        self,
        request: Request,
        body: bytes,
        api: Api,
        stage: _Stage,
        match: Match,
        path: str,
        domain: str,
        request_id: str,
    ) -> Response:
        now = self._clock.now()
        event = proxy.event(
            request,
            body,
            proxy.Circumstances(
                account=api.account,
                api_id=api.id,
                domain=domain,
                stage=stage.name,
                route_key=match.key,
                path=path,
                path_parameters=match.path_parameters,
                stage_variables=stage.variables,
                request_id=request_id,
                trace_id=f"Root=1-{int(now.timestamp()):08x}-{self._ids.hex(24)}",
                now=now,
            ),
        )
        route = match.key.replace(" ", "") if match.key != DEFAULT else DEFAULT
        caller = Caller.of_service(
            "apigateway.amazonaws.com",
            account=api.account,
            region=api.region,
            source_arn=f"arn:aws:execute-api:{api.region}:{api.account}:{api.id}/{stage.name}/{route}",
            request_id=self._ids.uuid(),
        )
        arn = stage.functions[match.target]
        try:
            result = await self._cloud.call(
                "lambda", "Invoke", {"FunctionName": arn, "Payload": json.dumps(event).encode()}, caller
            )
        except AwsError as error:
            # AWS: what Lambda throttles is 503 here; whatever else it refuses is 500.
            if error.code == "TooManyRequestsException":
                return proxy.failure(503, "Service Unavailable", request_id)
            return proxy.failure(500, "Internal Server Error", request_id)
        if result.get("FunctionError"):
            return proxy.failure(500, "Internal Server Error", request_id)
        payload = result["Payload"]
        return proxy.response(payload if isinstance(payload, bytes) else await payload.read(), request_id)

    async def _find(self, api_id: str) -> _Compiled | None:
        revision = await self._database.read(store.revision_of, api_id)
        if revision is None:
            return None
        key = (api_id, revision)
        found = self._compiled.get(key)
        if found is None:
            whole = await self._database.read(store.snapshot, api_id)
            if whole is None:
                return None
            found = self._compiled[key] = _compile(whole)
            while len(self._compiled) > APIS_CACHED_MAX:
                self._compiled.popitem(last=False)
        return found


def _compile(whole: Snapshot) -> _Compiled:
    stages = {}
    for stage in whole.of("stage"):
        parts: list[Part] = list(whole.parts)
        if not stage.body.get("AutoDeploy"):
            parts = _deployed(whole, stage.body.get("DeploymentId", ""))
        routes = [(part.body["RouteKey"], part.body.get("Target", "")) for part in parts if part.kind == "route"]
        functions = {
            f"integrations/{part.id}": function_arn(part.body["IntegrationUri"]) or ""
            for part in parts
            if part.kind == "integration"
        }
        stages[stage.id] = _Stage(stage.id, stage.body.get("StageVariables", {}), RouteTable(routes), functions)
    return _Compiled(whole.api, stages)


def _deployed(whole: Snapshot, deployment: str) -> list[Part]:
    for part in whole.of("deployment"):
        if part.id == deployment:
            return [Part(part.api, kind, identity, 0, body) for kind, identity, body in part.body["Parts"]]
    return []
