"""Numbers in their one form, and keys as bytes that sort as DynamoDB sorts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb import keys, numbers

digits = st.integers(min_value=-(10**38) + 1, max_value=10**38 - 1)
any_number = st.builds(lambda whole, power: f"{whole}E{power}", digits, st.integers(min_value=-130, max_value=87))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("007", "7"),
        ("7.0", "7"),
        ("+7", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0.50", "-0.5"),
        ("1.5E2", "150"),
        ("1e2", "100"),
        ("12e-4", "0.0012"),
        ("3.1400", "3.14"),
        ("1E125", "1" + "0" * 125),
        ("1e-130", "0." + "0" * 129 + "1"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("123456789012345678901234567890123456780", "123456789012345678901234567890123456780"),
    ],
)
def test_numbers_have_one_form(sent: str, kept: str) -> None:
    assert numbers.canonical_number(sent) == kept


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("", "The parameter cannot be converted to a numeric value"),
        ("b", "The parameter cannot be converted to a numeric value: b"),
        (" 1", "The parameter cannot be converted to a numeric value:  1"),
        ("1_000", "The parameter cannot be converted to a numeric value: 1_000"),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        (".", "The parameter cannot be converted to a numeric value: ."),
        ("123456789012345678901234567890123456789", "Attempting to store more than 38 significant digits in a Number"),
        ("1e126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("-1e126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("1e-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
    ],
)
def test_what_is_no_number_is_refused(sent: str, message: str) -> None:
    with pytest.raises(AwsError) as caught:
        numbers.canonical_number(sent)
    assert (caught.value.code, caught.value.message) == ("ValidationException", message)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 1),
        ("1", 2),
        ("12", 2),
        ("123", 3),
        ("100", 2),
        ("1010", 3),
        ("0.0000001", 2),
        ("1.5", 3),
        ("15", 2),
        ("1.234", 4),
        ("3.14159", 5),
        ("123456", 4),
        ("100.5", 4),
        ("0.15", 2),
        ("-42", 3),
        ("12345678901234567890123456789012345678", 20),
    ],
)
def test_numbers_are_measured_as_aws_does(text: str, size: int) -> None:
    assert numbers.number_size(text) == size


@given(any_number)
def test_the_form_keeps_the_value_and_is_its_own_form(text: str) -> None:
    try:
        kept = numbers.canonical_number(text)
    except AwsError:
        return
    assert Decimal(kept) == Decimal(text)
    assert numbers.canonical_number(kept) == kept


@given(any_number, any_number)
def test_encoded_numbers_sort_as_numbers(left: str, right: str) -> None:
    try:
        first, second = numbers.canonical_number(left), numbers.canonical_number(right)
    except AwsError:
        return
    encoded = numbers.encode_number(first), numbers.encode_number(second)
    assert (encoded[0] < encoded[1]) == (Decimal(first) < Decimal(second))
    assert (encoded[0] == encoded[1]) == (first == second)
    assert (numbers.compare(first, second) < 0) == (Decimal(first) < Decimal(second))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4),
       st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))  # fmt: skip
def test_arithmetic_is_exact(left: Decimal, right: Decimal) -> None:
    first, second = numbers.canonical_number(format(left, "f")), numbers.canonical_number(format(right, "f"))
    assert Decimal(numbers.add(first, second)) == left + right
    assert Decimal(numbers.subtract(first, second)) == left - right


def test_arithmetic_beyond_the_limits_is_refused() -> None:
    with pytest.raises(AwsError, match="Number overflow"):
        numbers.add("9" + "0" * 125, "9" + "0" * 125)
    with pytest.raises(AwsError, match="more than 38 significant digits"):
        numbers.add("1" + "0" * 40, "1")


@given(st.text(max_size=8), st.text(max_size=8))
def test_strings_sort_by_their_utf_8(left: str, right: str) -> None:
    assert (keys.encode({"S": left}) < keys.encode({"S": right})) == (left.encode() < right.encode())


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_a_prefix_is_a_range(prefix: bytes, text: bytes) -> None:
    end = keys.after_prefix(prefix)
    inside = text >= prefix and (end is None or text < end)
    assert inside == text.startswith(prefix)


@given(st.integers(min_value=1, max_value=50), st.text(min_size=1, max_size=5))
def test_segments_part_the_table(total: int, text: str) -> None:
    place = keys.partition({"S": text})
    ranges = [keys.segment(number, total) for number in range(total)]
    assert sum(low <= place and (high is None or place < high) for low, high in ranges) == 1
