"""Intrinsic functions, conditions and parameters: a template's values become plain ones. Pure."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.services.cloudformation.template import SUB, Template, invalid, unresolved_dependencies

ZONES = ("a", "b", "c")
NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


class _NoValue:
    """`AWS::NoValue`: the member is as if it were not there."""


NO_VALUE = _NoValue()


class NotYet(Exception):
    """A reference to a resource that does not exist yet."""


@dataclass(frozen=True, slots=True)
class Made:
    """A resource as references see it."""

    physical_id: str
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class Scope:
    """What names mean in one stack."""

    template: Template
    parameters: Mapping[str, Any]
    account: str
    region: str
    stack_id: str
    stack_name: str
    exports: Mapping[str, str] = field(default_factory=dict)
    made: Callable[[str], Made | None] = lambda name: None
    imported: set[str] = field(default_factory=set)
    """Filled with the exports that were used."""

    def condition(self, name: str) -> bool:
        conditions = self.template.part("Conditions")
        if name not in conditions:
            raise invalid(f"Template format error: Unresolved condition dependency {name}")
        return bool(self.value(conditions[name]))

    def wanted(self, logical_id: str) -> bool:
        """Whether a resource's condition holds."""
        name = self.template.resources[logical_id].condition
        return not name or self.condition(name)

    def value(self, given: Any) -> Any:
        """The plain value. Raises AwsError, or NotYet."""
        if isinstance(given, list):
            items = [self.value(item) for item in given]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(given, Mapping):
            return given
        if len(given) == 1:
            key, inner = next(iter(given.items()))
            if key == "Ref":
                return self._ref(str(inner))
            if key == "Condition" and isinstance(inner, str) and inner in self.template.part("Conditions"):
                return self.condition(inner)
            if key.startswith("Fn::"):
                return self._function(key, inner)
        values = {key: self.value(item) for key, item in given.items()}
        return {key: item for key, item in values.items() if item is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        pseudo: dict[str, Any] = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.stack_name,
            "AWS::NotificationARNs": [],
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self._made(name).physical_id

    def _made(self, name: str) -> Made:
        if name not in self.template.resources:
            raise unresolved_dependencies(name, "Resources")
        found = self.made(name)
        if found is None:
            raise NotYet(name)
        return found

    def _attribute(self, name: str, attribute: str) -> Any:
        attributes = self._made(name).attributes
        if attribute not in attributes:
            kind = self.template.resources[name].type
            raise invalid(
                f"Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt ({kind})"
            )
        return attributes[attribute]

    def _function(self, key: str, inner: Any) -> Any:
        method = _FUNCTIONS.get(key)
        if method is None:
            raise invalid(f"Template error: {key} is not a supported intrinsic function")
        return method(self, inner)

    # One method a function; each is in the table below.

    def get_att(self, inner: Any) -> Any:
        parts = inner if isinstance(inner, list) else str(inner).split(".", 1)
        if len(parts) != 2:
            raise invalid("Template error: every Fn::GetAtt object requires two non-empty parameters")
        return self._attribute(str(parts[0]), str(self.value(parts[1])))

    def sub(self, inner: Any) -> str:
        text, own = (inner[0], inner[1]) if isinstance(inner, list) else (inner, {})

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            name = name.strip()
            if name in own:
                return _text(self.value(own[name]))
            if "." in name:
                logical, _, attribute = name.partition(".")
                return _text(self._attribute(logical, attribute))
            return _text(self._ref(name))

        return SUB.sub(replace, str(text))

    def join(self, inner: Any) -> str:
        delimiter, items = inner
        values = self.value(items)
        if not isinstance(values, list):
            needs = "(1) a string delimiter and (2) a list of strings"
            raise invalid(f"Template error: every Fn::Join object requires two parameters, {needs}")
        return str(delimiter).join(_text(item) for item in values)

    def select(self, inner: Any) -> Any:
        index, items = int(self.value(inner[0])), self.value(inner[1])
        if isinstance(items, str):
            items = items.split(",")
        if not 0 <= index < len(items):
            raise invalid(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
        return items[index]

    def split(self, inner: Any) -> list[str]:
        return _text(self.value(inner[1])).split(str(inner[0]))

    def if_(self, inner: Any) -> Any:
        return self.value(inner[1] if self.condition(str(inner[0])) else inner[2])

    def and_(self, inner: Any) -> bool:
        return all(bool(self.value(item)) for item in inner)

    def or_(self, inner: Any) -> bool:
        return any(bool(self.value(item)) for item in inner)

    def not_(self, inner: Any) -> bool:
        return not self.value(inner[0])

    def equals(self, inner: Any) -> bool:
        left, right = (_text(self.value(item)) for item in inner)
        return left == right

    def find_in_map(self, inner: Any) -> Any:
        name, first, second = (_text(self.value(item)) for item in inner[:3])
        found = self.template.part("Mappings").get(name, {}).get(first, {})
        if second not in found:
            if len(inner) > 3 and "DefaultValue" in inner[3]:
                return self.value(inner[3]["DefaultValue"])
            raise invalid(f"Template error: Unable to get mapping for {name}::{first}::{second}")
        return found[second]

    def base64(self, inner: Any) -> str:
        return base64.b64encode(_text(self.value(inner)).encode()).decode()

    def import_value(self, inner: Any) -> str:
        name = _text(self.value(inner))
        if name not in self.exports:
            raise invalid(f"No export named {name} found.")
        self.imported.add(name)
        return self.exports[name]

    def get_azs(self, inner: Any) -> list[str]:
        region = _text(self.value(inner)) or self.region
        return [f"{region}{zone}" for zone in ZONES]

    def cidr(self, inner: Any) -> list[str]:
        block, count = _text(self.value(inner[0])), int(self.value(inner[1]))
        network = ipaddress.ip_network(block)
        bits = int(self.value(inner[2])) if len(inner) > 2 else 8
        subnets = network.subnets(new_prefix=network.max_prefixlen - bits)
        return [str(subnet) for subnet, _ in zip(subnets, range(count), strict=False)]


_FUNCTIONS: dict[str, Callable[[Scope, Any], Any]] = {
    "Fn::GetAtt": Scope.get_att,
    "Fn::Sub": Scope.sub,
    "Fn::Join": Scope.join,
    "Fn::Select": Scope.select,
    "Fn::Split": Scope.split,
    "Fn::If": Scope.if_,
    "Fn::And": Scope.and_,
    "Fn::Or": Scope.or_,
    "Fn::Not": Scope.not_,
    "Fn::Equals": Scope.equals,
    "Fn::FindInMap": Scope.find_in_map,
    "Fn::Base64": Scope.base64,
    "Fn::ImportValue": Scope.import_value,
    "Fn::GetAZs": Scope.get_azs,
    "Fn::Cidr": Scope.cidr,
}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def parameter_values(template: Template, given: Mapping[str, str], previous: Mapping[str, Any]) -> dict[str, Any]:
    """`given` may hold None for "use the previous value". Raises AwsError in CloudFormation's words."""
    unknown = sorted(set(given) - set(template.parameters))
    if unknown:
        raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values: dict[str, Any] = {}
    missing = []
    for name, declared in template.parameters.items():
        kind = str(declared.get("Type", "String"))
        if kind.startswith("AWS::SSM::"):
            raise NotImplementedHere(f"parameters of type {kind}")
        text = given.get(name)
        if text is None and name in given and name in previous:
            values[name] = previous[name]
            continue
        if text is None:
            if "Default" not in declared:
                missing.append(name)
                continue
            text = _text(declared["Default"])
        _check_parameter(name, text, declared, kind)
        lists = kind == "CommaDelimitedList" or kind.startswith("List<")
        values[name] = [part.strip() for part in text.split(",")] if lists else text
    if missing:
        raise invalid(f"Parameters: [{', '.join(missing)}] must have values")
    return values


def _check_parameter(name: str, text: str, declared: Mapping[str, Any], kind: str) -> None:
    constraint = declared.get("ConstraintDescription")
    if kind == "Number" and not NUMBER.match(text):
        raise invalid(f"Parameter '{name}' must be a number")
    allowed = declared.get("AllowedValues")
    if allowed is not None and text not in [_text(one) for one in allowed]:
        if constraint:
            raise invalid(f"Parameter {name} failed to satisfy constraint: {constraint}")
        raise invalid(f"Parameter '{name}' must be one of AllowedValues")
    pattern = declared.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, text):
        raise invalid(f"Parameter {name} failed to satisfy constraint: {constraint or pattern}")
    if "MinLength" in declared and len(text) < int(declared["MinLength"]):
        raise invalid(f"Parameter '{name}' must contain at least {declared['MinLength']} characters")
    if "MaxLength" in declared and len(text) > int(declared["MaxLength"]):
        raise invalid(f"Parameter '{name}' must contain at most {declared['MaxLength']} characters")
    if "MinValue" in declared and float(text) < float(declared["MinValue"]):
        raise invalid(f"Parameter '{name}' must be a number not less than {declared['MinValue']}")
    if "MaxValue" in declared and float(text) > float(declared["MaxValue"]):
        raise invalid(f"Parameter '{name}' must be a number not greater than {declared['MaxValue']}")
