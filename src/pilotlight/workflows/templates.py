"""Payload templates: `Parameters`, `ResultSelector`, `ItemSelector` and `Assign`, where a name that ends in `.$` is a
path or an intrinsic function; and the fields that choose parts of a state's input and output."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from pilotlight.workflows import intrinsics, paths
from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.paths import MISSING

DATA_BYTES_MAX = 262_144
_NESTING_MAX = 200


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(slots=True)
class Scope:
    """What paths may look at: `$`, `$$` and `$variables`."""

    value: Any
    context: dict[str, Any]
    variables: dict[str, Any]
    rng: random.Random

    def of(self, value: Any) -> Scope:
        return Scope(value, self.context, self.variables, self.rng)

    def look(self, path: str) -> Any:
        return paths.find(path, self.value, self.context, self.variables)

    def get(self, path: str, field: str) -> Any:
        found = self.look(path)
        if found is MISSING:
            raise StatesError(
                "States.Runtime",
                f"The JSONPath '{path}' specified for the field '{field}' could not be found in the input "
                f"'{text(self.value)}'",
            )
        return found

    def expression(self, expression: str, field: str) -> Any:
        """A path or an intrinsic function."""
        if expression.startswith("$"):
            return self.get(expression, field)
        return intrinsics.evaluate(expression, lambda path: self.get(path, field), self.rng)

    def choose(self, path: str | None, field: str) -> Any:
        """For `InputPath` and `OutputPath`: null is an empty object."""
        if path is None:
            return {}
        if path == "$":
            return self.value
        found = self.look(path)
        if found is MISSING:
            raise StatesError("States.Runtime", f"Invalid path '{path}' : No results for path: {_bracketed(path)}")
        return found


def fill(template: Any, scope: Scope) -> Any:
    """The template with its expressions replaced."""
    if isinstance(template, dict):
        made = {}
        for name, value in template.items():
            if name.endswith(".$"):
                made[name[:-2]] = scope.expression(value, name)
            else:
                made[name] = fill(value, scope)
        return made
    if isinstance(template, list):
        return [fill(one, scope) for one in template]
    return template


def expressions(template: Any, at: str) -> list[tuple[str, Any]]:
    """Every expression of a template with where it stands."""
    if isinstance(template, dict):
        return [
            one
            for name, value in template.items()
            for one in ([(f"{at}/{name}", value)] if name.endswith(".$") else expressions(value, f"{at}/{name}"))
        ]
    if isinstance(template, list):
        return [one for index, value in enumerate(template) for one in expressions(value, f"{at}[{index}]")]
    return []


def check_size(value: Any, name: str) -> str:
    """The value as text. Raises StatesError where it is over the service's limit."""
    written = text(value)
    if len(written) > DATA_BYTES_MAX // 4 and len(written.encode()) > DATA_BYTES_MAX:
        raise StatesError(
            "States.DataLimitExceeded",
            f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service "
            "limit.",
        )
    return written


def _bracketed(path: str) -> str:
    steps = paths.plain_steps(path)
    if steps is None:
        return path
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f"['{step}']" for step in steps)
