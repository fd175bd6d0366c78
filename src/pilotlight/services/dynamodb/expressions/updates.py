"""Update expressions: from an item to the next. Every operand is read from the item as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb import numbers
from pilotlight.services.dynamodb.errors import invalid
from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.binding import Binding, Fault, Path, lookup, overlap
from pilotlight.services.dynamodb.values import AttributeValue, Item

Compute = Callable[[Item], AttributeValue]
KIND = "UpdateExpression"
SETS = ("SS", "NS", "BS")
_WORDS = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "NULL": "NULL",
    "BOOL": "BOOLEAN",
    "L": "LIST",
    "M": "MAP",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
}


@dataclass(frozen=True, slots=True)
class Step:
    section: str
    path: Path
    compute: Compute | None = None
    literal: AttributeValue | None = None


@dataclass(frozen=True, slots=True)
class BoundUpdate:
    steps: tuple[Step, ...]

    @property
    def paths(self) -> list[Path]:
        return [step.path for step in self.steps]

    def apply(self, item: Item) -> Item:
        """The next item; the given one stays as it is. Raises AwsError."""
        computed = [step.compute(item) if step.compute is not None else None for step in self.steps]
        changed = _Draft(item)
        for section in ("SET", "REMOVE", "ADD", "DELETE"):
            pairs = [pair for pair in zip(self.steps, computed, strict=True) if pair[0].section == section]
            if section == "REMOVE":
                pairs.sort(key=lambda pair: _index(pair[0].path), reverse=True)
            elif section == "SET":
                pairs.sort(key=lambda pair: _index(pair[0].path))
            for step, value in pairs:
                _APPLY[section](changed, step, value)
        return changed.item


def _index(path: Path) -> int:
    """AWS: indexes mean the list as it was, so lists lose elements from their end and gain them in order."""
    last = path[-1]
    return last if isinstance(last, int) else -1


def bind_update(update: tree.Update, binding: Binding) -> BoundUpdate:
    """Raises AwsError, in DynamoDB's order: names, values, overlapping paths, then operands."""
    undefined = _undefined(update, binding)
    if undefined is not None:
        raise undefined.answer(KIND)
    overlapping = overlap([binding.path(action.path) for action in update])
    if overlapping is not None:
        raise overlapping.answer(KIND)
    try:
        for action in update:
            if action.section in ("ADD", "DELETE"):
                _check_operand(action, binding)
        return BoundUpdate(tuple(_step(action, binding) for action in update))
    except Fault as fault:
        raise fault.answer(KIND) from None


def _undefined(update: tree.Update, binding: Binding) -> Fault | None:
    names: list[Fault] = []
    values: list[Fault] = []

    def visit(operand: tree.Operand | None) -> None:
        try:
            if isinstance(operand, tree.Path):
                binding.path(operand)
            elif isinstance(operand, tree.Value):
                binding.value(operand)
        except Fault as fault:
            (names if isinstance(operand, tree.Path) else values).append(fault)
        if isinstance(operand, tree.Call):
            for argument in operand.arguments:
                visit(argument)
        elif isinstance(operand, tree.Arithmetic):
            visit(operand.left)
            visit(operand.right)

    for action in update:
        visit(action.path)
        visit(action.operand)
    return next(iter([*names, *values]), None)


def _check_operand(action: tree.Action, binding: Binding) -> None:
    assert isinstance(action.operand, tree.Value)
    kind = next(iter(binding.value(action.operand)))
    if kind not in SETS and not (action.section == "ADD" and kind == "N"):
        raise Fault(
            0,
            "Incorrect operand type for operator or function; "
            f"operator: {action.section}, operand type: {_WORDS[kind]}",
        )


def _step(action: tree.Action, binding: Binding) -> Step:
    path = binding.path(action.path)
    if action.section == "SET":
        assert action.operand is not None
        literal = binding.value(action.operand) if isinstance(action.operand, tree.Value) else None
        return Step("SET", path, _compute(action.operand, binding), literal)
    literal = binding.value(action.operand) if isinstance(action.operand, tree.Value) else None
    return Step(action.section, path, None, literal)


# Operands.


def _compute(operand: tree.Operand, binding: Binding) -> Compute:
    match operand:
        case tree.Value():
            value = binding.value(operand)
            return lambda item: value
        case tree.Path():
            path = binding.path(operand)
            return lambda item: _required(item, path)
        case tree.Arithmetic(operator, left, right):
            _check_literals(operator, (left, right), "N", binding)
            return _arithmetic(operator, _compute(left, binding), _compute(right, binding))
        case tree.Call(name, arguments):
            return _function(name, arguments, binding)
    raise TypeError(operand)


def _required(item: Item, path: Path) -> AttributeValue:
    found = lookup(item, path)
    if found is None:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    return found


def _check_literals(name: str, operands: Sequence[tree.Operand], wanted: str, binding: Binding) -> None:
    for operand in operands:
        kind = next(iter(binding.value(operand))) if isinstance(operand, tree.Value) else wanted
        if kind != wanted:
            raise Fault(
                0,
                f"Incorrect operand type for operator or function; operator or function: {name}, operand type: {kind}",
            )


