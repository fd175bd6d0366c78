"""`${…}` in a `serverless.yml`: pure, but for the sources that are handed in.

A variable is an address, or several with commas of which the first that exists counts; a quoted text, a
number or a boolean is a literal. Variables stand inside variables, and a text that is nothing but one
variable becomes its value, whatever type that has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

DEPTH_MAX = 40


class VariableError(Exception):
    """A variable that cannot be resolved; the message names it and where it stands."""


class _Missing:
    """What a source answers when it has nothing under an address."""


MISSING = _Missing()
Source = Callable[[str, str], Any]
"""`(parameter in brackets, address) → value`, or MISSING."""


class Variables:
    """Resolves a whole document. `sources` are named as in `${name(parameter):address}`."""

    def __init__(self, document: Mapping[str, Any], sources: Mapping[str, Source], folder: Path) -> None:
        self._document = document
        self._sources = {**sources, "self": self._self, "file": self._file}
        self._folder = folder

    def resolve(self, value: Any, where: str = "", depth: int = 0) -> Any:
        if depth > DEPTH_MAX:
            raise VariableError(f"Variables at {where or 'the document'} refer to one another in a circle")
        if isinstance(value, Mapping):
            return {
                str(self.resolve(key, where, depth)): self.resolve(item, f"{where}.{key}".lstrip("."), depth)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.resolve(item, f"{where}[{index}]", depth) for index, item in enumerate(value)]
        return self._text(value, where, depth) if isinstance(value, str) else value

    def _text(self, text: str, where: str, depth: int) -> Any:
        """Replace what stands in the text. `${AWS::Region}` is CloudFormation's own, and stays."""
        result, position = "", 0
        while True:
            start = _next_variable(text, position)
            if start < 0:
                return result + text[position:]
            end = _closing(text, start)
            if end < 0:
                raise VariableError(f"A variable at {where} is not closed: {text}")
            inner = self._text(text[start + 2 : end], where, depth + 1)
            value = self.resolve(self._first(str(inner), where), where, depth + 1)
            if start == 0 and end == len(text) - 1:
                return value
            if isinstance(value, Mapping | list):
                raise VariableError(f"The variable ${{{inner}}} at {where} is no text, and stands inside one")
            result += text[position:start] + _as_text(value)
            position = end + 1

    def _first(self, expression: str, where: str) -> Any:
        options = _split(expression)
        for option in options:
            value = self._one(option, where)
            if value is not MISSING:
                return value
        raise VariableError(f"Cannot resolve the variable ${{{expression}}} at {where or 'the document'}")

    def _one(self, option: str, where: str) -> Any:
        if option[:1] in ("'", '"') and option[-1:] == option[:1] and len(option) > 1:
            return option[1:-1]
        if option in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[option]
        number = _number(option)
        if number is not None:
            return number
        name, parameter, address = _address(option)
        source = self._sources.get(name)
        if source is None:
            known = ", ".join(sorted(self._sources))
            raise VariableError(f"Unknown variable source {name!r} in ${{{option}}} at {where}; known are {known}")
        return source(parameter, address)

    def _self(self, _: str, address: str) -> Any:
        return walk(self._document, address)

    def _file(self, parameter: str, address: str) -> Any:
        path = (self._folder / parameter).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise VariableError(f"${{file({parameter})}} is outside the service's folder")
        if not path.exists():
            return MISSING
        if path.suffix in (".yml", ".yaml"):
            content = yaml.load(path.read_text(), Loader=yaml.SafeLoader)
        elif path.suffix == ".json":
            content = json.loads(path.read_text())
        elif path.suffix in (".js", ".cjs", ".mjs", ".ts"):
            raise VariableError(f"${{file({parameter})}}: JavaScript files are not supported; use YAML or JSON")
        else:
            content = path.read_text()
        return walk(content, address)


def walk(value: Any, address: str) -> Any:
    """`custom.names.0` in a document; MISSING where it does not lead anywhere."""
    for part in filter(None, address.split(".")):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return MISSING if value is None else value


def _next_variable(text: str, position: int) -> int:
    """Where the next variable begins. `${AWS::Region}` and `${Resource.Arn}` are Fn::Sub's own, and stay."""
    start = text.find("${", position)
    while start >= 0:
        inner = text[start + 2 : max(_closing(text, start), start + 2)].strip()
        if not inner.startswith("AWS::") and (":" in inner or inner[:1] in ("'", '"') or inner.startswith("file(")):
            return start
        start = text.find("${", start + 2)
    return -1


def _closing(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        if text.startswith("${", index):
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1


def _split(expression: str) -> list[str]:
    """At commas that are in no quotes and no brackets."""
    parts, quote, depth, current = [], "", 0, ""
    for character in expression:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
            continue
        current += character
    return [*parts, current.strip()]


def _address(option: str) -> tuple[str, str, str]:
    """`cf(eu-west-1):stack.Output` → name, parameter, address."""
    head, _, address = option.partition(":")
    if "(" in head or option.startswith("file("):
        name, _, rest = option.partition("(")
        parameter, _, tail = rest.partition(")")
        return name, parameter.strip(), tail.removeprefix(":").strip()
    return head.strip(), "", address.strip()


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else None
    except ValueError:
        return None


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
