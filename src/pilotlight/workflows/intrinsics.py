"""The intrinsic functions: `States.Format('Hello {}', $.name)` and the others.

A text is parsed once into a tree and then called on each input. Chance is handed in, so that a history can be replayed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pilotlight.ids import seeded
from pilotlight.workflows.failures import StatesError

ARRAY_MAX = 1000
NESTING_MAX = 10
DATA_CHARACTERS_MAX = 10_000
_NAME = re.compile(r"States\.[A-Za-z0-9]+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_PATH = re.compile(r"""\$(?:[^\s,()'"\[\]]|\[(?:'(?:\\.|[^'])*'|"(?:\\.|[^"])*"|[^\]'"]*)\])*""")

Resolve = Callable[[str], Any]
Node = tuple[Any, ...]


class IntrinsicInvalid(ValueError):
    """The text is no call of an intrinsic function."""


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def call(self, depth: int = 0) -> Node:
        match = _NAME.match(self.text, self.at)
        if match is None or match[0] not in FUNCTIONS:
            raise IntrinsicInvalid(f"not an intrinsic function: {self.text[self.at : self.at + 60]}")
        if depth >= NESTING_MAX:
            raise IntrinsicInvalid(f"more than {NESTING_MAX} intrinsic functions are nested")
        self.at = match.end()
        self.expect("(")
        arguments = []
        self.blank()
        while not self.text.startswith(")", self.at):
            arguments.append(self.argument(depth))
            self.blank()
            if not self.text.startswith(")", self.at):
                self.expect(",")
        self.expect(")")
        return ("call", match[0], arguments)

    def argument(self, depth: int) -> Node:
        self.blank()
        rest = self.text[self.at : self.at + 1]
        if rest == "'":
            return ("value", self.string())
        if rest == "$":
            match = _PATH.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            return ("path", match[0])
        if self.text.startswith("States.", self.at):
            return self.call(depth + 1)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return ("value", value)
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            return ("value", float(match[0]) if match[1] or match[2] else int(match[0]))
        raise IntrinsicInvalid(f"not an argument: {self.text[self.at : self.at + 60]}")

    def string(self) -> str:
        made, at = [], self.at + 1
        while at < len(self.text):
            letter = self.text[at]
            if letter == "\\" and at + 1 < len(self.text):
                # The template of States.Format keeps its escaped braces until it is filled.
                following = self.text[at + 1]
                made.append(following if following not in "{}" else letter + following)
                at += 2
            elif letter == "'":
                self.at = at + 1
                return "".join(made)
            else:
                made.append(letter)
                at += 1
        raise IntrinsicInvalid("a string does not end")

    def blank(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def expect(self, letter: str) -> None:
        self.blank()
        if not self.text.startswith(letter, self.at):
            raise IntrinsicInvalid(f"{letter} is missing in {self.text}")
        self.at += 1


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """Raises IntrinsicInvalid."""
    parser = _Parser(text)
    node = parser.call()
    parser.blank()
    if parser.at != len(text):
        raise IntrinsicInvalid(f"more follows the function: {text[parser.at :]}")
    return node


def paths_of(node: Node) -> list[str]:
    if node[0] == "path":
        return [node[1]]
    return [path for argument in node[2] for path in paths_of(argument)] if node[0] == "call" else []


def evaluate(text: str, resolve: Resolve, rng: random.Random) -> Any:
    """Raises StatesError: `States.IntrinsicFailure`."""
    return _value(parse(text), resolve, rng)


def _value(node: Node, resolve: Resolve, rng: random.Random) -> Any:
    if node[0] == "value":
        return node[1]
    if node[0] == "path":
        return resolve(node[1])
    arguments = [_value(argument, resolve, rng) for argument in node[2]]
    try:
        return FUNCTIONS[node[1]](rng, *arguments)
    except StatesError:
        raise
    except (TypeError, ValueError, IndexError, KeyError, ArithmeticError) as error:
        raise StatesError("States.IntrinsicFailure", f"Failed to evaluate {node[1]}: {error}") from None


def _fail(message: str) -> StatesError:
    return StatesError("States.IntrinsicFailure", message)


def text_of(value: Any) -> str:
    """As `States.Format` writes an argument: strings bare, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _format(rng: random.Random, template: str, *arguments: Any) -> str:
    if not isinstance(template, str):
        raise _fail("Invalid arguments in States.Format")
    left = list(arguments)
    made, at = [], 0
    while at < len(template):
        if template.startswith("\\", at) and template[at + 1 : at + 2] in ("{", "}"):
            made.append(template[at + 1])
            at += 2
        elif template.startswith("{}", at):
            if not left:
                raise _fail("Invalid arguments in States.Format: more placeholders than arguments")
            made.append(text_of(left.pop(0)))
            at += 2
        else:
            made.append(template[at])
            at += 1
    if left:
        raise _fail("Invalid arguments in States.Format: more arguments than placeholders")
    return "".join(made)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _fail(f"an array is expected, not {text_of(value)}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _fail(f"a number is expected, not {text_of(value)}")
    return round(value)


def _partition(rng: random.Random, array: Any, size: Any) -> list[list[Any]]:
    items, count = _list(array), _whole(size)
    if count <= 0:
        raise _fail("the chunk size of States.ArrayPartition must be positive")
    return [items[at : at + count] for at in range(0, len(items), count)]


def _range(rng: random.Random, first: Any, last: Any, step: Any) -> list[int]:
    start, end, by = _whole(first), _whole(last), _whole(step)
    if by == 0:
        raise _fail("the step of States.ArrayRange must not be 0")
    made = range(start, end + (1 if by > 0 else -1), by)
    if len(made) > ARRAY_MAX:
        raise _fail(f"States.ArrayRange makes more than {ARRAY_MAX} elements")
    return list(made)


def _item(rng: random.Random, array: Any, index: Any) -> Any:
    items, at = _list(array), _whole(index)
    if not 0 <= at < len(items):
        raise _fail(f"States.ArrayGetItem: the index {at} is outside of the array")
    return items[at]


def _unique(rng: random.Random, array: Any) -> list[Any]:
    seen, made = set(), []
    for one in _list(array):
        key = json.dumps(one, sort_keys=True)
        if key not in seen:
            seen.add(key)
            made.append(one)
    return made


def _contains(rng: random.Random, array: Any, value: Any) -> bool:
    wanted = json.dumps(value, sort_keys=True)
    return any(json.dumps(one, sort_keys=True) == wanted for one in _list(array))


def _short(text: Any) -> str:
    if not isinstance(text, str) or len(text) > DATA_CHARACTERS_MAX:
        raise _fail(f"a string of at most {DATA_CHARACTERS_MAX} characters is expected")
    return text


def _hash(rng: random.Random, data: Any, algorithm: str) -> str:
    names = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
    if algorithm not in names:
        raise _fail(f"States.Hash knows no algorithm {text_of(algorithm)}")
    return hashlib.new(names[algorithm], _short(text_of(data)).encode(), usedforsecurity=False).hexdigest()


def _merge(rng: random.Random, first: Any, second: Any, deep: Any) -> dict[str, Any]:
    if deep is not False:
        raise _fail("States.JsonMerge: deep merging is not supported, the third argument must be false")
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise _fail("States.JsonMerge merges objects only")
    return {**first, **second}


def _random(rng: random.Random, start: Any, end: Any, seed: Any = None) -> int:
    first, last = _whole(start), _whole(end)
    if last <= first:
        raise _fail("States.MathRandom: the end must be larger than the start")
    return (seeded(_whole(seed)) if seed is not None else rng).randrange(first, last)


def _split(rng: random.Random, text: Any, separators: Any) -> list[str]:
    if not isinstance(text, str) or not isinstance(separators, str) or not separators:
        raise _fail("States.StringSplit expects two strings")
    # AWS: each character separates on its own, and empty parts are left out.
    return [part for part in re.split(f"[{re.escape(separators)}]", text) if part]


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) % 4]}{digits[17:20]}-{digits[20:]}"
    )


def _add(rng: random.Random, first: Any, second: Any) -> int:
    return _whole(first) + _whole(second)


def _parse_json(rng: random.Random, text: Any) -> Any:
    if not isinstance(text, str):
        raise _fail("States.StringToJson expects a string")
    return json.loads(text)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "States.Format": _format,
    "States.StringToJson": _parse_json,
    "States.JsonToString": lambda rng, value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    "States.Array": lambda rng, *values: list(values),
    "States.ArrayPartition": _partition,
    "States.ArrayContains": _contains,
    "States.ArrayRange": _range,
    "States.ArrayGetItem": _item,
    "States.ArrayLength": lambda rng, array: len(_list(array)),
    "States.ArrayUnique": _unique,
    "States.Base64Encode": lambda rng, text: base64.b64encode(_short(text).encode()).decode(),
    "States.Base64Decode": lambda rng, text: base64.b64decode(_short(text), validate=True).decode(),
    "States.Hash": _hash,
    "States.JsonMerge": _merge,
    "States.MathRandom": _random,
    "States.MathAdd": _add,
    "States.StringSplit": _split,
    "States.UUID": _uuid,
}
