"""A function's events as resources: `s3`, `httpApi`, `schedule`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pilotlight.deploy.serverless import naming
from pilotlight.deploy.serverless.service import Function, ServiceDefinition, ServiceError

Resources = dict[str, Any]
SUPPORTED = ("s3", "httpApi", "schedule")
S3_KEYS = {"bucket", "event", "rules", "existing"}
API_KEYS = {"path", "method"}
SCHEDULE_KEYS = {"rate", "enabled", "input", "inputPath", "name", "description"}
CORS_HEADERS = [
    "Content-Type",
    "X-Amz-Date",
    "Authorization",
    "X-Api-Key",
    "X-Amz-Security-Token",
    "X-Amz-User-Agent",
    "X-Amzn-Trace-Id",
]
ARN_SO_FAR = ["arn:", {"Ref": "AWS::Partition"}]


def add_events(service: ServiceDefinition, resources: Resources) -> None:
    """In the framework's order: schedules, buckets, then the API with its routes."""
    for function in service.functions:
        for event in function.events:
            _check(event, function)
    for function in service.functions:
        _add_schedules(function, resources)
    _add_buckets(service, resources)
    _add_api(service, resources)


def _check(event: Mapping[str, Any], function: Function) -> None:
    if not isinstance(event, Mapping) or len(event) != 1:
        raise ServiceError(f"functions.{function.key}.events: {event!r} is not an event")
    (kind,) = event
    if kind not in SUPPORTED:
        raise ServiceError(f"functions.{function.key}.events: {kind} is not supported yet; {', '.join(SUPPORTED)} are")


def target_of(function: Function) -> Any:
    """What events invoke: the provisioned alias where there is one, else the function's newest code."""
    arn = {"Fn::GetAtt": [naming.function(function.key), "Arn"]}
    if function.settings.get("provisionedConcurrency"):
        return {"Fn::Join": [":", [arn, naming.PROVISIONED_ALIAS]]}
    return arn


def _alias(function: Function) -> str:
    return naming.provisioned_alias(function.key) if function.settings.get("provisionedConcurrency") else ""


def with_alias(resource: dict[str, Any], function: Function) -> dict[str, Any]:
    return {**resource, "DependsOn": _alias(function)} if _alias(function) else resource


def _add_schedules(function: Function, resources: Resources) -> None:
    number = 0
    for event in function.events:
        if "schedule" not in event:
            continue
        block = event["schedule"] if isinstance(event["schedule"], Mapping) else {"rate": event["schedule"]}
        _only(block, SCHEDULE_KEYS, function, "schedule")
        rates = block["rate"] if isinstance(block["rate"], list) else [block["rate"]]
        for rate in rates:
            number += 1
            rule = naming.rule(function.key, number)
            resources[rule] = {"Type": "AWS::Events::Rule", "Properties": _rule(block, rate, function)}
            resources[naming.rule_permission(function.key, number)] = with_alias(
                _permission(function, "events.amazonaws.com", {"Fn::GetAtt": [rule, "Arn"]}), function
            )


def _rule(block: Mapping[str, Any], rate: str, function: Function) -> dict[str, Any]:
    target: dict[str, Any] = {}
    if "input" in block:
        given = block["input"]
        target["Input"] = given if isinstance(given, str) else json.dumps(given, separators=(",", ":"))
    if "inputPath" in block:
        target["InputPath"] = block["inputPath"]
    target |= {"Arn": target_of(function), "Id": naming.schedule_target(function.key)}
    properties: dict[str, Any] = {
        "ScheduleExpression": rate,
        "State": "DISABLED" if block.get("enabled") is False else "ENABLED",
        "Targets": [target],
    }
    for key, name in (("name", "Name"), ("description", "Description")):
        if key in block:
            properties[name] = block[key]
    return properties


def _permission(function: Function, principal: str, source_arn: Any, **further: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": target_of(function),
            "Action": "lambda:InvokeFunction",
            "Principal": principal,
            "SourceArn": source_arn,
            **further,
        },
    }


def _add_buckets(service: ServiceDefinition, resources: Resources) -> None:
    """One bucket resource for each name, with the notifications of all functions."""
    buckets: dict[str, list[dict[str, Any]]] = {}
    depends: dict[str, list[str]] = {}
    for function in service.functions:
        for event in function.events:
            if "s3" not in event:
                continue
            block = event["s3"] if isinstance(event["s3"], Mapping) else {"bucket": event["s3"]}
            _only(block, S3_KEYS, function, "s3")
            if block.get("existing"):
                raise ServiceError(f"functions.{function.key}: s3 events on existing buckets are not supported yet")
            name = str(block["bucket"])
            if name in (service.provider.get("s3") or {}):
                raise ServiceError("provider.s3 is not supported yet")
            buckets.setdefault(name, []).append(_notification(block, function))
            permission = naming.bucket_permission(function.key, name)
            after = depends.setdefault(name, [])
            after += [one for one in (permission, _alias(function)) if one and one not in after]
            resources[permission] = with_alias(
                _permission(
                    function,
                    "s3.amazonaws.com",
                    {"Fn::Join": ["", [*ARN_SO_FAR, f":s3:::{name}"]]},
                    SourceAccount={"Ref": "AWS::AccountId"},
                ),
                function,
            )
    for name, notifications in buckets.items():
        resources[naming.bucket(name)] = {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": name,
                "NotificationConfiguration": {"LambdaConfigurations": notifications},
            },
            "DependsOn": depends[name],
        }


