"""Whether a definition can run: its fields, its transitions, its paths.

AWS names each finding by a code and a place (`/States/Work/Next`); what this engine lacks is told apart from what is
wrong, so that nobody mistakes one for the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pilotlight.workflows import intrinsics, paths
from pilotlight.workflows.choice import OPERATORS, moment
from pilotlight.workflows.tasks import parse_resource
from pilotlight.workflows.templates import expressions

SCHEMA = "SCHEMA_VALIDATION_FAILED"
NAME_CHARACTERS_MAX = 80
STATES_MAX = 10_000
_COMMON = {"Type", "Comment", "QueryLanguage"}
_FLOW = {"Next", "End"}
_IN_OUT = {"InputPath", "OutputPath", "Assign"}
_RESULT = {"ResultPath", "ResultSelector", "Parameters"}
_ERRORS = {"Retry", "Catch"}
FIELDS: dict[str, set[str]] = {
    "Pass": _COMMON | _FLOW | _IN_OUT | {"Result", "ResultPath", "Parameters"},
    "Task": _COMMON | _FLOW | _IN_OUT | _RESULT | _ERRORS
    | {"Resource", "TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath", "Credentials"},
    "Choice": _COMMON | _IN_OUT | {"Choices", "Default"},
    "Wait": _COMMON | _FLOW | _IN_OUT | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Succeed": _COMMON | {"InputPath", "OutputPath"},
    "Fail": _COMMON | {"Error", "Cause", "ErrorPath", "CausePath"},
    "Parallel": _COMMON | _FLOW | _IN_OUT | _RESULT | _ERRORS | {"Branches"},
    "Map": _COMMON | _FLOW | _IN_OUT | _RESULT | _ERRORS
    | {"ItemsPath", "ItemSelector", "ItemProcessor", "Iterator", "MaxConcurrency", "MaxConcurrencyPath", "Label"},
}  # fmt: skip
LACKING = ("ItemReader", "ItemBatcher", "ResultWriter", "ToleratedFailurePercentage", "ToleratedFailureCount",
           "ToleratedFailurePercentagePath", "ToleratedFailureCountPath", "Credentials")  # fmt: skip
_PATH_FIELDS = ("ResultPath",)


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    message: str
    location: str
    lacking: bool = False
    """It is right for AWS, and not built here."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"


class _Twice(ValueError):
    pass