def _function(name: str, arguments: Sequence[tree.Operand], binding: Binding) -> Compute:
    if len(arguments) != 2:
        raise Fault(
            0,
            "Incorrect number of operands for operator or function; "
            f"operator or function: {name}, number of operands: {len(arguments)}",
        )
    first, second = arguments
    if name == "if_not_exists":
        if not isinstance(first, tree.Path):
            raise Fault(0, f"Operator or function requires a document path; operator or function: {name}")
        path, otherwise = binding.path(first), _compute(second, binding)
        return lambda item: lookup(item, path) or otherwise(item)
    _check_literals(name, arguments, "L", binding)
    left, right = _compute(first, binding), _compute(second, binding)

    def append(item: Item) -> AttributeValue:
        start, end = left(item), right(item)
        if "L" not in start or "L" not in end:
            raise _wrong_type()
        return {"L": [*start["L"], *end["L"]]}

    return append


def _arithmetic(operator: str, left: Compute, right: Compute) -> Compute:
    calculate = numbers.add if operator == "+" else numbers.subtract

    def compute(item: Item) -> AttributeValue:
        first, second = left(item), right(item)
        if "N" not in first or "N" not in second:
            raise _wrong_type()
        return {"N": calculate(first["N"], second["N"])}

    return compute


def _wrong_type() -> AwsError:
    return invalid("An operand in the update expression has an incorrect data type")


def _wrong_path() -> AwsError:
    return invalid("The document path provided in the update expression is invalid for update")


# Actions.


class _Draft:
    """A copy of an item, in which only what is written to is copied."""

    def __init__(self, item: Item) -> None:
        self.item = dict(item)
        self._own: set[str] = set()

    def holder(self, path: Path) -> tuple[Any, tree.Part]:
        """The map or list that the last step of the path stands in. Raises AwsError where there is none."""
        if len(path) == 1:
            return self.item, path[0]
        name = str(path[0])
        if name not in self.item:
            raise _wrong_path()
        if name not in self._own:
            self.item[name] = _copy(self.item[name])
            self._own.add(name)
        value = self.item[name]
        for part in path[1:-1]:
            value = _child(value, part)
        content = value.get("L" if isinstance(path[-1], int) else "M")
        if content is None:
            raise _wrong_path()
        return content, path[-1]

    def read(self, path: Path) -> AttributeValue | None:
        holder, last = self.holder(path)
        if isinstance(last, int):
            return holder[last] if last < len(holder) else None
        found: AttributeValue | None = holder.get(last)
        return found


def _child(value: AttributeValue, part: tree.Part) -> AttributeValue:
    if isinstance(part, int):
        elements = value.get("L")
        if elements is None or part >= len(elements):
            raise _wrong_path()
        child: AttributeValue = elements[part]
        return child
    members = value.get("M")
    if members is None or part not in members:
        raise _wrong_path()
    member: AttributeValue = members[part]
    return member


def _copy(value: AttributeValue) -> AttributeValue:
    if "M" in value:
        return {"M": {name: _copy(inner) for name, inner in value["M"].items()}}
    if "L" in value:
        return {"L": [_copy(inner) for inner in value["L"]]}
    return value


def _put(draft: _Draft, path: Path, value: AttributeValue) -> None:
    holder, last = draft.holder(path)
    if isinstance(last, int) and last >= len(holder):
        holder.append(value)  # AWS: beyond the end means at the end.
    else:
        holder[last] = value
    if len(path) == 1:
        draft._own.discard(str(last))


def _set(draft: _Draft, step: Step, value: AttributeValue | None) -> None:
    assert value is not None
    _put(draft, step.path, value)


def _remove(draft: _Draft, step: Step, _: AttributeValue | None) -> None:
    holder, last = draft.holder(step.path)
    if isinstance(last, int):
        del holder[last : last + 1]
    else:
        holder.pop(last, None)


def _add(draft: _Draft, step: Step, _: AttributeValue | None) -> None:
    assert step.literal is not None
    kind, content = next(iter(step.literal.items()))
    existing = draft.read(step.path)
    if existing is None:
        _put(draft, step.path, step.literal)
    elif kind not in existing:
        raise _wrong_type()
    elif kind == "N":
        _put(draft, step.path, {"N": numbers.add(existing["N"], content)})
    else:
        already = set(existing[kind])
        _put(draft, step.path, {kind: existing[kind] + [one for one in content if one not in already]})


def _delete(draft: _Draft, step: Step, _: AttributeValue | None) -> None:
    assert step.literal is not None
    kind, content = next(iter(step.literal.items()))
    existing = draft.read(step.path)
    if existing is None:
        return
    if kind not in existing:
        raise _wrong_type()
    gone = set(content)
    left = [one for one in existing[kind] if one not in gone]
    if left:
        _put(draft, step.path, {kind: left})
    else:  # AWS: a set is never empty; the attribute goes with its last member.
        _remove(draft, step, None)


_APPLY: dict[str, Callable[[_Draft, Step, AttributeValue | None], None]] = {
    "SET": _set,
    "REMOVE": _remove,
    "ADD": _add,
    "DELETE": _delete,
}
