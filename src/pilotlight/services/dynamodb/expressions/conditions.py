"""Bound conditions: functions from an item to yes or no. An absent item is an empty one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.binding import (
    NOT_DISTINCT,
    OPERAND_COUNT,
    OPERAND_TYPE,
    Binding,
    Fault,
    Operand,
    first_fault,
    getter,
    shown_path,
    shown_value,
)
from pilotlight.services.dynamodb.values import AttributeValue, Item, equal, order

Predicate = Callable[[Item], bool]

OPERAND_COUNTS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
}
TYPES = ("S", "N", "B", "NULL", "SS", "BOOL", "L", "BS", "NS", "M")
IN_OPERANDS_MAX = 100
_HOLDS: Mapping[str, Callable[[int], bool]] = {
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}


def bind_condition(condition: tree.Condition, binding: Binding, kind: str) -> Predicate:
    """Raises AwsError for what is wrong whatever the item may be."""
    match condition:
        case tree.And(left, right):
            first, second = bind_condition(left, binding, kind), bind_condition(right, binding, kind)
            return lambda item: first(item) and second(item)
        case tree.Or(left, right):
            first, second = bind_condition(left, binding, kind), bind_condition(right, binding, kind)
            return lambda item: first(item) or second(item)
        case tree.Not(inner):
            negated = bind_condition(inner, binding, kind)
            return lambda item: not negated(item)
    leaf = _Leaf(binding)
    predicate = leaf.bind(condition)
    fault = first_fault(leaf.faults)
    if fault is not None:
        raise fault.answer(kind)
    return predicate


class _Leaf:
    """One comparison or function. All its faults are gathered, since DynamoDB ranks them."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self.faults: list[Fault] = []

    def _fault(self, rank: int, message: str) -> None:
        self.faults.append(Fault(rank, message))

    def bind(self, condition: tree.Condition) -> Predicate:
        match condition:
            case tree.Comparison(operator, left, right):
                return self._comparison(operator, self._operand(left), self._operand(right))
            case tree.Between(operand, low, high):
                return self._between(self._operand(operand), self._operand(low), self._operand(high))
            case tree.In(operand, choices):
                return self._in(self._operand(operand), [self._operand(choice) for choice in choices])
            case tree.Call(name, arguments):
                return self._function(name, [self._operand(argument) for argument in arguments])
        raise TypeError(condition)

    def _operand(self, operand: tree.Operand) -> Operand:
        try:
            if isinstance(operand, tree.Path):
                path = self._binding.path(operand)
                return Operand(getter(path), path=path)
            if isinstance(operand, tree.Value):
                value = self._binding.value(operand)
                return Operand(lambda item: value, literal=value)
        except Fault as fault:
            self.faults.append(fault)
            return Operand(lambda item: None)
        assert isinstance(operand, tree.Call)
        inner = [self._operand(argument) for argument in operand.arguments]
        if self._counts(operand.name, inner):
            self._scalar_size(inner[0])
        get = inner[0].get
        return Operand(lambda item: _size(get(item)), call=operand.name)

    def _counts(self, name: str, operands: list[Operand]) -> bool:
        if len(operands) != OPERAND_COUNTS.get(name, len(operands)):
            self._fault(
                OPERAND_COUNT,
                "Incorrect number of operands for operator or function; "
                f"operator or function: {name}, number of operands: {len(operands)}",
            )
            return False
        return True

    def _distinct(self, name: str, operands: list[Operand]) -> None:
        first, *others = operands
        if first.path is not None and any(other.path == first.path for other in others):
            self._fault(
                NOT_DISTINCT,
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {name}, first operand: {shown_path(first.path)}",
            )

    def _wrong_type(self, name: str, kind: str) -> None:
        self._fault(
            OPERAND_TYPE,
            f"Incorrect operand type for operator or function; operator or function: {name}, operand type: {kind}",
        )

    def _scalar_size(self, operand: Operand) -> None:
        kind = operand.type or ("N" if operand.call else None)
        if kind in ("N", "BOOL", "NULL"):
            self._wrong_type("size", kind)

    # Comparisons.

    def _comparison(self, operator: str, left: Operand, right: Operand) -> Predicate:
        self._distinct(operator, [left, right])
        mine, other = left.get, right.get
        if operator in ("=", "<>"):
            wanted = operator == "="
            return lambda item: _same(mine(item), other(item)) is wanted
        for operand in (left, right):
            if operand.type not in (None, "S", "N", "B"):
                self._wrong_type(operator, str(operand.type))
        holds = _HOLDS[operator]

        def compare(item: Item) -> bool:
            first, second = mine(item), other(item)
            if first is None or second is None:
                return False
            sign = order(first, second)
            return sign is not None and holds(sign)

        return compare

    def _between(self, operand: Operand, low: Operand, high: Operand) -> Predicate:
        for bound in (operand, low, high):
            if bound.type not in (None, "S", "N", "B"):
                self._wrong_type("BETWEEN", str(bound.type))
        if low.literal is not None and high.literal is not None:
            self._check_bounds(low.literal, high.literal)
        value_of, low_of, high_of = operand.get, low.get, high.get

        def between(item: Item) -> bool:
            value, least, most = value_of(item), low_of(item), high_of(item)
            if value is None or least is None or most is None:
                return False
            above, below = order(value, least), order(value, most)
            return above is not None and below is not None and above >= 0 and below <= 0

        return between

    def _check_bounds(self, low: AttributeValue, high: AttributeValue) -> None:
        shown = f"lower bound operand: {shown_value(low)}, upper bound operand: {shown_value(high)}"
        if next(iter(low)) != next(iter(high)):
            self._fault(
                OPERAND_TYPE, f"The BETWEEN operator requires same data type for lower and upper bounds; {shown}"
            )
        elif (order(low, high) or 0) > 0:
            self._fault(
                OPERAND_TYPE,
                f"The BETWEEN operator requires upper bound to be greater than or equal to lower bound; {shown}",
            )

    def _in(self, operand: Operand, choices: list[Operand]) -> Predicate:
        if len(choices) > IN_OPERANDS_MAX:
            self._fault(
                OPERAND_COUNT,
                f"The IN operator is provided with too many operands; number of operands: {len(choices)}",
            )
        self._distinct("IN", [operand, *choices])
        value_of, candidates = operand.get, [choice.get for choice in choices]

        def among(item: Item) -> bool:
            value = value_of(item)
            return value is not None and any(_same(value, candidate(item)) for candidate in candidates)

        return among

    # Functions.

    def _function(self, name: str, operands: list[Operand]) -> Predicate:
        if not self._counts(name, operands):
            return lambda item: False
        self._distinct(name, operands)
        if name in ("attribute_exists", "attribute_not_exists"):
            if operands[0].path is None:
                self._fault(
                    OPERAND_TYPE, f"Operator or function requires a document path; operator or function: {name}"
                )
            get, wanted = operands[0].get, name == "attribute_exists"
            return lambda item: (get(item) is not None) is wanted
        if name == "attribute_type":
            return self._attribute_type(*operands)
        if name == "begins_with":
            for operand in operands:
                kind = operand.type or ("N" if operand.call else None)
                if kind not in (None, "S", "B"):
                    self._wrong_type(name, str(kind))
            return _both(operands, _begins_with)
        return _both(operands, _contains)

    def _attribute_type(self, operand: Operand, wanted: Operand) -> Predicate:
        if wanted.literal is None or wanted.type != "S":
            self._wrong_type("attribute_type", wanted.type or "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
            return lambda item: False
        kind = wanted.literal["S"]
        if kind not in TYPES:
            self._fault(
                OPERAND_TYPE,
                f"Invalid attribute type name found; type: {kind}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}",
            )
        get = operand.get
        return lambda item: kind in (get(item) or ())


def _both(operands: list[Operand], holds: Callable[[AttributeValue, AttributeValue], bool]) -> Predicate:
    first, second = operands[0].get, operands[1].get

    def check(item: Item) -> bool:
        left, right = first(item), second(item)
        return left is not None and right is not None and holds(left, right)

    return check


def _same(left: AttributeValue | None, right: AttributeValue | None) -> bool:
    return left is not None and right is not None and equal(left, right)


def _begins_with(whole: AttributeValue, start: AttributeValue) -> bool:
    kind = next(iter(start))
    return kind in ("S", "B") and kind in whole and bool(whole[kind].startswith(start[kind]))


def _contains(whole: AttributeValue, part: AttributeValue) -> bool:
    kind, content = next(iter(whole.items()))
    wanted, sought = next(iter(part.items()))
    if kind in ("S", "B"):
        return kind == wanted and sought in content
    if kind in ("SS", "NS", "BS"):
        return kind[0] == wanted and sought in content
    return kind == "L" and any(equal(element, part) for element in content)


def _size(value: AttributeValue | None) -> AttributeValue | None:
    if value is None:
        return None
    kind, content = next(iter(value.items()))
    if kind in ("N", "BOOL", "NULL"):
        return None
    return {"N": str(_length(kind, content))}


def _length(kind: str, content: Any) -> int:
    if kind == "S" and not content.isascii():
        # AWS: strings are as long as Java says, in units of UTF-16.
        return len(content.encode("utf-16-le")) // 2
    return len(content)