def parse(text: str) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The definition, and everything that is wrong with it."""
    try:
        definition = json.loads(text, object_pairs_hook=_once)
    except _Twice as error:
        return None, [Finding("INVALID_JSON_DESCRIPTION", f"Duplicate field '{error}'", "/")]
    except ValueError as error:
        return None, [Finding("INVALID_JSON_DESCRIPTION", str(error), "/")]
    if not isinstance(definition, dict):
        return None, [Finding(SCHEMA, "The definition must be an object", "/")]
    findings = list(_machine(definition, "", top=True))
    if not findings:
        names = list(_names(definition))
        twice = sorted({name for name in names if names.count(name) > 1})
        findings = [Finding("DUPLICATE_STATE_NAME", f"State name '{name}' is used twice", "/States") for name in twice]
    return definition, findings


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise _Twice(name)
        made[name] = value
    return made


def _names(machine: dict[str, Any]) -> Iterator[str]:
    for name, state in machine["States"].items():
        yield name
        for inner in (*state.get("Branches", ()), state.get("Iterator"), state.get("ItemProcessor")):
            if inner:
                yield from _names(inner)


def _machine(machine: Any, at: str, *, top: bool = False) -> Iterator[Finding]:
    if not isinstance(machine, dict):
        yield Finding(SCHEMA, "The value must be an object", at or "/")
        return
    known = {"Comment", "StartAt", "States"} | (
        {"Version", "TimeoutSeconds", "QueryLanguage"} if top else {"ProcessorConfig", "QueryLanguage"}
    )
    for name in machine:
        if name not in known:
            yield Finding(SCHEMA, f"Field '{name}' is not supported", f"{at}/{name}")
    if machine.get("QueryLanguage", "JSONPath") != "JSONPath":
        yield Finding("NOT_IMPLEMENTED", "the query language JSONata", f"{at}/QueryLanguage", lacking=True)
        return
    if machine.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE":
        yield Finding("NOT_IMPLEMENTED", "Distributed Map", f"{at}/ProcessorConfig", lacking=True)
    if top and "TimeoutSeconds" in machine and not _positive(machine["TimeoutSeconds"]):
        yield Finding(SCHEMA, "The value for the field 'TimeoutSeconds' must be a positive INTEGER", "/TimeoutSeconds")
    states = machine.get("States")
    if not isinstance(states, dict) or not states:
        yield Finding(
            SCHEMA,
            "These fields are required: [States]"
            if states is None
            else "The field 'States' must hold at least one state",
            at or "/",
        )
        return
    if not isinstance(machine.get("StartAt"), str):
        yield Finding(SCHEMA, "These fields are required: [StartAt]", at or "/")
        return
    if machine["StartAt"] not in states:
        yield Finding("MISSING_TRANSITION_TARGET", f"Missing 'StartAt' target: {machine['StartAt']}", f"{at}/StartAt")
    for name, state in states.items():
        yield from _state(name, state, states, f"{at}/States/{name}")
    yield from _unreached(machine, at)


def _unreached(machine: dict[str, Any], at: str) -> Iterator[Finding]:
    reached, ahead = set(), [machine["StartAt"]]
    while ahead:
        name = ahead.pop()
        state = machine["States"].get(name)
        if name in reached or not isinstance(state, dict):
            continue
        reached.add(name)
        ahead += [one for one, _ in _targets(state, "")]
    for name in machine["States"]:
        if name not in reached:
            yield Finding("MISSING_TRANSITION_TARGET", f'State "{name}" is not reachable.', f"{at}/States/{name}")


def _targets(state: dict[str, Any], at: str) -> Iterator[tuple[Any, str]]:
    for field in ("Next", "Default"):
        if field in state:
            yield state[field], f"{at}/{field}"
    for field in ("Choices", "Catch"):
        rules = state.get(field)
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict) and "Next" in rule:
                yield rule["Next"], f"{at}/{field}[{index}]/Next"


def _state(name: str, state: Any, states: dict[str, Any], at: str) -> Iterator[Finding]:
    if not isinstance(state, dict):
        yield Finding(SCHEMA, "The value must be an object", at)
        return
    if len(name) > NAME_CHARACTERS_MAX:
        yield Finding(SCHEMA, f"State name is longer than {NAME_CHARACTERS_MAX} characters", at)
    kind = state.get("Type")
    if kind is None:
        yield Finding(SCHEMA, "These fields are required: [Type]", at)
        return
    if kind not in FIELDS:
        yield Finding(SCHEMA, f"The value for the field 'Type' must be one of {sorted(FIELDS)}", f"{at}/Type")
        return
    if state.get("QueryLanguage", "JSONPath") != "JSONPath":
        yield Finding("NOT_IMPLEMENTED", "the query language JSONata", f"{at}/QueryLanguage", lacking=True)
        return
    for field in state:
        if field in LACKING and kind in ("Map", "Task"):
            yield Finding("NOT_IMPLEMENTED", f"{field} of a {kind} state", f"{at}/{field}", lacking=True)
        elif field not in FIELDS[kind]:
            yield Finding(SCHEMA, f"Field '{field}' is not supported", f"{at}/{field}")
    if "Next" in FIELDS[kind]:
        if "Next" not in state and state.get("End") is not True:
            yield Finding(
                SCHEMA, "Missing 'Next' or 'End' field" if "End" not in state else "The field 'End' must be true", at
            )
        elif "Next" in state and "End" in state:
            yield Finding(SCHEMA, "These fields are mutually exclusive: [Next, End]", at)
    for target, place in _targets(state, at):
        if target not in states:
            yield Finding("MISSING_TRANSITION_TARGET", f"Missing '{place.rpartition('/')[2]}' target: {target}", place)
    yield from _paths(state, at)
    yield from _errors(state, at)
    yield from _OWN.get(kind, _nothing)(state, at)


def _nothing(state: dict[str, Any], at: str) -> Iterator[Finding]:
    return iter(())


def _paths(state: dict[str, Any], at: str) -> Iterator[Finding]:
    for field, value in state.items():
        place = f"{at}/{field}"
        if field in ("InputPath", "OutputPath", "ResultPath") and value is None:
            continue
        if field == "ResultPath":
            if not isinstance(value, str) or paths.plain_steps(value) is None:
                yield Finding(SCHEMA, "The value for the field 'ResultPath' must be a valid Reference Path", place)
        elif field in ("InputPath", "OutputPath", "ItemsPath"):
            if not (isinstance(value, str) and value.startswith("$") and _is_expression(value)):
                yield Finding(SCHEMA, f"The value for the field '{field}' must be a valid JSONPath", place)
        elif field.endswith("Path") and not _is_expression(value):
            yield Finding(SCHEMA, f"The value for the field '{field}' must be a valid JSONPath", place)
    for field in ("Parameters", "ResultSelector", "ItemSelector", "Assign"):
        if field in state:
            if field != "Parameters" and not isinstance(state[field], dict):
                yield Finding(SCHEMA, f"The value for the field '{field}' must be an object", f"{at}/{field}")
            yield from _twice(state[field], f"{at}/{field}")
            for place, value in expressions(state[field], f"{at}/{field}"):
                if not _is_expression(value):
                    name = place.rpartition("/")[2]
                    yield Finding(
                        SCHEMA,
                        f"The value for the field '{name}' must be a valid JSONPath or a valid intrinsic function call",
                        place,
                    )


def _twice(template: Any, at: str) -> Iterator[Finding]:
    """`name` and `name.$` side by side would be the same field."""
    if isinstance(template, dict):
        for name, value in template.items():
            if f"{name}.$" in template:
                yield Finding(SCHEMA, f"Duplicate field '{name}'", f"{at}/{name}")
            yield from _twice(value, f"{at}/{name}")


def _is_path(value: Any) -> bool:
    try:
        paths.check(value)
    except (paths.PathInvalid, AttributeError):
        return False
    return True


def _is_expression(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if value.startswith("$"):
        return _is_path(value[1:] if value.startswith("$$") else _unnamed(value))
    try:
        intrinsics.parse(value)
    except intrinsics.IntrinsicInvalid:
        return False
    return True


def _unnamed(path: str) -> str:
    """A path into a variable, as one into a value."""
    end = 1
    while end < len(path) and (path[end].isalnum() or path[end] == "_"):
        end += 1
    return "$" + path[end:]


def _errors(state: dict[str, Any], at: str) -> Iterator[Finding]:
    for field in ("Retry", "Catch"):
        rules = state.get(field, [])
        if not isinstance(rules, list):
            yield Finding(SCHEMA, f"The value for the field '{field}' must be an array", f"{at}/{field}")
            continue
        for index, rule in enumerate(rules):
            place = f"{at}/{field}[{index}]"
            names = rule.get("ErrorEquals") if isinstance(rule, dict) else None
            if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
                yield Finding(SCHEMA, "The field 'ErrorEquals' must be a list of at least one error name", place)
                continue
            if "States.ALL" in names and (len(names) > 1 or index != len(rules) - 1):
                yield Finding(SCHEMA, "States.ALL must appear alone, and in the last rule", place)
            if field == "Catch" and not isinstance(rule.get("Next"), str):
                yield Finding(SCHEMA, "These fields are required: [Next]", place)
            known = {"ErrorEquals", "Comment"} | (
                {"IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"}
                if field == "Retry" else {"Next", "ResultPath", "Assign"})  # fmt: skip
            for name in rule:
                if name not in known:
                    yield Finding(SCHEMA, f"Field '{name}' is not supported", f"{place}/{name}")
            yield from _retrier(rule, place)


def _retrier(rule: dict[str, Any], at: str) -> Iterator[Finding]:
    if "IntervalSeconds" in rule and not _positive(rule["IntervalSeconds"]):
        yield Finding(
            SCHEMA, "The value for the field 'IntervalSeconds' must be a positive INTEGER", f"{at}/IntervalSeconds"
        )
    attempts = rule.get("MaxAttempts", 0)
    if isinstance(attempts, bool) or not isinstance(attempts, int) or not 0 <= attempts <= 99_999_999:
        yield Finding(
            SCHEMA,
            "The value for the field 'MaxAttempts' must be an INTEGER between 0 and 99999999",
            f"{at}/MaxAttempts",
        )
    rate = rule.get("BackoffRate", 1)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or rate < 1:
        yield Finding(
            SCHEMA, "The value for the field 'BackoffRate' must be greater than or equal to 1.0", f"{at}/BackoffRate"
        )
    if rule.get("JitterStrategy", "NONE") not in ("NONE", "FULL"):
        yield Finding(
            SCHEMA, "The value for the field 'JitterStrategy' must be one of [FULL, NONE]", f"{at}/JitterStrategy"
        )


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 99_999_999


def _task(state: dict[str, Any], at: str) -> Iterator[Finding]:
    arn = state.get("Resource")
    if not isinstance(arn, str):
        yield Finding(SCHEMA, "These fields are required: [Resource]", at)
        return
    if ":activity:" in arn:
        yield Finding("NOT_IMPLEMENTED", "activities", f"{at}/Resource", lacking=True)
    elif parse_resource(arn) is None:
        yield Finding(
            SCHEMA,
            f"The resource provided {arn} is not recognized. The value is not a valid resource ARN, or the resource "
            "is not available in this region.",
            f"{at}/Resource",
        )
    for field in ("TimeoutSeconds", "HeartbeatSeconds"):
        if field in state and not _positive(state[field]):
            yield Finding(SCHEMA, f"The value for the field '{field}' must be a positive INTEGER", f"{at}/{field}")
        if field in state and f"{field}Path" in state:
            yield Finding(SCHEMA, f"These fields are mutually exclusive: [{field}, {field}Path]", at)
    limit, beat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
    if isinstance(limit, int) and isinstance(beat, int) and beat >= limit:
        yield Finding(SCHEMA, "HeartbeatSeconds must be smaller than TimeoutSeconds", f"{at}/HeartbeatSeconds")


def _wait(state: dict[str, Any], at: str) -> Iterator[Finding]:
    given = [name for name in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath") if name in state]
    if len(given) != 1:
        yield Finding(
            SCHEMA, "Exactly one of these fields is required: [Seconds, SecondsPath, Timestamp, TimestampPath]", at
        )
    seconds = state.get("Seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= 99_999_999:
        yield Finding(
            SCHEMA, "The value for the field 'Seconds' must be an INTEGER between 0 and 99999999", f"{at}/Seconds"
        )
    if "Timestamp" in state and moment(state["Timestamp"]) is None:
        yield Finding(
            SCHEMA,
            "The value for the field 'Timestamp' must be a valid ISO-8601 extended offset date-time format string",
            f"{at}/Timestamp",
        )


def _fail(state: dict[str, Any], at: str) -> Iterator[Finding]:
    for name in ("Error", "Cause"):
        if name in state and f"{name}Path" in state:
            yield Finding(SCHEMA, f"These fields are mutually exclusive: [{name}, {name}Path]", at)
        if name in state and not isinstance(state[name], str):
            yield Finding(SCHEMA, f"The value for the field '{name}' must be a STRING", f"{at}/{name}")


def _parallel(state: dict[str, Any], at: str) -> Iterator[Finding]:
    branches = state.get("Branches")
    if not isinstance(branches, list) or not branches:
        yield Finding(SCHEMA, "These fields are required: [Branches]", at)
        return
    for index, branch in enumerate(branches):
        yield from _machine(branch, f"{at}/Branches[{index}]")


def _map(state: dict[str, Any], at: str) -> Iterator[Finding]:
    given = [name for name in ("ItemProcessor", "Iterator") if name in state]
    if len(given) != 1:
        yield Finding(
            SCHEMA,
            "These fields are required: [ItemProcessor]"
            if not given
            else "These fields are mutually exclusive: [ItemProcessor, Iterator]",
            at,
        )
        return
    yield from _machine(state[given[0]], f"{at}/{given[0]}")
    limit = state.get("MaxConcurrency", 0)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        yield Finding(
            SCHEMA, "The value for the field 'MaxConcurrency' must be a non-negative INTEGER", f"{at}/MaxConcurrency"
        )


def _choice(state: dict[str, Any], at: str) -> Iterator[Finding]:
    choices = state.get("Choices")
    if not isinstance(choices, list) or not choices:
        yield Finding(
            SCHEMA,
            "These fields are required: [Choices]"
            if choices is None
            else "The field 'Choices' must hold at least one rule",
            at,
        )
        return
    for index, rule in enumerate(choices):
        place = f"{at}/Choices[{index}]"
        if not isinstance(rule, dict) or not isinstance(rule.get("Next"), str):
            yield Finding(SCHEMA, "These fields are required: [Next]", place)
        else:
            yield from _rule({name: one for name, one in rule.items() if name not in ("Next", "Assign")}, place)


def _rule(rule: Any, at: str) -> Iterator[Finding]:
    if not isinstance(rule, dict):
        yield Finding(SCHEMA, "The value must be an object", at)
        return
    joined = [name for name in ("And", "Or", "Not") if name in rule]
    compared = [name for name in rule if name in OPERATORS]
    unknown = [name for name in rule if name not in {"And", "Or", "Not", "Variable", "Comment"} | OPERATORS]
    if unknown:
        yield Finding(SCHEMA, f"Field '{unknown[0]}' is not supported", f"{at}/{unknown[0]}")
    elif len(joined) + len(compared) != 1 or (joined and "Variable" in rule):
        yield Finding(SCHEMA, "A choice rule needs exactly one comparison, or one of [And, Or, Not]", at)
    elif joined:
        inner = rule[joined[0]]
        if joined[0] == "Not":
            yield from _rule(inner, f"{at}/Not")
        elif not isinstance(inner, list) or not inner:
            yield Finding(SCHEMA, f"The field '{joined[0]}' must hold at least one rule", f"{at}/{joined[0]}")
        else:
            for index, one in enumerate(inner):
                yield from _rule(one, f"{at}/{joined[0]}[{index}]")
    elif not str(rule.get("Variable")).startswith("$") or not _is_expression(rule["Variable"]):
        yield Finding(SCHEMA, "The value for the field 'Variable' must be a valid JSONPath", f"{at}/Variable")
    else:
        yield from _compared(compared[0], rule[compared[0]], f"{at}/{compared[0]}")


def _compared(operator: str, value: Any, at: str) -> Iterator[Finding]:
    if operator.endswith("Path"):
        right = _is_expression(value)
    elif operator.startswith(("Is", "Boolean")):
        right = isinstance(value, bool)
    elif operator.startswith("Numeric"):
        right = isinstance(value, int | float) and not isinstance(value, bool)
    elif operator.startswith("Timestamp"):
        right = moment(value) is not None
    else:
        right = isinstance(value, str)
    if not right:
        yield Finding(SCHEMA, f"The value for the field '{operator}' is of the wrong type", at)


_OWN = {"Task": _task, "Wait": _wait, "Fail": _fail, "Parallel": _parallel, "Map": _map, "Choice": _choice}
