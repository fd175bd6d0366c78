"""AWS::ApiGatewayV2::Api, ::Integration, ::Route, ::Stage and ::Deployment."""

from __future__ import annotations

from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, boolean, ignore_missing, number, pick
from pilotlight.errors import AwsError

GONE = "NotFoundException"


class Api:
    type = "AWS::ApiGatewayV2::Api"
    _PASSED = (
        "Name",
        "ProtocolType",
        "Description",
        "Version",
        "CorsConfiguration",
        "RouteSelectionExpression",
        "ApiKeySelectionExpression",
        "Target",
        "RouteKey",
        "CredentialsArn",
    )
    properties = frozenset({*_PASSED, "DisableExecuteApiEndpoint", "Tags"})
    replaced_by = frozenset({"ProtocolType"})

    async def create(self, at: Context, properties: Properties) -> Made:
        params = self._params(properties)
        tags = {"_custom_id_": at.token(10), **at.tag_map(properties.get("Tags"))}
        try:
            api = await at.call("apigatewayv2", "CreateApi", Tags=tags, **params)
        except AwsError as error:
            if not (at.again and error.code == "ConflictException"):
                raise
            api = await at.call("apigatewayv2", "GetApi", ApiId=tags["_custom_id_"])
        return Made(api["ApiId"], {"ApiEndpoint": api["ApiEndpoint"], "ApiId": api["ApiId"]})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        params = self._params(new)
        del params["ProtocolType"]
        if "CorsConfiguration" in old and "CorsConfiguration" not in new:
            await at.call("apigatewayv2", "DeleteCorsConfiguration", ApiId=made.physical_id)
        await at.call("apigatewayv2", "UpdateApi", ApiId=made.physical_id, **params)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "apigatewayv2", "DeleteApi", GONE, ApiId=physical_id)

    def _params(self, properties: Properties) -> dict[str, Any]:
        params = pick(properties, *self._PASSED)
        cors = dict(params.get("CorsConfiguration", {}))
        if "AllowCredentials" in cors:
            cors["AllowCredentials"] = boolean(cors["AllowCredentials"])
        if "MaxAge" in cors:
            cors["MaxAge"] = number(cors["MaxAge"])
        if cors:
            params["CorsConfiguration"] = cors
        if "DisableExecuteApiEndpoint" in properties:
            params["DisableExecuteApiEndpoint"] = boolean(properties["DisableExecuteApiEndpoint"])
        return params


class _Part:
    """What hangs on an API, and gets its id from the service."""

    noun: str
    identity: str
    telling: str
    """The property by which one is found again after a kill."""
    replaced_by = frozenset({"ApiId"})

    def _params(self, properties: Properties) -> dict[str, Any]:
        params = dict(properties)
        if "TimeoutInMillis" in params:
            params["TimeoutInMillis"] = number(params["TimeoutInMillis"])
        return params

    async def create(self, at: Context, properties: Properties) -> Made:
        if at.again:
            listed = await at.call("apigatewayv2", f"Get{self.noun}s", ApiId=properties["ApiId"], MaxResults="500")
            for one in listed["Items"]:
                if one.get(self.telling) == properties.get(self.telling):
                    return Made(one[self.identity], {self.identity: one[self.identity]})
        made = await at.call("apigatewayv2", f"Create{self.noun}", **self._params(properties))
        return Made(made[self.identity], {self.identity: made[self.identity]})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        params = {**self._params(new), self.identity: made.physical_id}
        await at.call("apigatewayv2", f"Update{self.noun}", **params)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        params = {"ApiId": properties["ApiId"], self.identity: physical_id}
        await ignore_missing(at, "apigatewayv2", f"Delete{self.noun}", GONE, **params)


class Integration(_Part):
    type = "AWS::ApiGatewayV2::Integration"
    noun, identity, telling = "Integration", "IntegrationId", "IntegrationUri"
    properties = frozenset(
        {
            "ApiId",
            "ConnectionId",
            "ConnectionType",
            "CredentialsArn",
            "Description",
            "IntegrationMethod",
            "IntegrationSubtype",
            "IntegrationType",
            "IntegrationUri",
            "PayloadFormatVersion",
            "RequestParameters",
            "TimeoutInMillis",
        }
    )


class Route(_Part):
    type = "AWS::ApiGatewayV2::Route"
    noun, identity, telling = "Route", "RouteId", "RouteKey"
    properties = frozenset(
        {"ApiId", "RouteKey", "Target", "AuthorizationType", "AuthorizerId", "AuthorizationScopes", "OperationName"}
    )


class Stage:
    type = "AWS::ApiGatewayV2::Stage"
    properties = frozenset(
        {
            "ApiId",
            "StageName",
            "AutoDeploy",
            "DefaultRouteSettings",
            "DeploymentId",
            "Description",
            "StageVariables",
            "AccessLogSettings",
            "Tags",
        }
    )
    replaced_by = frozenset({"ApiId", "StageName"})

    async def create(self, at: Context, properties: Properties) -> Made:
        params = self._params(properties)
        tags = at.tag_map(properties.get("Tags"))
        if tags:
            params["Tags"] = tags
        try:
            await at.call("apigatewayv2", "CreateStage", **params)
        except AwsError as error:
            if not (at.again and error.code == "ConflictException"):
                raise
        return Made(str(properties["StageName"]))

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await at.call("apigatewayv2", "UpdateStage", **self._params(new))
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        params = {"ApiId": properties["ApiId"], "StageName": physical_id}
        await ignore_missing(at, "apigatewayv2", "DeleteStage", GONE, **params)

    def _params(self, properties: Properties) -> dict[str, Any]:
        params = {key: value for key, value in properties.items() if key != "Tags"}
        if "AutoDeploy" in params:
            params["AutoDeploy"] = boolean(params["AutoDeploy"])
        settings = dict(params.get("DefaultRouteSettings", {}))
        if "DetailedMetricsEnabled" in settings:
            settings["DetailedMetricsEnabled"] = boolean(settings["DetailedMetricsEnabled"])
            params["DefaultRouteSettings"] = settings
        return params


class Deployment:
    type = "AWS::ApiGatewayV2::Deployment"
    properties = frozenset({"ApiId", "Description", "StageName"})
    replaced_by = frozenset({"ApiId"})

    async def create(self, at: Context, properties: Properties) -> Made:
        made = await at.call("apigatewayv2", "CreateDeployment", **dict(properties))
        return Made(made["DeploymentId"], {"DeploymentId": made["DeploymentId"]})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        params = {"ApiId": properties["ApiId"], "DeploymentId": physical_id}
        await ignore_missing(at, "apigatewayv2", "DeleteDeployment", GONE, **params)


TYPES = (Api(), Integration(), Route(), Stage(), Deployment())
