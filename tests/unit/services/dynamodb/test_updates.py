"""Update expressions, and projections, as tables of before and after."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.expressions.binding import Binding
from pilotlight.services.dynamodb.expressions.parser import parse_projection, parse_update
from pilotlight.services.dynamodb.expressions.projections import bind_projection, project
from pilotlight.services.dynamodb.expressions.updates import bind_update

ITEM: dict[str, Any] = {
    "n": {"N": "5"},
    "s": {"S": "x"},
    "ss": {"SS": ["a", "b"]},
    "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]},
    "m": {"M": {"a": {"N": "1"}, "b": {"L": [{"S": "p"}, {"S": "q"}]}}},
}
VALUES: dict[str, Any] = {
    ":one": {"N": "1"},
    ":s": {"S": "new"},
    ":c": {"SS": ["b", "c"]},
    ":ab": {"SS": ["a", "b"]},
    ":ns": {"NS": ["1"]},
    ":more": {"L": [{"N": "9"}]},
    ":map": {"M": {}},
    ":b": {"B": b"x"},
    ":true": {"BOOL": True},
    ":null": {"NULL": True},
}
NAMES = {"#m": "m", "#three": "[3]", "#c": "c"}


def update(text: str) -> dict[str, Any]:
    return bind_update(parse_update(text), Binding(NAMES, VALUES)).apply(ITEM)


def refusal(text: str) -> str:
    with pytest.raises(AwsError) as caught:
        update(text)
    assert caught.value.code == "ValidationException"
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("SET n = :one", {"n": {"N": "1"}}),
        ("set n = n + :one, k = n", {"n": {"N": "6"}, "k": {"N": "5"}}),
        ("SET n = :one - n", {"n": {"N": "-4"}}),
        ("SET n = if_not_exists(n, :one) + :one", {"n": {"N": "6"}}),
        ("SET k = if_not_exists(k, :one) + :one", {"k": {"N": "2"}}),
        ("SET s = n, n = s", {"s": {"N": "5"}, "n": {"S": "x"}}),
        ("SET #m.a = :s", {"m": {"M": {"a": {"S": "new"}, "b": ITEM["m"]["M"]["b"]}}}),
        ("SET m.b[0] = :s", {"m": {"M": {"a": {"N": "1"}, "b": {"L": [{"S": "new"}, {"S": "q"}]}}}}),
        ("SET l[7] = :s", {"l": {"L": [*ITEM["l"]["L"], {"S": "new"}]}}),
        ("SET l[9] = :one, l[8] = :s", {"l": {"L": [*ITEM["l"]["L"], {"S": "new"}, {"N": "1"}]}}),
        ("SET l = list_append(:more, l)", {"l": {"L": [{"N": "9"}, *ITEM["l"]["L"]]}}),
        ("SET k = list_append(if_not_exists(k, :more), :more)", {"k": {"L": [{"N": "9"}, {"N": "9"}]}}),
        ("SET n = (n + :one)", {"n": {"N": "6"}}),
        ("REMOVE s, m.a", {"s": None, "m": {"M": {"b": ITEM["m"]["M"]["b"]}}}),
        ("REMOVE l[0], l[2]", {"l": {"L": [{"N": "1"}]}}),
        ("REMOVE l[1] SET l[5] = :s", {"l": {"L": [{"N": "0"}, {"N": "2"}, {"S": "new"}]}}),
        ("REMOVE l[17], absent", {}),
        ("ADD n :one, k :one", {"n": {"N": "6"}, "k": {"N": "1"}}),
        ("ADD ss :c", {"ss": {"SS": ["a", "b", "c"]}}),
        ("ADD m.a :one", {"m": {"M": {"a": {"N": "2"}, "b": ITEM["m"]["M"]["b"]}}}),
        ("DELETE ss :c", {"ss": {"SS": ["a"]}}),
        ("DELETE ss :ab", {"ss": None}),
        ("DELETE absent :ab", {}),
        (
            "SET s = :s REMOVE l ADD n :one DELETE ss :c",
            {"s": {"S": "new"}, "l": None, "n": {"N": "6"}, "ss": {"SS": ["a"]}},
        ),
    ],
)
def test_updates(text: str, changed: dict[str, Any]) -> None:
    before = copy.deepcopy(ITEM)
    expected = {name: value for name, value in {**ITEM, **changed}.items() if value is not None}
    assert update(text) == expected
    assert before == ITEM, "the item that was read stays as it was"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"),
        ("INVALID SYNTAX HERE", 'Syntax error; token: "INVALID", near: "INVALID SYNTAX"'),
        ("SET", 'Syntax error; token: "<EOF>", near: "SET"'),
        ("SET a = :one,", 'Syntax error; token: "<EOF>", near: ","'),
        ("ADD hits : incr", 'Syntax error; token: ":", near: "hits : incr"'),
        ("set a = b / c", 'Syntax error; token: "/", near: "b / c"'),
        ("set a = b + c + d", 'Syntax error; token: "+", near: "c + d"'),
        ("set :a = b", 'Syntax error; token: ":a", near: "set :a ="'),
        ("add a b", 'Syntax error; token: "b", near: "a b"'),
        ("remove a b", 'Syntax error; token: "b", near: "a b"'),
        ("set a = 1", 'Syntax error; token: "1", near: "= 1"'),
        ("remove Absolute", "Attribute name is a reserved keyword; reserved keyword: Absolute"),
        ("set a = foo(b)", "Invalid function name; function: foo"),
        ("set a = size(b)", "The function is not allowed in an update expression; function: size"),
        ("set a = :one set c = :s", 'The "SET" section can only be used once in an update expression;'),
        ("remove x add q :one remove e", 'The "REMOVE" section can only be used once in an update expression;'),
        (
            "set #x = if_not_exists(:nope)",
            "An expression attribute name used in the document path is not defined; attribute name: #x",
        ),
        (
            "set x = :nope",
            "An expression attribute value used in expression is not defined; attribute value: :nope",
        ),
        (
            "set d[1] = s, d.b = s, c[1].a = s, #c = s",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [c, [1], a], path two: [c]",
        ),
        (
            "set #c[3].#three = s, #c[3] = s",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [c, [3], [3]], path two: [c, [3]]",
        ),
        (
            "remove a.#c set a[1] = #three",
            "Two document paths conflict with each other; must remove or rewrite one of these paths; "
            "path one: [a, c], path two: [a, [1]]",
        ),
        (
            "add a.b :s",
            "Incorrect operand type for operator or function; operator: ADD, operand type: STRING",
        ),
        (
            "delete a.b :one",
            "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER",
        ),
        (
            "add a :map",
            "Incorrect operand type for operator or function; operator: ADD, operand type: MAP",
        ),
        (
            "add a :true",
            "Incorrect operand type for operator or function; operator: ADD, operand type: BOOLEAN",
        ),
        (
            "set a = if_not_exists(c)",
            "Incorrect number of operands for operator or function; operator or function: if_not_exists, "
            "number of operands: 1",
        ),
        (
            "set a = if_not_exists(:s, c)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "set a = list_append(:s, a)",
            "Incorrect operand type for operator or function; operator or function: list_append, operand type: S",
        ),
        (
            "set a = a + :s",
            "Incorrect operand type for operator or function; operator or function: +, operand type: S",
        ),
        (
            "set a = :b - a",
            "Incorrect operand type for operator or function; operator or function: -, operand type: B",
        ),
    ],
)
def test_what_is_wrong_with_the_text_is_told(text: str, message: str) -> None:
    assert refusal(text) == f"Invalid UpdateExpression: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SET k = absent", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET k = absent + :one", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET absent.b = :one", "The document path provided in the update expression is invalid for update"),
        ("SET s.b = :one", "The document path provided in the update expression is invalid for update"),
        ("SET m[0] = :one", "The document path provided in the update expression is invalid for update"),
        ("SET l[9].x = :one", "The document path provided in the update expression is invalid for update"),
        ("REMOVE absent.b", "The document path provided in the update expression is invalid for update"),
        ("SET k = s + :one", "An operand in the update expression has an incorrect data type"),
        ("SET k = list_append(s, :more)", "An operand in the update expression has an incorrect data type"),
        ("ADD s :one", "An operand in the update expression has an incorrect data type"),
        ("ADD ss :ns", "An operand in the update expression has an incorrect data type"),
        ("DELETE n :ab", "An operand in the update expression has an incorrect data type"),
    ],
)
def test_what_does_not_fit_the_item_is_told(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n, s", {"n": {"N": "5"}, "s": {"S": "x"}}),
        ("absent", {}),
        ("m.a", {"m": {"M": {"a": {"N": "1"}}}}),
        ("m.a, m.b[1]", {"m": {"M": {"a": {"N": "1"}, "b": {"L": [{"S": "q"}]}}}}),
        ("l[2], l[0]", {"l": {"L": [{"N": "0"}, {"N": "2"}]}}),
        ("l[9], s.x, n", {"n": {"N": "5"}}),
        ("#m.absent", {}),
    ],
)
def test_projections(text: str, found: dict[str, Any]) -> None:
    assert project(ITEM, bind_projection(parse_projection(text), Binding(NAMES))) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "The expression can not be empty;"),
        ("!!! INVALID !!!", 'Syntax error; token: "!", near: "!!"'),
        ("a b", 'Syntax error; token: "b", near: "a b"'),
        ("a,", 'Syntax error; token: "<EOF>", near: ","'),
        ("size", "Attribute name is a reserved keyword; reserved keyword: size"),
        ("#zz", "An expression attribute name used in the document path is not defined; attribute name: #zz"),
        (
            "a, a.b",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [a], path two: [a, b]",
        ),
        (
            "#m, m",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [m], path two: [m]",
        ),
    ],
)
def test_projections_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(AwsError) as caught:
        bind_projection(parse_projection(text), Binding(NAMES))
    assert caught.value.message == f"Invalid ProjectionExpression: {message}"
