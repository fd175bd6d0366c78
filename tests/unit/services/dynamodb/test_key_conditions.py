"""Key conditions, before a table is known."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.expressions.binding import Binding
from pilotlight.services.dynamodb.expressions.key_conditions import KIND, KeyCondition, bind_key_condition
from pilotlight.services.dynamodb.expressions.parser import parse_condition

VALUES: dict[str, Any] = {":a": {"S": "a"}, ":b": {"S": "b"}, ":n": {"N": "1"}}


def bind(text: str) -> Any:
    return bind_key_condition(parse_condition(text, KIND), Binding({"#k": "k"}, VALUES))


@pytest.mark.parametrize(
    ("text", "operator", "operands"),
    [
        ("#k = :a", "=", [":a"]),
        (":a = k", "=", [":a"]),
        (":a < k", ">", [":a"]),
        ("k <= :a", "<=", [":a"]),
        ("k BETWEEN :a AND :b", "BETWEEN", [":a", ":b"]),
        ("begins_with(k, :a)", "begins_with", [":a"]),
        ("(k = :a)", "=", [":a"]),
    ],
)
def test_one_condition(text: str, operator: str, operands: list[str]) -> None:
    assert bind(text) == {"k": KeyCondition(operator, tuple(VALUES[name] for name in operands))}


def test_two_conditions() -> None:
    assert list(bind("k = :a AND (:n <= r)")) == ["k", "r"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a > b and size(b) > c or a > c", "Invalid operator used in KeyConditionExpression: OR"),
        ("a in (b, size(c), d)", "Invalid operator used in KeyConditionExpression: IN"),
        ("attribute_exists(a)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("contains(a.d, b)", "Invalid operator used in KeyConditionExpression: contains"),
        ("not a > b", "Invalid operator used in KeyConditionExpression: NOT"),
        ("a <> b", "Invalid operator used in KeyConditionExpression: <>"),
        (
            ":a between size(b) and size(a) and b > :b",
            "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first "
            "operand",
        ),
        (
            "begins_with(:a, b) and a > :b",
            "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its "
            "first operand",
        ),
        ("size(b) > a AND a.b > b AND b > c", "KeyConditionExpressions cannot contain nested operations"),
        ("a > size(b.d)", "KeyConditionExpressions cannot contain nested operations"),
        ("a between size(b) and size(a)", "KeyConditionExpressions cannot contain nested operations"),
        ("b > a.b", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
        (
            "a between b and size(a)",
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
        ),
        (
            "begins_with(a, b)",
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
        ),
        ("b.d > a AND c.d > e.f", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("b[0] > a", "KeyConditionExpressions cannot have conditions on nested attributes"),
        (":b > :a AND a < :b", "Invalid condition in KeyConditionExpression: No key attribute specified"),
        ("b > :a AND b < :a and c = :a", "KeyConditionExpressions must only contain one condition per key"),
        (":a = a and b = :a and :a = c", "Conditions can be of length 1 or 2 only"),
        ("((k = :a))", "Invalid KeyConditionExpression: The expression has redundant parentheses;"),
        (
            "begins_with(k, :n)",
            "Invalid KeyConditionExpression: Incorrect operand type for operator or function; "
            "operator or function: begins_with, operand type: N",
        ),
        (
            "k between :b and :a",
            "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to "
            "lower bound; lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}",
        ),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(AwsError) as caught:
        bind(text)
    assert caught.value.message == message
