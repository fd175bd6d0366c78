"""A template as values: read from YAML or JSON, and checked as CloudFormation checks it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from pilotlight.errors import AwsError, NotImplementedHere

BODY_BYTES_MAX = 51_200
SECTIONS = {
    "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Transform",
    "Resources", "Outputs", "Rules",
}  # fmt: skip
RESOURCE_KEYS = {
    "Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata",
    "CreationPolicy", "UpdatePolicy",
}  # fmt: skip
PSEUDO = {
    "AWS::AccountId", "AWS::NotificationARNs", "AWS::NoValue", "AWS::Partition", "AWS::Region", "AWS::StackId",
    "AWS::StackName", "AWS::URLSuffix",
}  # fmt: skip
LOGICAL_ID = re.compile(r"^[A-Za-z0-9]{1,255}$")
IAM_TYPES = ("AWS::IAM::",)


def invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message)


@dataclass(frozen=True, slots=True)
class Resource:
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    depends_on: tuple[str, ...]
    condition: str
    deletion_policy: str
    replace_policy: str


@dataclass(frozen=True, slots=True)
class Template:
    body: Mapping[str, Any]
    resources: Mapping[str, Resource]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def section(self) -> Mapping[str, Any]:
        return self.body

    def part(self, name: str) -> Mapping[str, Any]:
        value = self.body.get(name)
        return value if isinstance(value, Mapping) else {}


def parse(text: str, known_types: Collection[str]) -> Template:
    """Raises AwsError `ValidationError` in CloudFormation's words."""
    body = _read(text)
    unknown = sorted(set(body) - SECTIONS)
    if unknown:
        raise invalid(f"Invalid template property or properties [{', '.join(unknown)}]")
    if body.get("Transform"):
        raise NotImplementedHere(f"the transform {body['Transform']}")
    if body.get("Rules"):
        raise NotImplementedHere("templates with Rules")
    given = body.get("Resources")
    if not isinstance(given, Mapping) or not given:
        raise invalid("Template format error: At least one Resources member must be defined.")
    resources = {name: _resource(name, value) for name, value in given.items()}
    unrecognized = sorted({one.type for one in resources.values() if one.type not in known_types})
    if unrecognized:
        raise invalid(f"Template format error: Unrecognized resource types: [{', '.join(unrecognized)}]")
    template = Template(body, resources, body.get("Parameters") or {})
    _check_references(template)
    return template


def _read(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=TemplateLoader)
    except json.JSONDecodeError as error:
        raise invalid(
            f"Template format error: JSON not well-formed. (line {error.lineno}, column {error.colno})"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise invalid(f"Template format error: YAML not well-formed.{where}") from None
    if not isinstance(body, dict):
        raise invalid("Template format error: unsupported structure.")
    version = body.get("AWSTemplateFormatVersion", "2010-09-09")
    if str(version) != "2010-09-09":
        raise invalid(f"Template format error: {version} is not a supported value for AWSTemplateFormatVersion.")
    return body


def _resource(name: str, value: Any) -> Resource:
    if not LOGICAL_ID.match(name):
        raise invalid(f"Template format error: Resource name {name} is non alphanumeric.")
    if not isinstance(value, Mapping):
        raise invalid("Template format error: Any Resources member must be an object.")
    if "Type" not in value:
        raise invalid(f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member.")
    unknown = sorted(set(value) - RESOURCE_KEYS)
    if unknown:
        raise invalid(f"Invalid template resource property '{unknown[0]}'")
    for key in ("CreationPolicy", "UpdatePolicy"):
        if key in value:
            raise NotImplementedHere(f"resources with {key}")
    depends = value.get("DependsOn", [])
    for key in ("DeletionPolicy", "UpdateReplacePolicy"):
        policy = value.get(key, "Delete")
        if policy not in ("Delete", "Retain", "Snapshot", "RetainExceptOnCreate"):
            raise invalid(f"Template format error: Unrecognized {key} {policy} for resource {name}")
        if policy == "Snapshot":
            raise NotImplementedHere(f"{key}: Snapshot")
    return Resource(
        logical_id=name,
        type=str(value["Type"]),
        properties=value.get("Properties") or {},
        depends_on=(depends,) if isinstance(depends, str) else tuple(depends),
        condition=str(value.get("Condition", "")),
        deletion_policy=str(value.get("DeletionPolicy", "Delete")),
        replace_policy=str(value.get("UpdateReplacePolicy", "Delete")),
    )


def references(value: Any) -> set[str]:
    """Names that a value refers to by Ref, Fn::GetAtt and Fn::Sub."""
    found: set[str] = set()
    if isinstance(value, list):
        for item in value:
            found |= references(item)
    elif isinstance(value, Mapping):
        if len(value) == 1:
            key, inner = next(iter(value.items()))
            if key == "Ref":
                return {str(inner)}
            if key == "Fn::GetAtt":
                return {str(inner[0]) if isinstance(inner, list) else str(inner).split(".")[0]}
            if key == "Fn::Sub":
                text, own = (inner[0], inner[1]) if isinstance(inner, list) else (inner, {})
                names = {name.split(".")[0] for name in SUB.findall(str(text)) if not name.startswith("!")}
                return (names - set(own)) | references(list(own.values()))
        for item in value.values():
            found |= references(item)
    return found


SUB = re.compile(r"\$\{([^}]+)\}")


def unresolved_dependencies(names: str, section: str) -> AwsError:
    where = f"in the {section} block of the template"
    return invalid(f"Template format error: Unresolved resource dependencies [{names}] {where}")


def _check_references(template: Template) -> None:
    known = set(template.resources) | set(template.parameters) | PSEUDO
    for section, value in (("Resources", template.body["Resources"]), ("Outputs", template.part("Outputs"))):
        unresolved = sorted(name.strip() for name in references(value) if name.strip() not in known)
        if unresolved:
            names = ", ".join(unresolved)
            raise unresolved_dependencies(names, section)
    conditions = template.part("Conditions")
    for resource in template.resources.values():
        if resource.condition and resource.condition not in conditions:
            where = "in the Resources block of the template"
            raise invalid(f"Template format error: Unresolved condition dependency {resource.condition} {where}")
        missing = [name for name in resource.depends_on if name not in template.resources]
        if missing:
            names = ", ".join(missing)
            raise unresolved_dependencies(names, "Resources")
    order(template)


def dependencies(template: Template) -> dict[str, set[str]]:
    return {
        name: ((references(one.properties) | set(one.depends_on)) & set(template.resources)) - {name}
        for name, one in template.resources.items()
    }


def order(template: Template) -> list[str]:
    """Logical ids, each after what it depends on."""
    waiting = dependencies(template)
    done: list[str] = []
    while waiting:
        ready = [name for name, needs in waiting.items() if needs <= set(done)]
        if not ready:
            raise invalid(f"Circular dependency between resources: [{', '.join(sorted(waiting))}]")
        done += ready
        for name in ready:
            del waiting[name]
    return done


def required_capabilities(template: Template) -> list[str]:
    """What the caller must acknowledge: IAM resources, and those with names of their own."""
    named = ("RoleName", "UserName", "GroupName", "ManagedPolicyName")
    types = [one for one in template.resources.values() if one.type.startswith(IAM_TYPES)]
    if any(name in one.properties for one in types for name in named):
        return ["CAPABILITY_NAMED_IAM"]
    return ["CAPABILITY_IAM"] if types else []


class TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags; dates stay text."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _as_text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    return str(node.value)


TemplateLoader.add_multi_constructor("!", _tag)
TemplateLoader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
