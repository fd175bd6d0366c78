"""What becomes of asynchronous events: `onError`, `destinations`, `maximumRetryAttempts`, `maximumEventAge`.

As the Serverless Framework compiles them: a configuration for each function, and the permissions that the service's own
role needs for it. A service that brings its role takes care of that itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.deploy.serverless import naming
from pilotlight.deploy.serverless.service import Function, ServiceDefinition, ServiceError

ACTIONS = {
    "function": "lambda:InvokeFunction",
    "lambda": "lambda:InvokeFunction",
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "eventBus": "events:PutEvents",
    "events": "events:PutEvents",
}
KINDS = {"onSuccess": "OnSuccess", "onFailure": "OnFailure"}


def dead_letter(function: Function) -> dict[str, Any] | None:
    """`DeadLetterConfig` of a function with `onError`."""
    target = function.settings.get("onError")
    if target is None:
        return None
    if isinstance(target, str) and target.split(":")[:1] != ["arn"]:
        raise ServiceError(f"functions.{function.key}.onError must be an ARN, Fn::GetAtt, Ref or Fn::ImportValue")
    if isinstance(target, str) and target.split(":")[2] == "sqs":
        # The framework takes queues as references only, since it gives no permission to them.
        raise ServiceError(f"functions.{function.key}.onError takes a queue as Fn::GetAtt or Fn::ImportValue only")
    return {"TargetArn": target}


def add_event_configs(service: ServiceDefinition, resources: dict[str, Any]) -> None:
    for function in service.functions:
        settings = function.settings
        destinations = settings.get("destinations") or {}
        unknown = sorted(set(destinations) - set(KINDS))
        if unknown:
            raise ServiceError(f"functions.{function.key}.destinations: {', '.join(unknown)} is not supported")
        age, retries = settings.get("maximumEventAge"), settings.get("maximumRetryAttempts")
        if not destinations and age is None and retries is None:
            continue
        alias = naming.provisioned_alias(function.key)
        properties: dict[str, Any] = {
            "FunctionName": {"Ref": naming.function(function.key)},
            "Qualifier": naming.PROVISIONED_ALIAS if alias in resources else "$LATEST",
        }
        if destinations:
            properties["DestinationConfig"] = {
                KINDS[kind]: {"Destination": _target(service, target)} for kind, target in destinations.items()
            }
            for target in destinations.values():
                _permit(service, function, target, resources)
        if age is not None:
            properties["MaximumEventAgeInSeconds"] = age
        if retries is not None:
            properties["MaximumRetryAttempts"] = retries
        resource: dict[str, Any] = {"Type": "AWS::Lambda::EventInvokeConfig", "Properties": properties}
        if alias in resources:
            resource["DependsOn"] = [alias]
        resources[naming.event_config(function.key)] = resource


def _target(service: ServiceDefinition, target: Any) -> Any:
    """The ARN: of a function of this service, one that is written out, or a reference with its type."""
    if isinstance(target, Mapping):
        return target.get("arn", target)
    if any(function.key == target for function in service.functions):
        return {"Fn::GetAtt": [naming.function(str(target)), "Arn"]}
    if str(target).startswith("arn:"):
        return target
    raise ServiceError(f"destinations: there is no function {target}")


def _permit(service: ServiceDefinition, function: Function, target: Any, resources: dict[str, Any]) -> None:
    if naming.ROLE not in resources or "role" in function.settings:
        return
    resource, kind = _target(service, target), "lambda"
    if isinstance(target, Mapping):
        kind = str(target.get("type", ""))
    elif str(target).startswith("arn:"):
        kind = str(target).split(":")[2]
    else:
        # The name, not the resource: the role is made before the functions are.
        name = next(one.name for one in service.functions if one.key == target)
        resource = {"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:" + name}
    if kind not in ACTIONS:
        raise ServiceError(f"functions.{function.key}.destinations: type {kind or 'missing'} is not supported")
    (policy,) = resources[naming.ROLE]["Properties"]["Policies"]
    policy["PolicyDocument"]["Statement"].append({"Effect": "Allow", "Action": ACTIONS[kind], "Resource": resource})
