"""Attribute values: what is one, how large it is, how two compare."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb import values

scalars = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(max_size=5)),
    st.builds(lambda number: {"N": str(number)}, st.integers(-1000, 1000)),
    st.builds(lambda data: {"B": data}, st.binary(max_size=5)),
    st.builds(lambda flag: {"BOOL": flag}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda members: {"SS": sorted(members)}, st.sets(st.text(min_size=1, max_size=3), min_size=1)),
    st.builds(lambda members: {"BS": sorted(members)}, st.sets(st.binary(min_size=1, max_size=3), min_size=1)),
    st.builds(lambda members: {"NS": [str(one) for one in members]}, st.sets(st.integers(-9, 9), min_size=1)),
)
any_value = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda elements: {"L": elements}, st.lists(inner, max_size=3)),
        st.builds(lambda members: {"M": members}, st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (
            {"S": "a", "BOOL": True},
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
            "datatypes",
        ),
        ({"S": "a", "N": "b"}, "The parameter cannot be converted to a numeric value: b"),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
        ({"BS": []}, "One or more parameter values were invalid: Binary sets should not be empty"),
        ({"SS": ["a", "a"]}, "One or more parameter values were invalid: Input collection [a, a] contains duplicates."),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        (
            {"BS": [b"b", b"b"]},
            "One or more parameter values were invalid: Input collection [Yg==, Yg==]of type BS contains duplicates.",
        ),
        (
            {"NULL": False},
            "One or more parameter values were invalid: Null attribute value types must have the value of true",
        ),
        ({"SS": ["", ""]}, "One or more parameter values were invalid: Input collection [, ] contains duplicates."),
        ({"NS": ["1", ""]}, "The parameter cannot be converted to a numeric value"),
        ({"M": {"a": {}}}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        ({"L": [{"NS": ["x"]}]}, "The parameter cannot be converted to a numeric value: x"),
    ],
)
def test_what_is_no_value_is_refused(value: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError) as caught:
        values.canonical(value)
    assert caught.value.message == message


def test_values_nest_to_32_levels() -> None:
    deep: dict[str, Any] = {"S": "x"}
    for _ in range(31):
        deep = {"L": [deep]}
    values.canonical(deep)
    with pytest.raises(AwsError, match="Nesting Levels have exceeded supported limits"):
        values.canonical({"M": {"a": deep}})


def test_members_of_a_set_may_be_empty() -> None:
    assert values.canonical({"SS": ["", "a"]}) == {"SS": ["", "a"]}
    assert values.canonical({"BS": [b""]}) == {"BS": [b""]}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "aé"}, 3),
        ({"B": b"abc"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "12"]}, 4),
        ({"BS": [b"a", b"bc"]}, 3),
        ({"L": []}, 3),
        ({"M": {}}, 3),
        ({"L": [{"S": "a"}, {"BOOL": True}]}, 7),
        ({"M": {"ab": {"S": "c"}}}, 7),
    ],
)
def test_sizes(value: dict[str, Any], size: int) -> None:
    assert values.value_size(value) == size
    assert values.item_size({"né": value}) == size + 3


@given(st.dictionaries(st.text(min_size=1, max_size=4), any_value, max_size=4))
def test_stored_items_come_back_as_they_were(item: dict[str, Any]) -> None:
    kept = values.canonical_item(item)
    assert values.load(values.dump(kept)) == kept


@given(any_value)
def test_every_value_equals_itself(value: dict[str, Any]) -> None:
    assert values.equal(value, values.canonical(value))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ({"S": "1"}, {"N": "1"}, False),
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}, True),
        ({"SS": ["a"]}, {"SS": ["a", "b"]}, False),
        ({"L": [{"NS": ["1", "2"]}]}, {"L": [{"NS": ["2", "1"]}]}, True),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}, False),
        ({"M": {"a": {"SS": ["x", "y"]}}}, {"M": {"a": {"SS": ["y", "x"]}}}, True),
        ({"M": {"a": {"S": "x"}}}, {"M": {"b": {"S": "x"}}}, False),
    ],
)
def test_equality(left: dict[str, Any], right: dict[str, Any], same: bool) -> None:
    assert values.equal(left, right) is same


@pytest.mark.parametrize(
    ("left", "right", "sign"),
    [
        ({"N": "9"}, {"N": "10"}, -1),
        ({"S": "9"}, {"S": "10"}, 1),
        ({"B": b"\xff"}, {"B": b"\x00"}, 1),
        ({"S": "a"}, {"S": "a"}, 0),
        ({"S": "a"}, {"N": "1"}, None),
        ({"BOOL": True}, {"BOOL": False}, None),
        ({"L": []}, {"L": []}, None),
    ],
)
def test_order(left: dict[str, Any], right: dict[str, Any], sign: int | None) -> None:
    assert values.order(left, right) == sign
