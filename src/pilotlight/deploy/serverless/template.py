"""The CloudFormation template of a service: pure, and the same as the Serverless Framework's own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pilotlight.deploy.serverless import naming
from pilotlight.deploy.serverless.events import add_events
from pilotlight.deploy.serverless.failures import add_event_configs, dead_letter
from pilotlight.deploy.serverless.service import Function, ServiceDefinition, ServiceError
from pilotlight.deploy.serverless.urls import add_urls

VERSION = "2010-09-09"
DESCRIPTION = "The AWS CloudFormation template for this Serverless application"
DURABLE = {"executionTimeout": "ExecutionTimeout", "retentionPeriodInDays": "RetentionPeriodInDays"}
DURABLE_POLICY = "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicDurableExecutionRolePolicy"
"""What a durable function's role needs: to write its log and its checkpoints."""
ROLE_KEYS = {"name", "path", "managedPolicies", "permissionsBoundary", "tags", "statements"}


def first_template() -> dict[str, Any]:
    """The stack's first shape: the bucket for packages, and nothing else."""
    bucket = naming.DEPLOYMENT_BUCKET
    arn: list[Any] = ["arn:", {"Ref": "AWS::Partition"}, ":s3:::", {"Ref": bucket}]
    return {
        "AWSTemplateFormatVersion": VERSION,
        "Description": DESCRIPTION,
        "Resources": {
            bucket: {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketEncryption": {
                        "ServerSideEncryptionConfiguration": [
                            {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                        ]
                    }
                },
            },
            f"{bucket}Policy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": bucket},
                    "PolicyDocument": {
                        "Statement": [
                            {
                                "Action": "s3:*",
                                "Effect": "Deny",
                                "Principal": "*",
                                "Resource": [{"Fn::Join": ["", [*arn, "/*"]]}, {"Fn::Join": ["", arn]}],
                                "Condition": {"Bool": {"aws:SecureTransport": False}},
                            }
                        ]
                    },
                },
            },
        },
        "Outputs": {f"{bucket}Name": {"Value": {"Ref": bucket}}},
    }


def full_template(
    service: ServiceDefinition, packages: Mapping[str, str], digests: Mapping[str, str]
) -> dict[str, Any]:
    """`packages`: function key → key in the deployment bucket; `digests`: function key → `CodeSha256`."""
    template = first_template()
    resources, outputs = template["Resources"], template["Outputs"]
    for function in service.functions:
        if not function.settings.get("disableLogs"):
            resources[naming.log_group(function.key)] = _log_group(service, function)
    if any("role" not in function.settings for function in service.functions) and not _own_role(service):
        resources[naming.ROLE] = _role(service)
    for function in service.functions:
        resources[naming.function(function.key)] = _function(service, function, packages[function.key])
    for function in service.functions:
        _add_version(service, function, digests[function.key], resources, outputs)
    add_event_configs(service, resources)
    add_events(service, resources)
    add_urls(service, resources, outputs)
    if naming.HTTP_API in resources:
        outputs.update(_api_outputs())
    for name, output in outputs.items():
        output["Export"] = {"Name": f"sls-{service.name}-{service.stage}-{name}"}
    _merge(template, service.resources)
    return template


def _log_group(service: ServiceDefinition, function: Function) -> dict[str, Any]:
    properties: dict[str, Any] = {"LogGroupName": f"/aws/lambda/{function.name}"}
    days = function.settings.get("logRetentionInDays") or service.provider.get("logRetentionInDays")
    if days:
        properties["RetentionInDays"] = days
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def _own_role(service: ServiceDefinition) -> Any:
    """A role that the service brings itself: an ARN, or a reference to one of its resources."""
    role = (service.provider.get("iam") or {}).get("role")
    return role if role and (isinstance(role, str) or _is_intrinsic(role)) else None


