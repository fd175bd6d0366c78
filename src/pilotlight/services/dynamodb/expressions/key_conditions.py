"""Key conditions: the partition that is asked for, and a range within it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilotlight.services.dynamodb.errors import invalid
from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.binding import Binding
from pilotlight.services.dynamodb.expressions.conditions import bind_condition
from pilotlight.services.dynamodb.values import AttributeValue

KIND = "KeyConditionExpression"
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """`operator` is a comparator, `BETWEEN` or `begins_with`."""

    operator: str
    operands: tuple[AttributeValue, ...]


def bind_key_condition(condition: tree.Condition, binding: Binding) -> Mapping[str, KeyCondition]:
    """By attribute's name. Raises AwsError; whether the names are those of a key is for who knows the table."""
    bind_condition(condition, binding, KIND)
    found: dict[str, KeyCondition] = {}
    _collect(condition, binding, found)
    if len(found) > 2:
        raise invalid("Conditions can be of length 1 or 2 only")
    return found


def _collect(condition: tree.Condition, binding: Binding, found: dict[str, KeyCondition]) -> None:
    match condition:
        case tree.And(left, right):
            _collect(left, binding, found)
            _collect(right, binding, found)
            return
        case tree.Or() | tree.Not() | tree.In():
            raise _not_here(type(condition).__name__.upper())
        case tree.Comparison("<>", _, _):
            raise _not_here("<>")
        case tree.Call(name, _) if name not in ("begins_with", "size"):
            raise _not_here(name)
    name, operator, values = _simple(condition, binding)
    if name in found:
        raise invalid("KeyConditionExpressions must only contain one condition per key")
    found[name] = KeyCondition(operator, values)


def _not_here(operator: str) -> Exception:
    return invalid(f"Invalid operator used in KeyConditionExpression: {operator}")


def _simple(condition: tree.Condition, binding: Binding) -> tuple[str, str, tuple[AttributeValue, ...]]:
    match condition:
        case tree.Comparison(operator, left, right):
            operands: tuple[tree.Operand, ...] = (left, right)
        case tree.Between(operand, low, high):
            operator, operands = "BETWEEN", (operand, low, high)
        case tree.Call(operator, operands):
            pass
        case _:
            raise TypeError(condition)
    if operator in ("BETWEEN", "begins_with") and not isinstance(operands[0], tree.Path):
        raise invalid(
            f"Invalid condition in KeyConditionExpression: {operator} operator must have the key attribute "
            "as its first operand"
        )
    name, values = _parts(operands, binding)
    if not isinstance(operands[0], tree.Path):
        operator = _MIRRORED[operator]
    return name, operator, values


def _parts(operands: tuple[tree.Operand, ...], binding: Binding) -> tuple[str, tuple[AttributeValue, ...]]:
    name, values = "", []
    for operand in operands:
        if isinstance(operand, tree.Path):
            if name:
                raise invalid(
                    "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
                )
            path = binding.path(operand)
            if len(path) > 1:
                raise invalid("KeyConditionExpressions cannot have conditions on nested attributes")
            name = str(path[0])
        elif isinstance(operand, tree.Value):
            values.append(binding.value(operand))
        else:
            raise invalid("KeyConditionExpressions cannot contain nested operations")
    if not name:
        raise invalid("Invalid condition in KeyConditionExpression: No key attribute specified")
    return name, tuple(values)
