"""Which route answers a request: pure.

AWS: a full match wins over a path with variables, that over a greedy one, and `$default` comes last; a
named method wins over `ANY` (Developer Guide, "Working with routes for HTTP APIs").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

DEFAULT = "$default"
_KEY = re.compile(r"^(GET|POST|PUT|PATCH|HEAD|OPTIONS|DELETE|ANY) (/\S*)$")
_VARIABLE = re.compile(r"^\{([A-Za-z0-9._-]+)(\+?)\}$")


@dataclass(frozen=True, slots=True)
class Match:
    key: str
    target: str
    path_parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Pattern:
    key: str
    target: str
    method: str
    segments: tuple[str, ...]

    @property
    def rank(self) -> tuple[object, ...]:
        """Lower is tried first: literal segments before variables before greedy ones, from the left."""
        kinds = tuple(_kind(segment) for segment in self.segments)
        greedy = bool(kinds) and kinds[-1] == 2
        return (greedy, sum(kind == 1 for kind in kinds) if not greedy else -len(kinds), kinds, self.method == "ANY")


def _kind(segment: str) -> int:
    match = _VARIABLE.match(segment)
    return 0 if match is None else 2 if match[2] else 1


def is_route_key(key: str) -> bool:
    if key == DEFAULT:
        return True
    match = _KEY.match(key)
    if match is None:
        return False
    segments = match[2].split("/")[1:]
    names = [variable[1] for segment in segments if (variable := _VARIABLE.match(segment))]
    greedy = [index for index, segment in enumerate(segments) if _kind(segment) == 2]
    braces = [segment for segment in segments if ("{" in segment or "}" in segment) and not _VARIABLE.match(segment)]
    return not braces and len(set(names)) == len(names) and greedy in ([], [len(segments) - 1])


class RouteTable:
    """The routes of one API, ready to match."""

    def __init__(self, routes: Sequence[tuple[str, str]]) -> None:
        """`routes`: (route key, target)."""
        self._default = next((Match(key, target, {}) for key, target in routes if key == DEFAULT), None)
        patterns = []
        for key, target in routes:
            if match := _KEY.match(key):
                patterns.append(_Pattern(key, target, match[1], _segments(match[2])))
        self._patterns = sorted(patterns, key=lambda pattern: pattern.rank)

    def match(self, method: str, path: str) -> Match | None:
        """`path` as sent, without the stage; variables come out decoded."""
        segments = _segments(path)
        for pattern in self._patterns:
            if pattern.method in (method, "ANY"):
                parameters = _variables(pattern.segments, segments)
                if parameters is not None:
                    return Match(pattern.key, pattern.target, parameters)
        return self._default


def _segments(path: str) -> tuple[str, ...]:
    # AWS: a trailing slash does not make another route.
    trimmed = path.strip("/")
    return tuple(trimmed.split("/")) if trimmed else ()


def _variables(pattern: tuple[str, ...], path: tuple[str, ...]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for index, segment in enumerate(pattern):
        variable = _VARIABLE.match(segment)
        if variable and variable[2]:
            rest = path[index:]
            if not rest:
                return None
            return {**found, variable[1]: unquote("/".join(rest))}
        if index >= len(path):
            return None
        if variable:
            found[variable[1]] = unquote(path[index])
        elif segment != path[index]:
            return None
    return found if len(path) == len(pattern) else None
