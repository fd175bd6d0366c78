"""Filter policies: which messages a subscription wants. Pure.

AWS: "Amazon SNS subscription filter policies". The operators are those of event patterns; a policy over attributes is
flat, one over bodies may be nested. AWS: at most five keys, and 150 combinations of values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from pilotlight.event_patterns import InvalidPattern, Pattern, compile_pattern
from pilotlight.services.sns.errors import invalid

KEYS_MAX = 5
COMBINATIONS_MAX = 150
OPERATORS = frozenset({"prefix", "suffix", "anything-but", "numeric", "exists", "cidr", "equals-ignore-case"})


def read_policy(text: str, scope: str) -> Pattern:
    """Raises AwsError."""
    try:
        policy = json.loads(text, parse_float=Decimal)
    except ValueError:
        raise invalid("FilterPolicy: failed to parse JSON.") from None
    if not isinstance(policy, dict):
        raise invalid("FilterPolicy: Filter is not an object")
    keys, combinations = _measure(policy, 1, nested=scope == "MessageBody")
    if keys > KEYS_MAX:
        raise invalid("FilterPolicy: Filter policy can not have more than 5 keys")
    if combinations > COMBINATIONS_MAX:
        raise invalid("FilterPolicy: Filter policy is too complex")
    try:
        return compile_pattern(text)
    except InvalidPattern as error:
        raise invalid(f"FilterPolicy: {error}") from None


def _measure(policy: Mapping[str, Any], depth: int, *, nested: bool) -> tuple[int, int]:
    """Keys that hold values, and the product of how many each holds times its depth."""
    keys, combinations = 0, 1
    for name, value in policy.items():
        if name == "$or" and isinstance(value, list) and all(isinstance(one, dict) for one in value):
            measured = [_measure(one, depth, nested=nested) for one in value]
            more, times = sum(one for one, _ in measured), sum(one for _, one in measured)
        elif isinstance(value, dict):
            if not nested:
                raise invalid("Filter policy scope MessageAttributes does not support nested filter policy")
            more, times = _measure(value, depth + 1, nested=nested)
        elif isinstance(value, list):
            more, times = 1, max(1, len(value)) * depth
            for one in value:
                _check_operator(one)
        else:
            raise invalid(f'FilterPolicy: "{name}" must be an object or an array')
        keys, combinations = keys + more, combinations * times
    return keys, combinations


def _check_operator(value: Any) -> None:
    if isinstance(value, dict):
        for operator in value:
            if operator not in OPERATORS:
                raise invalid(f"FilterPolicy: Unrecognized match type {operator}")


def wants(attributes: Mapping[str, str], message: str, given: Mapping[str, Any]) -> bool:
    """`attributes` are the subscription's; `given` those of the message."""
    text = attributes.get("FilterPolicy", "")
    if not text or text == "{}":
        return True
    pattern = compile_pattern(text)
    if attributes.get("FilterPolicyScope") == "MessageBody":
        try:
            body = json.loads(message, parse_float=Decimal, parse_int=Decimal)
        except ValueError:
            return False
        # AWS: what is no object never matches a policy over bodies.
        return isinstance(body, dict) and pattern.matches(body)
    return pattern.matches({name: _value(value) for name, value in given.items() if _comparable(value)})


def _comparable(value: Mapping[str, Any]) -> bool:
    """AWS: binary attributes are ignored."""
    return not str(value["DataType"]).startswith("Binary")


def _value(value: Mapping[str, Any]) -> Any:
    kind, text = value["DataType"], value["StringValue"]
    if kind == "String.Array":
        try:
            found = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        except ValueError:
            return text
        return found if isinstance(found, list) else text
    if kind.startswith("Number"):
        try:
            return Decimal(text)
        except InvalidOperation:
            return text
    return text
