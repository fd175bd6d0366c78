"""API Gateway v2, put together."""

from __future__ import annotations

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.apigatewayv2.apis import Apis
from pilotlight.services.apigatewayv2.guard import ApiGatewayGuard
from pilotlight.services.apigatewayv2.parts import Deployments, Integrations, Routes, Stages
from pilotlight.services.contract import Service
from pilotlight.storage import Database


def make_service(database: Database, clock: Clock, ids: Ids, port: int) -> Service:
    """`port` is the cloud's own, for the endpoints that it names."""
    nouns = [
        Apis(database, clock, ids, port),
        *(kind(database, clock, ids) for kind in (Integrations, Routes, Stages, Deployments)),
    ]
    return Service(name="apigatewayv2", nouns=nouns, guard=ApiGatewayGuard())
