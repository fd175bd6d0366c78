"""A function's `url` as resources: the function URL, who may call it, and an output that shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.deploy.serverless import naming
from pilotlight.deploy.serverless.events import Resources, target_of, with_alias
from pilotlight.deploy.serverless.service import Function, ServiceDefinition, ServiceError

KEYS = {"authorizer", "cors", "invokeMode"}
CORS_KEYS = {
    "allowCredentials": "AllowCredentials",
    "allowedHeaders": "AllowHeaders",
    "allowedMethods": "AllowMethods",
    "allowedOrigins": "AllowOrigins",
    "exposedResponseHeaders": "ExposeHeaders",
    "maxAge": "MaxAge",
}
CORS_DEFAULTS = {
    "AllowHeaders": [
        "Content-Type", "X-Amz-Date", "Authorization", "X-Api-Key", "X-Amz-Security-Token", "X-Amzn-Trace-Id"
    ],
    "AllowMethods": ["*"],
    "AllowOrigins": ["*"],
}  # fmt: skip


def add_urls(service: ServiceDefinition, resources: Resources, outputs: dict[str, Any]) -> None:
    for function in service.functions:
        if function.settings.get("url"):
            _add(function, resources, outputs)


def _add(function: Function, resources: Resources, outputs: dict[str, Any]) -> None:
    given = function.settings["url"]
    block = given if isinstance(given, Mapping) else {}
    unknown = sorted(set(block) - KEYS)
    if unknown or not isinstance(given, Mapping | bool):
        raise ServiceError(f"functions.{function.key}.url: {', '.join(unknown) or repr(given)} is not supported yet")
    signed = block.get("authorizer") == "aws_iam"
    if block.get("authorizer") not in (None, "aws_iam"):
        raise ServiceError(f"functions.{function.key}.url.authorizer can only be aws_iam")
    properties: dict[str, Any] = {
        "AuthType": "AWS_IAM" if signed else "NONE",
        "TargetFunctionArn": target_of(function),
    }
    if block.get("cors"):
        properties["Cors"] = _cors(block["cors"], function)
    if block.get("invokeMode"):
        properties["InvokeMode"] = block["invokeMode"]
    name = naming.function_url(function.key)
    resources[name] = with_alias({"Type": "AWS::Lambda::Url", "Properties": properties}, function)
    outputs[name] = {"Description": "Lambda Function URL", "Value": {"Fn::GetAtt": [name, "FunctionUrl"]}}
    if not signed:
        resources[naming.url_permission(function.key)] = _permission(
            function, "lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE"
        )
        # AWS: needed beside the other since October 2025; the framework's version 3 does not know it.
        resources[naming.url_invoke_permission(function.key)] = _permission(
            function, "lambda:InvokeFunction", InvokedViaFunctionUrl=True
        )


def _permission(function: Function, action: str, **condition: Any) -> dict[str, Any]:
    properties = {"FunctionName": target_of(function), "Action": action, "Principal": "*", **condition}
    return with_alias({"Type": "AWS::Lambda::Permission", "Properties": properties}, function)


def _cors(given: Any, function: Function) -> dict[str, Any]:
    """`cors: true` means everyone. Of a mapping, what it leaves out has the default, and `null` leaves it away."""
    if not isinstance(given, Mapping):
        return dict(CORS_DEFAULTS)
    unknown = sorted(set(given) - set(CORS_KEYS))
    if unknown:
        raise ServiceError(f"functions.{function.key}.url.cors: {', '.join(unknown)} is not supported yet")
    cors = CORS_DEFAULTS | {CORS_KEYS[key]: value for key, value in given.items()}
    return {name: value for name, value in cors.items() if value is not None}