def _is_intrinsic(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _role(service: ServiceDefinition) -> dict[str, Any]:
    role = (service.provider.get("iam") or {}).get("role") or {}
    unknown = sorted(set(role) - ROLE_KEYS)
    if unknown:
        raise ServiceError(f"provider.iam.role: {', '.join(unknown)} is not supported")
    prefix = f"{service.name}-{service.stage}"
    group = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/" + prefix
    statements: list[Any] = [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:CreateLogGroup", "logs:TagResource"],
            "Resource": [{"Fn::Sub": f"{group}*:*"}],
        },
        {"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": [{"Fn::Sub": f"{group}*:*:*"}]},
    ]
    statements += list(role.get("statements") or service.provider.get("iamRoleStatements") or [])
    trust = {"Effect": "Allow", "Principal": {"Service": ["lambda.amazonaws.com"]}, "Action": ["sts:AssumeRole"]}
    policy = {
        "PolicyName": {"Fn::Join": ["-", [service.name, service.stage, "lambda"]]},
        "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
    }
    name = role.get("name") or {"Fn::Join": ["-", [service.name, service.stage, {"Ref": "AWS::Region"}, "lambdaRole"]]}
    properties: dict[str, Any] = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [policy],
        "Path": role.get("path", "/"),
        "RoleName": name,
    }
    managed = list(role.get("managedPolicies") or [])
    if any(one.settings.get("durableConfig") and "role" not in one.settings for one in service.functions):
        managed.append({"Fn::Sub": DURABLE_POLICY})
    if managed:
        properties["ManagedPolicyArns"] = managed
    if "permissionsBoundary" in role:
        properties["PermissionsBoundary"] = role["permissionsBoundary"]
    if "tags" in role:
        properties["Tags"] = _tags(role["tags"])
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _function(service: ServiceDefinition, function: Function, package: str) -> dict[str, Any]:
    settings, provider = function.settings, service.provider
    properties: dict[str, Any] = {
        "Code": {"S3Bucket": {"Ref": naming.DEPLOYMENT_BUCKET}, "S3Key": package},
        "Handler": function.handler,
        "Runtime": function.runtime,
        "FunctionName": function.name,
        "MemorySize": function.memory_mb,
        "Timeout": function.timeout_seconds,
    }
    if function.architecture:
        properties["Architectures"] = [function.architecture]
    if "description" in settings:
        properties["Description"] = settings["description"]
    storage = settings.get("ephemeralStorageSize") or provider.get("ephemeralStorageSize")
    if storage:
        properties["EphemeralStorage"] = {"Size": storage}
    tags = {**(provider.get("tags") or {}), **(settings.get("tags") or {})}
    if tags:
        properties["Tags"] = _tags(tags)
    tracing = settings.get("tracing") or (provider.get("tracing") or {}).get("lambda")
    if tracing:
        properties["TracingConfig"] = {"Mode": "Active" if tracing is True else tracing}
    if function.environment:
        variables = {name: _variable(value) for name, value in function.environment.items() if value is not None}
        properties["Environment"] = {"Variables": variables}
    properties["Role"] = _role_reference(service, function)
    if settings.get("reservedConcurrency") is not None:
        properties["ReservedConcurrentExecutions"] = settings["reservedConcurrency"]
    if settings.get("durableConfig"):
        properties["DurableConfig"] = _durable(function)
    letters = dead_letter(function)
    if letters:
        properties["DeadLetterConfig"] = letters
    if function.layers:
        properties["Layers"] = list(function.layers)
    depends = [naming.log_group(function.key)] if not settings.get("disableLogs") else []
    depends += _as_list(settings.get("dependsOn"))
    resource: dict[str, Any] = {"Type": "AWS::Lambda::Function", "Properties": properties}
    if depends:
        resource["DependsOn"] = depends
    if "condition" in settings:
        resource["Condition"] = settings["condition"]
    return resource


def _durable(function: Function) -> dict[str, Any]:
    block = function.settings["durableConfig"]
    unknown = sorted(set(block) - set(DURABLE))
    if unknown or "executionTimeout" not in block:
        raise ServiceError(
            f"functions.{function.key}.durableConfig: {', '.join(unknown) or 'executionTimeout missing'}"
        )
    return {DURABLE[key]: value for key, value in block.items()}


def _role_reference(service: ServiceDefinition, function: Function) -> Any:
    own = function.settings.get("role") or _own_role(service)
    if isinstance(own, str) and not own.startswith("arn:"):
        return {"Fn::GetAtt": [own, "Arn"]}
    return own or {"Fn::GetAtt": [naming.ROLE, "Arn"]}


def _add_version(
    service: ServiceDefinition,
    function: Function,
    digest: str,
    resources: dict[str, Any],
    outputs: dict[str, Any],
) -> None:
    """A version resource whose name follows code and configuration, so that a change makes a new one."""
    provisioned = function.settings.get("provisionedConcurrency")
    if not (service.provider.get("versionFunctions", True) or provisioned):
        return
    properties = {
        key: value
        for key, value in resources[naming.function(function.key)]["Properties"].items()
        if key not in ("Code", "Tags", "ReservedConcurrentExecutions")
    }
    seen = hashlib.sha256((digest + json.dumps(properties, sort_keys=True)).encode()).digest()
    version = naming.version(function.key, base64.b64encode(seen).decode())
    resources[version] = {
        "Type": "AWS::Lambda::Version",
        "DeletionPolicy": "Retain",
        "Properties": {"FunctionName": {"Ref": naming.function(function.key)}, "CodeSha256": digest},
    }
    if provisioned:
        resources[naming.provisioned_alias(function.key)] = {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "FunctionName": {"Ref": naming.function(function.key)},
                "FunctionVersion": {"Fn::GetAtt": [version, "Version"]},
                "Name": naming.PROVISIONED_ALIAS,
                "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": provisioned},
            },
            "DependsOn": naming.function(function.key),
        }
    outputs[naming.qualified_arn_output(function.key)] = {
        "Description": "Current Lambda function version",
        "Value": {"Ref": version},
    }


def _api_outputs() -> dict[str, Any]:
    url = [
        "https://",
        {"Ref": naming.HTTP_API},
        ".execute-api.",
        {"Ref": "AWS::Region"},
        ".",
        {"Ref": "AWS::URLSuffix"},
    ]
    return {
        "HttpApiId": {"Description": "Id of the HTTP API", "Value": {"Ref": naming.HTTP_API}},
        "HttpApiUrl": {"Description": "URL of the HTTP API", "Value": {"Fn::Join": ["", url]}},
    }


def _merge(template: dict[str, Any], own: Mapping[str, Any]) -> None:
    """The service's own `resources` block, which may also change what was made for it."""
    for section, content in own.items():
        if isinstance(content, Mapping):
            template[section] = _deep(template.get(section, {}), content)
        else:
            template[section] = content


def _deep(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(result.get(key), Mapping) and isinstance(value, Mapping)
        result[key] = _deep(result[key], value) if both else value
    return result


def _variable(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, Mapping) else str(value)


def _tags(tags: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
