"""What a request for a stack operation says, checked before anything is accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.cloudformation.intrinsics import parameter_values
from pilotlight.services.cloudformation.template import BODY_BYTES_MAX, Template, invalid, parse, required_capabilities
from pilotlight.services.contract import Cloud

STACK_NAME = re.compile(r"^[a-zA-Z][-a-zA-Z0-9]{0,127}$")
REFUSED = (
    "ResourceTypes",
    "RollbackConfiguration",
    "StackPolicyBody",
    "StackPolicyURL",
    "NotificationARNs",
    "ResourcesToImport",
)
VIRTUAL = re.compile(r"^([^.]+(?:\.[^.]+)*?)\.s3[.-]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A template with the values of its parameters."""

    text: str
    template: Template
    parameters: dict[str, Any]
    given: list[dict[str, str]]
    """As DescribeStacks shows them."""


async def template_text(cloud: Cloud, caller: Caller, request: Mapping[str, Any]) -> str:
    if "TemplateBody" in request:
        text = str(request["TemplateBody"])
        if len(text.encode()) > BODY_BYTES_MAX:
            raise invalid(
                f"1 validation error detected: Value '{text[:100]}...' at 'templateBody' failed to satisfy constraint: "
                f"Member must have length less than or equal to {BODY_BYTES_MAX}"
            )
        return text
    if "TemplateURL" not in request:
        raise invalid("Either Template URL or Template Body must be specified.")
    url = urlsplit(request["TemplateURL"])
    virtual = VIRTUAL.match(url.netloc)
    path = unquote(url.path.lstrip("/"))
    bucket, key = (virtual[1], path) if virtual else (path.partition("/")[0], path.partition("/")[2])
    try:
        found = await cloud.call("s3", "GetObject", {"Bucket": bucket, "Key": key}, caller)
    except AwsError as error:
        raise invalid(f"S3 error: {error.message}") from None
    body = found["Body"]
    data = body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])
    return data.decode()


def wanted(text: str, request: Mapping[str, Any], previous: Mapping[str, Any], known_types: Collection[str]) -> Wanted:
    """Parse and check; `previous` are the stack's parameter values so far."""
    for name in REFUSED:
        if request.get(name):
            raise NotImplementedHere(f"stack operations with {name}")
    template = parse(text, known_types)
    given: dict[str, Any] = {}
    for parameter in request.get("Parameters", []):
        use_previous = parameter.get("UsePreviousValue", False)
        given[parameter["ParameterKey"]] = None if use_previous else parameter.get("ParameterValue", "")
    values = parameter_values(template, given, previous)
    shown = []
    for name, declared in template.parameters.items():
        value = values[name]
        text_value = ",".join(value) if isinstance(value, list) else str(value)
        hidden = str(declared.get("NoEcho", "false")).lower() == "true"
        shown.append({"ParameterKey": name, "ParameterValue": "****" if hidden else text_value})
    _check_capabilities(template, request)
    return Wanted(text, template, values, shown)


def _check_capabilities(template: Template, request: Mapping[str, Any]) -> None:
    needed = required_capabilities(template)
    have = set(request.get("Capabilities", []))
    if "CAPABILITY_NAMED_IAM" in have:
        have.add("CAPABILITY_IAM")
    if needed and not set(needed) <= have:
        raise AwsError("InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(needed)}]")


def check_name(name: str) -> None:
    if not STACK_NAME.match(name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )


def keep_caller(caller: Caller, role_arn: str = "") -> dict[str, Any]:
    """A caller as JSON: whoever asks for a stack is asked for its resources, too, unless a role is named."""
    kept = asdict(caller)
    kept["context"] = {}
    kept["instance"] = ""
    if role_arn:
        name = role_arn.rsplit("/", 1)[-1]
        kept |= {
            "kind": "role",
            "role_arn": role_arn,
            "arn": f"arn:aws:sts::{caller.account}:assumed-role/{name}/AWSCloudFormation",
            "user_id": "",
            "session_policies": (),
        }
    return kept


def restore_caller(kept: Mapping[str, Any]) -> Caller:
    return Caller(**{**kept, "session_policies": tuple(kept["session_policies"])})


def tags_of(request: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Key": tag["Key"], "Value": tag["Value"]} for tag in request.get("Tags", [])]


def fingerprint(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
