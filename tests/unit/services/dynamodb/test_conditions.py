"""Conditions: what they mean, and what is wrong with them before any item is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.expressions.binding import Binding
from pilotlight.services.dynamodb.expressions.conditions import bind_condition
from pilotlight.services.dynamodb.expressions.parser import parse_condition

KIND = "ConditionExpression"
ITEM: dict[str, Any] = {
    "s": {"S": "hello"},
    "n": {"N": "5"},
    "b": {"B": b"\x01\x02"},
    "t": {"BOOL": True},
    "z": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "l": {"L": [{"S": "x"}, {"M": {"k": {"N": "7"}}}]},
    "m": {"M": {"a": {"M": {"b": {"S": "deep"}}}, "n": {"N": "5"}}},
    "accent": {"S": "é😀"},
}
VALUES: dict[str, Any] = {
    ":hello": {"S": "hello"},
    ":he": {"S": "he"},
    ":ell": {"S": "ell"},
    ":a": {"S": "a"},
    ":x": {"S": "x"},
    ":deep": {"S": "deep"},
    ":N": {"S": "N"},
    ":S": {"S": "S"},
    ":one": {"N": "1"},
    ":two": {"N": "2"},
    ":three": {"N": "3"},
    ":five": {"N": "5"},
    ":seven": {"N": "7"},
    ":true": {"BOOL": True},
    ":ba": {"SS": ["b", "a"]},
    ":byte": {"B": b"\x01"},
    ":list": {"L": [{"S": "x"}]},
}
NAMES = {"#name": "s", "#a": "a", "#dot": "m.n"}


def bind(text: str) -> Any:
    return bind_condition(parse_condition(text, KIND), Binding(NAMES, VALUES), KIND)


def refusal(text: str) -> str:
    with pytest.raises(AwsError) as caught:
        bind(text)
    assert caught.value.code == "ValidationException"
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "s = :hello",
        "#name = :hello",
        ":hello = s",
        "s <> :he",
        "absent <> :he",
        "n < :seven AND n <= :five AND n >= :five AND n > :one",
        "n BETWEEN :one AND :five",
        ":three between :one and n",
        "n IN (:one, :five)",
        "s in (:he, #name2, :hello)".replace("#name2", "absent"),
        "t = :true",
        "ss = :ba",
        "m.a.b = :deep",
        "m.#a.b = :deep",
        "l[1].k = :seven",
        "l[0] = :x",
        "m.n = n",
        "attribute_exists(m.a) and attribute_not_exists(m.c)",
        "attribute_not_exists(l[9])",
        "attribute_type(n, :N)",
        "attribute_type(s, :S)",
        "begins_with(s, :he)",
        "begins_with(b, :byte)",
        "contains(s, :ell)",
        "contains(ss, :a)",
        "contains(ns, :one)",
        "contains(l, :x)",
        "size(s) = :five",
        "size(ss) = :two",
        "size(l) = :two",
        "size(b) = :two",
        "size(m) = :two",
        "size(accent) = :three",
        "size(:list) = :one",
        "NOT s = :he",
        "not not s = :hello",
        "s = :he OR n = :five",
        "s = :hello OR n = :one AND n = :two",
        "(s = :he OR n = :five) AND t = :true",
        "not contains(absent, :a)",
        "aNd_or_not <> :a",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    assert bind(text)(ITEM) is True


@pytest.mark.parametrize(
    "text",
    [
        "s = :five",
        "absent = :a",
        "absent = absent2",
        "s < :five",
        "absent < :five",
        "t < n",
        "n between :seven and :seven",
        "s in (:he, :a)",
        "l[7] = :x",
        "s.x = :x",
        "n[0] = :x",
        "attribute_type(n, :S)",
        "begins_with(n, :he)",
        "contains(ss, :one)",
        "contains(n, :five)",
        "contains(m, :a)",
        "size(n) = :one",
        "size(absent) < :five",
        "(s = :hello OR n = :one) AND n = :two",
    ],
)
def test_conditions_that_do_not_hold(text: str) -> None:
    assert bind(text)(ITEM) is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"),
        ("a", 'Syntax error; token: "<EOF>", near: "a"'),
        ("a =", 'Syntax error; token: "<EOF>", near: "="'),
        ("attribute_exists(", 'Syntax error; token: "<EOF>", near: "("'),
        ("contains (themes, :a", 'Syntax error; token: "<EOF>", near: ":a"'),
        ("a > 4", 'Syntax error; token: "4", near: "> 4"'),
        ("a = b = c", 'Syntax error; token: "=", near: "b = c"'),
        ("first-name = :a", 'Syntax error; token: "-", near: "first-name"'),
        ("AND = :a", 'Syntax error; token: "AND", near: "AND ="'),
        ("__t = :a", 'Syntax error; token: "_", near: "__"'),
        ("a[:a] = :a", 'Syntax error; token: ":a", near: "[:a]"'),
        ("a.:x = :a", 'Syntax error; token: ":x", near: ".:x ="'),
        ("((a = :a))", "The expression has redundant parentheses;"),
        ("((a)) = :a", "The expression has redundant parentheses;"),
        ("foo(a)", "Invalid function name; function: foo"),
        ("Size(a) = :one", "Invalid function name; function: Size"),
        ("if_not_exists(a, :a)", "The function is not allowed in a condition expression; function: if_not_exists"),
        ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
        (
            "attribute_exists(a) = :a",
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        ("name = :a", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("x.abOrt = :a", "Attribute name is a reserved keyword; reserved keyword: abOrt"),
        (
            "#no = :a",
            "An expression attribute name used in the document path is not defined; attribute name: #no",
        ),
        ("a = :no", "An expression attribute value used in expression is not defined; attribute value: :no"),
        (
            "attribute_exists(a, b)",
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, "
            "number of operands: 2",
        ),
        (
            "contains(a, a)",
            "The first operand must be distinct from the remaining operands for this operator or function; "
            "operator: contains, first operand: [a]",
        ),
        (
            "m.l[1] = m.l[1]",
            "The first operand must be distinct from the remaining operands for this operator or function; "
            "operator: =, first operand: [m, l, [1]]",
        ),
        (
            "attribute_exists(:a)",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "begins_with(a, :one)",
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        (
            "a < :true",
            "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
        ),
        (
            "attribute_type(a, :hello)",
            "Invalid attribute type name found; type: hello, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        (
            "attribute_type(a, :one)",
            "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
        ),
        (
            "size(:one) = :one",
            "Incorrect operand type for operator or function; operator or function: size, operand type: N",
        ),
        (
            "a between :five and :one",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
            "lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            "a between :one and :a",
            "The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}",
        ),
    ],
)
def test_what_is_wrong_with_the_text_is_told(text: str, message: str) -> None:
    assert refusal(text) == f"Invalid {KIND}: {message}"


def test_an_expression_is_limited_in_size_operands_and_depth() -> None:
    long = "a = :a OR " * 500 + "a = :a"
    assert refusal(long).endswith(f"maximum allowed size; expression size: {len(long)}")
    assert refusal(f"a IN ({', '.join([':a'] * 101)})").endswith("too many operands; number of operands: 101")
    assert "nested" in refusal("NOT " * 400 + "a = :a")
    assert "nested" in refusal("(" * 300 + "a = :a" + ")" * 300)


def test_unused_names_and_values_are_named() -> None:
    binding = Binding({"#a": "a", "#b": "b"}, {":v": {"S": "x"}, ":w": {"S": "y"}})
    bind_condition(parse_condition("#a = :v", KIND), binding, KIND)
    with pytest.raises(AwsError) as caught:
        binding.check_all_used()
    assert caught.value.message == "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"
    bind_condition(parse_condition("#b <> :v", KIND), binding, KIND)
    with pytest.raises(AwsError) as caught:
        binding.check_all_used()
    assert caught.value.message == "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"
