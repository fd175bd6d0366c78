"""CloudWatch Logs' filter patterns: a text becomes a predicate over messages.

* terms: `ERROR timeout` (all of them), `?ERROR ?WARN` (any), `-debug` (not), `"a phrase"`, `%regular expression%`;
  an empty pattern matches everything. AWS: terms are case-sensitive and match whole words.
* JSON: `{ ($.level = "ERROR") && ($.took > 10 || $.user.name = "a*") }`, with `IS NULL`, `NOT EXISTS`, arrays.

`[space, delimited, …]` patterns raise Unsupported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Predicate = Callable[[str], bool]
Test = Callable[[Any], bool]


class InvalidPattern(Exception):
    """The pattern means nothing."""


class Unsupported(Exception):
    """The pattern means something that is not here."""


def compile_pattern(text: str) -> Predicate:
    text = text.strip()
    if not text:
        return lambda message: True
    if text.startswith("{"):
        return _json_pattern(text)
    if text.startswith("["):
        raise Unsupported("space-delimited filter patterns")
    return _terms(text)


TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]+)%|([^\s"%]+))(?:\s+|$)')


def _terms(text: str) -> Predicate:
    needed: list[Predicate] = []
    optional: list[Predicate] = []
    excluded: list[Predicate] = []
    position = 0
    while position < len(text):
        match = TERM.match(text, position)
        if match is None:
            raise InvalidPattern(text)
        sign, quoted, expression, word = match.groups()
        test = _search(expression) if expression else _contains(_unescape(quoted) if quoted is not None else word)
        {"": needed, "?": optional, "-": excluded}[sign].append(test)
        position = match.end()

    def matches(message: str) -> bool:
        if any(test(message) for test in excluded) or not all(test(message) for test in needed):
            return False
        # AWS: beside a term that is needed, `?` terms do not count.
        return bool(needed) or not optional or any(test(message) for test in optional)

    return matches


def _contains(term: str) -> Predicate:
    """As a word of its own: letters and digits may not go on beside it."""
    before = r"(?<![A-Za-z0-9])" if term[:1].isalnum() else ""
    after = r"(?![A-Za-z0-9])" if term[-1:].isalnum() else ""
    compiled = re.compile(before + re.escape(term) + after)
    return lambda message: compiled.search(message) is not None


def _search(expression: str) -> Predicate:
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise InvalidPattern(expression) from error
    return lambda message: compiled.search(message) is not None


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


TOKEN = re.compile(
    r"""\s*(?:(?P<selector>\$(?:\.[^\s.\[\]=!<>(){}&|]+|\[\*\]|\[\d+\]|\["[^"]*"\]|\['[^']*'\])*)
    |(?P<operator>&&|\|\||!=|<=|>=|=|<|>)
    |(?P<bracket>[{}()])
    |(?P<string>"(?:[^"\\]|\\.)*")
    |%(?P<regex>[^%]+)%
    |(?P<word>[^\s(){}&|=<>!]+))\s*""",
    re.VERBOSE,
)
STEP = re.compile(r"""\.([^.\[\]]+)|\[(\*)\]|\[(\d+)\]|\["([^"]*)"\]|\['([^']*)'\]""")


def _json_pattern(text: str) -> Predicate:
    test = _Parser(text).parse()

    def matches(message: str) -> bool:
        try:
            value = json.loads(message)
        except ValueError:
            return False
        return isinstance(value, dict | list) and test(value)

    return matches


class _Parser:
    """`or` binds weaker than `and`; both may be bracketed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise InvalidPattern(text)
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        self._at = 0

    def parse(self) -> Test:
        self._expect("{")
        test = self._either()
        self._expect("}")
        if self._at != len(self._tokens):
            raise InvalidPattern(self._text)
        return test

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, text: str) -> None:
        if self._next() != ("bracket", text):
            raise InvalidPattern(self._text)

    def _either(self) -> Test:
        tests = [self._both()]
        while self._peek() == ("operator", "||"):
            self._next()
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _both(self) -> Test:
        tests = [self._single()]
        while self._peek() == ("operator", "&&"):
            self._next()
            tests.append(self._single())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _single(self) -> Test:
        if self._peek() == ("bracket", "("):
            self._next()
            test = self._either()
            self._expect(")")
            return test
        kind, selector = self._next()
        if kind != "selector":
            raise InvalidPattern(self._text)
        select = _selector(selector)
        kind, operator = self._next()
        if kind == "word":
            return self._word_test(operator.upper(), select)
        if kind != "operator" or operator in ("&&", "||"):
            raise InvalidPattern(self._text)
        return self._comparison(operator, select)

    def _word_test(self, word: str, select: Callable[[Any], Iterator[Any]]) -> Test:
        second = self._next()[1].upper()
        if (word, second) == ("NOT", "EXISTS"):
            return lambda value: not list(select(value))
        wanted: dict[str, object] = {"NULL": None, "TRUE": True, "FALSE": False}
        if word != "IS" or second not in wanted:
            raise InvalidPattern(self._text)
        return lambda value: any(found is wanted[second] for found in select(value))

    def _comparison(self, operator: str, select: Callable[[Any], Iterator[Any]]) -> Test:
        kind, text = self._next()
        if kind == "regex" and operator in ("=", "!="):
            search = _search(text)
            test: Test = lambda found: isinstance(found, str) and search(found)  # noqa: E731
        elif kind in ("string", "word"):
            test = _equals(_unescape(text[1:-1]) if kind == "string" else text, quoted=kind == "string")
        else:
            raise InvalidPattern(self._text)
        if operator == "=":
            return lambda value: any(test(found) for found in select(value))
        if operator == "!=":
            return lambda value: any(not test(found) for found in select(value))
        return self._ordered(operator, text, select)

    def _ordered(self, operator: str, text: str, select: Callable[[Any], Iterator[Any]]) -> Test:
        try:
            limit = float(text)
        except ValueError:
            raise InvalidPattern(self._text) from None
        compare: dict[str, Callable[[float], bool]] = {
            "<": lambda number: number < limit,
            "<=": lambda number: number <= limit,
            ">": lambda number: number > limit,
            ">=": lambda number: number >= limit,
        }
        chosen = compare[operator]
        return lambda value: any(_is_number(found) and chosen(found) for found in select(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equals(text: str, *, quoted: bool) -> Test:
    """`*` stands for any text. A bare number matches numbers."""
    pattern = re.compile(".*".join(re.escape(piece) for piece in text.split("*")), re.DOTALL)
    try:
        number = None if quoted else float(text)
    except ValueError:
        number = None

    def test(found: Any) -> bool:
        if _is_number(found):
            return number is not None and found == number
        return isinstance(found, str) and pattern.fullmatch(found) is not None

    return test


def _selector(text: str) -> Callable[[Any], Iterator[Any]]:
    steps: list[str | int | None] = []
    for name, star, index, double, single in STEP.findall(text):
        steps.append(None if star else int(index) if index else name or double or single)

    def select(value: Any, at: int = 0) -> Iterator[Any]:
        if at == len(steps):
            yield value
            return
        step = steps[at]
        if step is None:
            for item in value if isinstance(value, list) else ():
                yield from select(item, at + 1)
            return
        in_list = isinstance(step, int) and isinstance(value, list) and step < len(value)
        in_object = isinstance(step, str) and isinstance(value, dict) and step in value
        if in_list or in_object:
            yield from select(value[step], at + 1)

    return select