def _notification(block: Mapping[str, Any], function: Function) -> dict[str, Any]:
    notification: dict[str, Any] = {
        "Event": block.get("event", "s3:ObjectCreated:*"),
        "Function": target_of(function),
    }
    rules = [{"Name": key, "Value": value} for rule in block.get("rules", []) for key, value in rule.items()]
    if rules:
        notification["Filter"] = {"S3Key": {"Rules": rules}}
    return notification


def _add_api(service: ServiceDefinition, resources: Resources) -> None:
    routes: dict[str, Function] = {}
    for function in service.functions:
        for event in function.events:
            if "httpApi" in event:
                key = _route_key(event["httpApi"], function)
                if key in routes:
                    raise ServiceError(f"functions.{function.key}: the route {key!r} is declared twice")
                routes[key] = function
    if not routes:
        return
    resources[naming.HTTP_API] = {"Type": "AWS::ApiGatewayV2::Api", "Properties": _api(service)}
    resources[naming.HTTP_API_STAGE] = {
        "Type": "AWS::ApiGatewayV2::Stage",
        "Properties": {
            "ApiId": {"Ref": naming.HTTP_API},
            "StageName": "$default",
            "AutoDeploy": True,
            "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        },
    }
    for function in {function.key: function for function in routes.values()}.values():
        _add_integration(function, resources)
    for key, function in routes.items():
        integration = naming.integration(function.key)
        resources[naming.route(key)] = {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": naming.HTTP_API},
                "RouteKey": key,
                "Target": {"Fn::Join": ["/", ["integrations", {"Ref": integration}]]},
            },
            "DependsOn": integration,
        }


def _api(service: ServiceDefinition) -> dict[str, Any]:
    settings = service.provider.get("httpApi") or {}
    unknown = sorted(set(settings) - {"name", "payload", "cors"})
    if unknown or settings.get("payload", "2.0") != "2.0":
        raise ServiceError(f"provider.httpApi: {', '.join(unknown) or 'payload 1.0'} is not supported yet")
    properties: dict[str, Any] = {
        "Name": settings.get("name") or f"{service.stage}-{service.name}",
        "ProtocolType": "HTTP",
    }
    if settings.get("cors"):
        properties["CorsConfiguration"] = _cors(settings["cors"])
    return properties


def _cors(value: Any) -> dict[str, Any]:
    """`cors: true` means everyone, with the framework's list of headers."""
    given = value if isinstance(value, Mapping) else {}
    cors: dict[str, Any] = {
        "AllowOrigins": given.get("allowedOrigins", ["*"]),
        "AllowHeaders": given.get(
            "allowedHeaders",
            CORS_HEADERS,
        ),
        "AllowMethods": given.get("allowedMethods", ["OPTIONS", "GET", "POST", "PUT", "DELETE", "PATCH"]),
    }
    for key, name in (
        ("allowCredentials", "AllowCredentials"),
        ("maxAge", "MaxAge"),
        ("exposedResponseHeaders", "ExposeHeaders"),
    ):
        if key in given:
            cors[name] = given[key]
    return cors


def _route_key(value: Any, function: Function) -> str:
    if isinstance(value, Mapping):
        _only(value, API_KEYS, function, "httpApi")
        method, path = str(value.get("method", "*")).upper(), str(value.get("path", "*"))
    else:
        text = str(value)
        method, _, path = ("*", "", "*") if text == "*" else text.partition(" ")
    if path == "*":
        return "$default"
    path = path if path.startswith("/") else f"/{path}"
    return f"{'ANY' if method in ('*', 'ANY') else method.upper()} {path}"


def _add_integration(function: Function, resources: Resources) -> None:
    resources[naming.api_permission(function.key)] = with_alias(
        _permission(
            function,
            "apigateway.amazonaws.com",
            {
                "Fn::Join": [
                    "",
                    [
                        *ARN_SO_FAR,
                        ":execute-api:",
                        {"Ref": "AWS::Region"},
                        ":",
                        {"Ref": "AWS::AccountId"},
                        ":",
                        {"Ref": naming.HTTP_API},
                        "/*",
                    ],
                ]
            },
        ),
        function,
    )
    resources[naming.integration(function.key)] = {
        "Type": "AWS::ApiGatewayV2::Integration",
        "Properties": {
            "ApiId": {"Ref": naming.HTTP_API},
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": target_of(function),
            "PayloadFormatVersion": "2.0",
            "TimeoutInMillis": 30000,
        },
    }


def _only(block: Mapping[str, Any], known: set[str], function: Function, kind: str) -> None:
    unknown = sorted(set(block) - known)
    if unknown:
        raise ServiceError(f"functions.{function.key}.events.{kind}: {', '.join(unknown)} is not supported yet")
    if kind == "schedule" and "rate" not in block:
        raise ServiceError(f"functions.{function.key}.events.schedule has no rate")
    if kind == "schedule":
        rates = block["rate"] if isinstance(block["rate"], list) else [block["rate"]]
        for rate in rates:
            if not re.match(r"^(rate|cron)\(.+\)$", str(rate)):
                raise ServiceError(f"functions.{function.key}.events.schedule: {rate!r} is no rate(…) or cron(…)")
