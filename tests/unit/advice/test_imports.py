"""Import times, as Python and the Node.js probe tell of them."""

from __future__ import annotations

from pilotlight.advice.imports import Import, dearest, node_imports, python_imports

LINES = """\
import time: self [us] | cumulative | imported package
import time:       500 |        500 | before
PILOTLIGHT_IMPORTS begin
import time:      1000 |       1000 |     deep
import time:      2000 |       3000 |   inner
import time:      4000 |       7000 | outer
a line of the function's own
import time:       100 |        100 | small
PILOTLIGHT_IMPORTS end
import time:       900 |        900 | after
PILOTLIGHT_IMPORTS begin
import time:       900 |        900 | again
""".splitlines()


def test_only_what_stands_between_the_first_marks_is_the_functions() -> None:
    assert python_imports(LINES) == [
        Import("deep", 1.0, 1.0, 3),
        Import("inner", 2.0, 3.0, 2),
        Import("outer", 4.0, 7.0, 1),
        Import("small", 0.1, 0.1, 1),
    ]


def test_without_marks_there_is_nothing() -> None:
    assert python_imports(LINES[:2]) == []


def test_importers_come_before_what_they_import_and_what_is_cheap_is_left_out() -> None:
    assert [one.module for one in dearest(python_imports(LINES))] == ["outer", "inner", "deep"]


def test_node_tells_in_one_line() -> None:
    lines = ["other", 'PILOTLIGHT_REQUIRE [["./lib", 1.5, 2.5, 1]]']
    assert node_imports(lines) == [Import("./lib", 1.5, 2.5, 1)]
    assert node_imports(["other"]) == []
