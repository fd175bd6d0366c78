"""API Gateway's permissions go by HTTP method and path: `apigateway:POST` on `arn:aws:apigateway:REGION::/apis`."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params

_METHODS = {"Create": "POST", "Get": "GET", "Update": "PATCH", "Delete": "DELETE", "Tag": "POST", "Untag": "DELETE"}
_PATHS = {"Integration": "integrations", "Route": "routes", "Stage": "stages", "Deployment": "deployments"}
_IDS = {"Integration": "IntegrationId", "Route": "RouteId", "Stage": "StageName", "Deployment": "DeploymentId"}


class ApiGatewayGuard:
    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        verb = next(
            prefix for prefix in ("Untag", "Create", "Get", "Update", "Delete", "Tag") if operation.startswith(prefix)
        )
        return [
            Access(f"apigateway:{_METHODS[verb]}", f"arn:aws:apigateway:{caller.region}::{_path(operation, params)}")
        ]

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        return None


def _path(operation: str, params: Params) -> str:
    if "ResourceArn" in params:
        return f"/tags/{params['ResourceArn']}"
    path = f"/apis/{params['ApiId']}" if "ApiId" in params else "/apis"
    for noun, folder in _PATHS.items():
        if noun in operation:
            identity = params.get(_IDS[noun], "") if not operation.startswith("Create") else ""
            return f"{path}/{folder}" + (f"/{identity}" if identity else "")
    return path
