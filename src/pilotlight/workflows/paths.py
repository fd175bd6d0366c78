"""JSONPath as state machines use it: what `$.a.b[0]` finds in a value, and how a result is put at a place.

Most paths are plain names and numbers, and are walked here; wildcards, slices, filters and descent are left to a
library. AWS (as Jayway's JSONPath): a path that can find several values gives a list, and a plain one that finds
nothing is an error.
"""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import Any

from pilotlight.workflows.failures import StatesError

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]()*?'"\s,:@$&|!<>=~]+)|\[(?P<quote>['"])(?P<quoted>(?:\\.|(?!(?P=quote)).)+)(?P=quote)\]|\[(?P<index>-?\d+)\]"""
)
MISSING: Any = object()


class PathInvalid(ValueError):
    """It is not a path."""


@lru_cache(maxsize=4096)
def plain_steps(path: str) -> tuple[str | int, ...] | None:
    """The names and numbers of a reference path after its `$`; None where it is more than that."""
    steps: list[str | int] = []
    at = 1
    if not path.startswith("$"):
        return None
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return None
        if match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(match["name"] or re.sub(r"\\(.)", r"\1", match["quoted"]))
        at = match.end()
    return tuple(steps)


@lru_cache(maxsize=1024)
def _compiled(path: str) -> Any:
    import jsonpath  # a twentieth of a second at start, for what few machines have

    try:
        return jsonpath.compile(path)
    except jsonpath.JSONPathError as error:
        raise PathInvalid(str(error)) from None


def check(path: str) -> None:
    """Raises PathInvalid."""
    if not path.startswith("$"):
        raise PathInvalid("a path starts with $")
    if plain_steps(path) is None:
        _compiled(path)


def find(path: str, value: Any, context: Any, variables: dict[str, Any]) -> Any:
    """The value at a path, or MISSING. `$` is the state's, `$$` the context object, `$name` a variable."""
    root, path = _root(path, value, context, variables)
    if root is MISSING:
        return MISSING
    steps = plain_steps(path)
    if steps is not None:
        return _walk(root, steps)
    found = _compiled(path).findall(root)
    if not found and not _indefinite(path):
        return MISSING
    return found if _indefinite(path) else found[0]


def get(path: str, value: Any, context: Any, variables: dict[str, Any], *, where: str, shown: Any = MISSING) -> Any:
    """As `find`, but what is missing ends the state. `where` is the field, as AWS names it in the error."""
    found = find(path, value, context, variables)
    if found is MISSING:
        raise StatesError(
            "States.Runtime" if where in ("Variable", "ItemsPath") else "States.ParameterPathFailure",
            f"The JSONPath '{path}' specified for the field '{where}' could not be found in the input "
            f"'{_text(value if shown is MISSING else shown)}'",
        )
    return found


def put(path: str, value: Any, result: Any) -> Any:
    """A copy of `value` with `result` at a reference path; objects on the way are made."""
    steps = plain_steps(path)
    if steps is None:
        raise StatesError("States.ResultPathMatchFailure", f"Unable to apply ReferencePath {path} to input")
    if not steps:
        return result
    made = copy.copy(value)
    place = made
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        if isinstance(step, int):
            if not isinstance(place, list) or not -len(place) <= step < len(place):
                raise _unmatched(path, value)
        elif not isinstance(place, dict):
            raise _unmatched(path, value)
        if last:
            place[step] = result
        else:
            inner = place[step] if isinstance(step, int) else place.get(step)
            place[step] = inner = {} if inner is None else copy.copy(inner)
            place = inner
    return made


def _unmatched(path: str, value: Any) -> StatesError:
    return StatesError("States.ResultPathMatchFailure", f'Unable to apply step "{path}" to input {_text(value)}')


def _text(value: Any) -> str:
    import json

    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _root(path: str, value: Any, context: Any, variables: dict[str, Any]) -> tuple[Any, str]:
    if path.startswith("$$"):
        return context, path[1:]
    if len(path) > 1 and path[1] not in ".[":
        name = re.match(r"\$([A-Za-z_][A-Za-z0-9_]*)", path)
        if name is None:
            return MISSING, "$"
        return variables.get(name[1], MISSING), "$" + path[name.end() :]
    return value, path


def _indefinite(path: str) -> bool:
    return ".." in path or "*" in path or "?" in path or ":" in path or "," in path


def _walk(value: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return MISSING
        elif not isinstance(value, dict) or step not in value:
            return MISSING
        value = value[step]
    return value
