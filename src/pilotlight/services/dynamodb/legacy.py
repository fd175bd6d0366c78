"""The parameters from before there were expressions, given the same meaning as expressions have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotlight.services.dynamodb.errors import invalid, parameters_invalid
from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.binding import Binding, Path
from pilotlight.services.dynamodb.expressions.conditions import Predicate, bind_condition
from pilotlight.services.dynamodb.expressions.key_conditions import KeyCondition
from pilotlight.services.dynamodb.expressions.updates import SETS, BoundUpdate, Step
from pilotlight.services.dynamodb.values import AttributeValue, Item, canonical, order

_COMPARATORS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_FUNCTIONS = {"BEGINS_WITH": "begins_with", "CONTAINS": "contains", "NOT_CONTAINS": "contains"}
_SCALARS = ("S", "N", "B")
_ALLOWED_TYPES = {
    **dict.fromkeys(("LT", "LE", "GT", "GE", "BETWEEN", "IN"), _SCALARS),
    "BEGINS_WITH": ("S", "B"),
    "CONTAINS": ("S", "N", "B", "BOOL", "NULL"),
    "NOT_CONTAINS": ("S", "N", "B", "BOOL", "NULL"),
}


def _check_count(operator: str, count: int) -> None:
    wanted = {"NULL": count == 0, "NOT_NULL": count == 0, "BETWEEN": count == 2, "IN": count > 0}
    if not wanted.get(operator, count == 1):
        raise parameters_invalid(f"Invalid number of argument(s) for the {operator} ComparisonOperator")


def _operands(operator: str, values: Sequence[Mapping[str, Any]]) -> list[AttributeValue]:
    operands = [canonical(value or {}) for value in values]
    _check_count(operator, len(operands))
    kinds = [next(iter(value)) for value in operands]
    if len(set(kinds)) > 1 and operator in ("BETWEEN", "IN"):
        raise parameters_invalid("AttributeValues inside AttributeValueList must be of same type")
    allowed = _ALLOWED_TYPES.get(operator)
    for kind in kinds:
        if allowed is not None and kind not in allowed:
            raise parameters_invalid(f"ComparisonOperator {operator} is not valid for {kind} AttributeValue type")
    if operator == "BETWEEN" and (order(*operands) or 0) > 0:
        raise invalid(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )
    return operands


def _condition(operator: str, operands: Sequence[AttributeValue]) -> Callable[[str], tuple[tree.Condition, Binding]]:
    """For an attribute's name: the tree, and what its placeholders stand for."""
    values = {f":{number}": value for number, value in enumerate(operands)}
    path, arguments = tree.Path(("#name",)), [tree.Value(name) for name in values]
    condition: tree.Condition
    if operator in _COMPARATORS:
        condition = tree.Comparison(_COMPARATORS[operator], path, arguments[0])
    elif operator in _FUNCTIONS:
        condition = tree.Call(_FUNCTIONS[operator], (path, arguments[0]))
    elif operator == "BETWEEN":
        condition = tree.Between(path, arguments[0], arguments[1])
    elif operator == "IN":
        condition = tree.In(path, tuple(arguments))
    else:
        condition = tree.Call("attribute_not_exists" if operator == "NULL" else "attribute_exists", (path,))
    if operator == "NOT_CONTAINS":
        condition = tree.Not(condition)
    return lambda name: (condition, Binding({"#name": name}, values))


def _predicate(name: str, operator: str, values: Sequence[Mapping[str, Any]], kind: str) -> Predicate:
    condition, binding = _condition(operator, _operands(operator, values))(name)
    return bind_condition(condition, binding, kind)


def _combined(predicates: Sequence[Predicate], operator: str | None) -> Predicate | None:
    if not predicates:
        return None
    if operator == "OR":
        return lambda item: any(predicate(item) for predicate in predicates)
    return lambda item: all(predicate(item) for predicate in predicates)


def filter_of(request: Mapping[str, Any], member: str) -> Predicate | None:
    """`QueryFilter` or `ScanFilter`, with `ConditionalOperator`."""
    conditions = request.get(member) or {}
    predicates = [
        _predicate(name, condition["ComparisonOperator"], condition.get("AttributeValueList") or (), member)
        for name, condition in conditions.items()
    ]
    return _combined(predicates, request.get("ConditionalOperator"))


