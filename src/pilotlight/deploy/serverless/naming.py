"""The Serverless Framework's logical ids and names: stacks made by either are the same stacks."""

from __future__ import annotations

import re

DEPLOYMENT_BUCKET = "ServerlessDeploymentBucket"
ROLE = "IamRoleLambdaExecution"
HTTP_API = "HttpApi"
HTTP_API_STAGE = "HttpApiStage"
PROVISIONED_ALIAS = "provisioned"


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def function_part(key: str) -> str:
    """`my-function_a` → `MyDashfunctionUnderscorea`."""
    return upper_first(key.replace("-", "Dash").replace("_", "Underscore"))


def alphanumeric(text: str) -> str:
    return upper_first(re.sub(r"[^0-9A-Za-z]", "", text))


def function(key: str) -> str:
    return f"{function_part(key)}LambdaFunction"


def log_group(key: str) -> str:
    return f"{function_part(key)}LogGroup"


def version(key: str, digest: str) -> str:
    return f"{function_part(key)}LambdaVersion{re.sub(r'[^0-9A-Za-z]', '', digest)}"


def provisioned_alias(key: str) -> str:
    return f"{function_part(key)}ProvConcLambdaAlias"


def qualified_arn_output(key: str) -> str:
    return f"{function_part(key)}LambdaFunctionQualifiedArn"


def bucket(name: str) -> str:
    return f"S3Bucket{alphanumeric(name)}"


def bucket_permission(key: str, name: str) -> str:
    return f"{function_part(key)}LambdaPermission{alphanumeric(name)}S3"


def api_permission(key: str) -> str:
    return f"{function_part(key)}LambdaPermissionHttpApi"


def function_url(key: str) -> str:
    return f"{function_part(key)}LambdaFunctionUrl"


def url_permission(key: str) -> str:
    return f"{function_part(key)}LambdaPermissionFnUrl"


def url_invoke_permission(key: str) -> str:
    return f"{function_part(key)}LambdaPermissionFnUrlInvoke"


def integration(key: str) -> str:
    return f"HttpApiIntegration{function_part(key)}"


def route(route_key: str) -> str:
    """`GET /images/{id}` → `HttpApiRouteGetImagesIdVar`."""
    if route_key in ("*", "$default"):
        return "HttpApiRouteDefault"
    method, _, path = route_key.partition(" ")
    parts = [upper_first(method.lower())]
    for segment in filter(None, path.split("/")):
        name = re.sub(r"^\{(.*)\}$", r"\1Var", segment).replace("-", "Dash")
        parts.append(alphanumeric(name))
    return "HttpApiRoute" + "".join(parts)


def rule(key: str, number: int) -> str:
    return f"{function_part(key)}EventsRuleSchedule{number}"


def rule_permission(key: str, number: int) -> str:
    return f"{function_part(key)}LambdaPermissionEventsRuleSchedule{number}"


def schedule_target(key: str) -> str:
    return f"{key}Schedule"


def layer(key: str) -> str:
    return f"{function_part(key)}LambdaLayer"


def event_config(key: str) -> str:
    return f"{function_part(key)}LambdaEvConf"
