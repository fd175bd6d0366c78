"""JSONata, the query language of newer state machines: an expression over `$states` and variables gives a value.

The language itself is the library's (docs/decisions/0015-jsonata.md); this module gives it AWS's functions, the
cloud's clock and dice, and bounds: steps, depth, and the size of each value on the way. Left out: a bound on the time
and memory of one single step, such as a regular expression that backtracks. Until there is one, definitions with
JSONata are refused when they are checked.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from jsonata import Jsonata
from jsonata.functions import Functions
from jsonata.jexception import JException
from jsonata.utils import Utils

from pilotlight.ids import seeded
from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.intrinsics import FUNCTIONS
from pilotlight.workflows.paths import MISSING

EXPRESSION_CHARACTERS_MAX = 65_536
STEPS_MAX = 200_000
DEPTH_MAX = 150
ELEMENTS_MAX = 262_144
"""Of a string or an array on the way: what is larger could be no state's output."""
NUMBER_BITS_MAX = 1_024
"""Numbers are doubles: the library's grow without end."""
ERROR = "States.QueryEvaluationError"

_LIBRARY = (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError, re.error)
"""What the library raises for expressions that are wrong, where its authors did not foresee them."""


class JsonataError(Exception):
    """The expression cannot be read, or cannot be evaluated; `code` is the language's, where it has one."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def body_of(value: Any) -> str | None:
    """What stands between `{%` and `%}`, where the whole string is one expression."""
    if isinstance(value, str) and len(value) >= 4 and value.startswith("{%") and value.endswith("%}"):
        return value[2:-2]
    return None


def check(expression: str) -> None:
    """Raises JsonataError where it cannot be read."""
    _read(expression)


def evaluate(expression: str, variables: Mapping[str, Any], *, now_ms: int, rng: random.Random) -> Any:
    """The value, or MISSING where the language has none. Raises JsonataError.

    AWS: names stand for variables only; `$` and `$$` are nothing at the top.
    """
    read = _read(expression)
    read.set_output_convert_nulls(False)
    bounds = _Bounds()
    read.environment.set_evaluate_entry_callback(bounds.entered)
    read.environment.set_evaluate_exit_callback(bounds.left)
    for name, function in _functions(now_ms, rng).items():
        read.register_lambda(name, function)
    try:
        found = read.evaluate(None, {name: _with_nulls(value) for name, value in variables.items()})
    except JException as error:
        raise JsonataError(str(error.error), str(error)) from None
    except StatesError as error:
        raise JsonataError("", error.cause) from None
    except _LIBRARY as error:
        raise JsonataError("", str(error)) from None
    return MISSING if found is None else _plain(found)


def _read(expression: str) -> Any:
    if len(expression) > EXPRESSION_CHARACTERS_MAX:
        raise JsonataError("", f"The expression is longer than {EXPRESSION_CHARACTERS_MAX} characters")
    try:
        return Jsonata(expression)
    except JException as error:
        raise JsonataError(str(error.error), str(error)) from None
    except _LIBRARY as error:
        raise JsonataError("S0500", str(error)) from None


class _Bounds:
    """Counts steps, so that an expression ends the same way on a slow machine and on a fast one."""

    def __init__(self) -> None:
        self.steps = 0
        self.depth = 0

    def entered(self, expression: Any, given: Any, environment: Any) -> None:
        self.steps += 1
        self.depth += 1
        if self.steps > STEPS_MAX:
            raise JException("D1012", -1)
        if self.depth > DEPTH_MAX:
            raise JException("D1011", -1)

    def left(self, expression: Any, given: Any, environment: Any, result: Any) -> None:
        self.depth -= 1
        if isinstance(result, str | list) and len(result) > ELEMENTS_MAX:
            raise JException("D2014", -1)
        if isinstance(result, int) and result.bit_length() > NUMBER_BITS_MAX:
            raise JException("D1001", -1)


def _functions(now_ms: int, rng: random.Random) -> dict[str, Callable[..., Any]]:
    """AWS's own, and those that ask for the time or roll dice."""

    def intrinsic(name: str) -> Callable[..., Any]:
        function = FUNCTIONS[name]
        return lambda *arguments: _with_nulls(function(rng, *(_plain(one) for one in arguments)))

    def dice(seed: Any = None) -> float:
        return (rng if seed is None else seeded(seed)).random()

    def now(picture: str | None = None, zone: str | None = None) -> Any:
        return Functions.datetime_from_millis(now_ms, picture, zone)

    def removed(*_: Any) -> Any:
        # AWS: there is no $eval; $parse reads JSON.
        raise JException("T1006", -1)

    return {
        "partition": intrinsic("States.ArrayPartition"),
        "range": intrinsic("States.ArrayRange"),
        "hash": intrinsic("States.Hash"),
        "uuid": intrinsic("States.UUID"),
        "parse": intrinsic("States.StringToJson"),
        "random": dice,
        "now": now,
        "millis": lambda: now_ms,
        "eval": removed,
    }


def _with_nulls(value: Any) -> Any:
    """For the library nothing is None, and null has a value of its own."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {name: _with_nulls(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_nulls(one) for one in value]
    return value


def _plain(value: Any) -> Any:
    """As JSON has it: no functions, and no 1.0 for 1."""
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if value.bit_length() > NUMBER_BITS_MAX:
            raise JsonataError("D1001", "Number out of range")
        return value if abs(value) < 2**53 else float(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise JsonataError("D1001", "Number out of range")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | range) or hasattr(value, "__iter__"):
        return [_plain(one) for one in value]
    raise JsonataError("", "The expression gives a function, which is no JSON")