def expected(request: Mapping[str, Any]) -> Predicate | None:
    conditions = request.get("Expected")
    if not conditions:
        if request.get("ConditionalOperator"):
            raise invalid(
                "ConditionalOperator cannot be used without Filter or Expected"
                if conditions is None
                else "ConditionalOperator can only be used when Filter or Expected has two or more elements"
            )
        return None
    predicates = [_expectation(name, condition or {}) for name, condition in conditions.items()]
    return _combined(predicates, request.get("ConditionalOperator"))


def _expectation(name: str, condition: Mapping[str, Any]) -> Predicate:
    operator, exists = condition.get("ComparisonOperator"), condition.get("Exists")
    value, values = condition.get("Value"), condition.get("AttributeValueList")
    if operator is not None:
        if exists is not None:
            raise parameters_invalid(f"Exists and ComparisonOperator cannot be used together for Attribute: {name}")
        if value is not None and values is not None:
            raise parameters_invalid(f"Value and AttributeValueList cannot be used together for Attribute: {name}")
        if value is None and values is None and operator not in ("NULL", "NOT_NULL"):
            raise parameters_invalid(
                f"Value or AttributeValueList must be used with ComparisonOperator: {operator} for Attribute: {name}"
            )
        return _predicate(name, operator, values if values is not None else [value] if value else [], "Expected")
    if values is not None:
        raise parameters_invalid(f"AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}")
    if exists is False:
        if value is not None:
            raise parameters_invalid(f"Value cannot be used when Exists is false for Attribute: {name}")
        return _predicate(name, "NULL", [], "Expected")
    if value is None:
        told = "null" if exists is None else "true"
        raise parameters_invalid(f"Value must be provided when Exists is {told} for Attribute: {name}")
    return _predicate(name, "EQ", [value], "Expected")


def key_conditions(conditions: Mapping[str, Any]) -> Mapping[str, KeyCondition]:
    if not 1 <= len(conditions) <= 2:
        raise invalid("Conditions can be of length 1 or 2 only")
    found = {}
    for name, condition in conditions.items():
        operator = condition["ComparisonOperator"]
        operands = _operands(operator, condition.get("AttributeValueList") or ())
        if operator in ("NULL", "NOT_NULL", "CONTAINS", "NOT_CONTAINS", "IN", "NE"):
            raise invalid("Attempted conditional constraint is not an indexable operation")
        spelled = {**_COMPARATORS, "BEGINS_WITH": "begins_with"}.get(operator, operator)
        found[name] = KeyCondition(spelled, tuple(operands))
    return found


def attributes_to_get(names: Sequence[str] | None) -> list[Path] | None:
    if names is None:
        return None
    for number, name in enumerate(names):
        if name in names[:number]:
            raise parameters_invalid(f"Duplicate value in attribute name: {name}")
    return [(name,) for name in names]


def attribute_updates(updates: Mapping[str, Any]) -> BoundUpdate:
    return BoundUpdate(tuple(_update(name, update or {}) for name, update in updates.items()))


def _update(name: str, update: Mapping[str, Any]) -> Step:
    action, given = update.get("Action", "PUT"), update.get("Value")
    if given is None:
        if action != "DELETE":
            raise parameters_invalid("Only DELETE action is allowed when no attribute value is specified")
        return Step("REMOVE", (name,))
    value = canonical(given)
    kind = next(iter(value))
    if action == "PUT":
        return Step("SET", (name,), lambda item: value, value)
    if action == "ADD" and kind == "L":
        # AWS: the older ADD appends to lists.
        return Step("SET", (name,), lambda item: _appended(item, name, value))
    if kind not in SETS and not (action == "ADD" and kind == "N"):
        raise parameters_invalid(f"{action} action is not supported for the type {kind}")
    return Step(action, (name,), None, value)


def _appended(item: Item, name: str, value: AttributeValue) -> AttributeValue:
    existing = item.get(name, {"L": []})
    if "L" not in existing:
        raise invalid("Type mismatch for attribute to update")
    return {"L": [*existing["L"], *value["L"]]}
