"""Filter patterns as a table."""

from __future__ import annotations

import pytest

from pilotlight.services.logs.filter_patterns import InvalidPattern, Unsupported, compile_pattern

TEXT = "[ERROR] 2026 Task timed-out after 3 s: user=ann"
JSON = '{"level":"ERROR","took":12.5,"user":{"name":"anna","tags":["x","y"]},"ok":true,"gone":null}'


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", TEXT, True),
        ("ERROR", TEXT, True),
        ("error", TEXT, False),
        ("ERR", TEXT, False),
        ("ERROR user", TEXT, True),
        ("ERROR bob", TEXT, False),
        ("?bob ?ann", TEXT, True),
        ("?bob ?eve", TEXT, False),
        ("ERROR -ann", TEXT, False),
        ("-bob", TEXT, True),
        ('"Task timed-out"', TEXT, True),
        ('"timed out"', TEXT, False),
        ('-"Task timed-out"', TEXT, False),
        ("%user=a.n%", TEXT, True),
        ("%user=b%", TEXT, False),
        ('{ $.level = "ERROR" }', JSON, True),
        ('{ $.level = "INFO" }', JSON, False),
        ('{ $.level != "INFO" }', JSON, True),
        ("{ $.took > 12 }", JSON, True),
        ("{ $.took <= 12 }", JSON, False),
        ("{ $.took = 12.5 }", JSON, True),
        ('{ $.user.name = "an*" }', JSON, True),
        ('{ $.user.tags[1] = "y" }', JSON, True),
        ('{ $.user.tags[*] = "x" }', JSON, True),
        ('{ $.user.tags[5] = "x" }', JSON, False),
        ("{ $.gone IS NULL }", JSON, True),
        ("{ $.ok IS TRUE }", JSON, True),
        ("{ $.ok IS FALSE }", JSON, False),
        ("{ $.nothing NOT EXISTS }", JSON, True),
        ("{ $.level NOT EXISTS }", JSON, False),
        ('{ ($.level = "INFO" || $.took > 1) && $.ok IS TRUE }', JSON, True),
        ('{ $.level = "INFO" && $.took > 1 || $.ok IS FALSE }', JSON, False),
        ("{ $.level = %ERR.*% }", JSON, True),
        ('{ $.level = "ERROR" }', TEXT, False),
    ],
)
def test_what_matches(pattern: str, message: str, matches: bool) -> None:
    assert compile_pattern(pattern)(message) is matches


@pytest.mark.parametrize("pattern", ["{ $.a = }", "{ $.a }", "{", '{ "a" = 1 }', '"open', "%(%", "{ $.a > x }"])
def test_what_means_nothing(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


def test_space_delimited_patterns_are_not_here() -> None:
    with pytest.raises(Unsupported):
        compile_pattern("[ip, user, status = 404]")
