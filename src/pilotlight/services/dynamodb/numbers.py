"""DynamoDB's numbers: decimals of up to 38 digits, from 1E-130 to 9.99…E+125, kept as text in one canonical form.

Because the form is canonical, equal numbers are equal texts; and they have an encoding in bytes that sorts as the
numbers do, so that a database can scan ranges of them.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.errors import NOT_NUMERIC, invalid

DIGITS_MAX = 38
EXPONENT_MAX = 125
EXPONENT_MIN = -130
_PLAIN = re.compile(r"0|-?[1-9][0-9]{0,37}", re.ASCII)
_ANY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,9}))?", re.ASCII)
_ARITHMETIC = Context(prec=200, Emax=999_999, Emin=-999_999, rounding=ROUND_HALF_UP)

ZERO_BYTE = 0x80
POSITIVE_BYTE = 0x81
NEGATIVE_BYTE = 0x7F


def _too_large() -> AwsError:
    return invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")


def _too_small() -> AwsError:
    return invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")


def canonical_number(text: str) -> str:
    """Plain notation without needless zeros: `007`, `7.0` and `0.7e1` are all `7`. Raises AwsError."""
    if _PLAIN.fullmatch(text):
        return text
    sign, digits, exponent = _parts(text)
    return _plain(sign, digits, exponent) if digits else "0"


def _parts(text: str) -> tuple[str, str, int]:
    """Sign, significant digits without zeros at either end, and the power of ten of the first of them."""
    found = _ANY.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        if not text:
            raise invalid(NOT_NUMERIC)
        raise invalid(f"{NOT_NUMERIC}: {text}")
    whole, fraction = found[2] or "", found[3] or ""
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "", "", 0
    leading_zeros = len(whole) + len(fraction) - len(digits)
    exponent = len(whole) - leading_zeros - 1 + int(found[4] or 0)
    digits = digits.rstrip("0")
    if exponent > EXPONENT_MAX:
        raise _too_large()
    if exponent < EXPONENT_MIN:
        raise _too_small()
    if len(digits) > DIGITS_MAX:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    return "-" if found[1] == "-" else "", digits, exponent


def _plain(sign: str, digits: str, exponent: int) -> str:
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    if len(digits) <= exponent + 1:
        return f"{sign}{digits}{'0' * (exponent + 1 - len(digits))}"
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}"


def add(left: str, right: str) -> str:
    return _result(_ARITHMETIC.add(Decimal(left), Decimal(right)))


def subtract(left: str, right: str) -> str:
    return _result(_ARITHMETIC.subtract(Decimal(left), Decimal(right)))


def _result(number: Decimal) -> str:
    """AWS: what arithmetic brings about has to fit like any other number, and is refused where it does not."""
    return canonical_number(str(number))


def compare(left: str, right: str) -> int:
    if left == right:
        return 0
    return -1 if Decimal(left) < Decimal(right) else 1


def number_size(text: str) -> int:
    """Bytes that a canonical number counts for.

    AWS: one byte, one for every two significant digits of the whole part and of the fraction, each rounded up,
    and one for a minus. The documentation says "approximately"; this is what was measured against the limit of
    400 KB, by others.
    """
    sign = 0
    if text[0] == "-":
        sign, text = 1, text[1:]
    whole, _, fraction = text.partition(".")
    if not fraction:
        digits = len(whole.rstrip("0"))
        return 1 + (digits + 1) // 2 + (sign if digits else 0)
    if whole == "0":
        return 1 + (len(fraction.lstrip("0")) + 1) // 2 + sign
    return 1 + (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + sign


def encode_number(text: str) -> bytes:
    """Bytes that sort as the numbers do: sign, exponent, and pairs of digits; all inverted below zero."""
    sign, digits, exponent = _parts(text)
    if not digits:
        return bytes((ZERO_BYTE,))
    if len(digits) % 2:
        digits += "0"
    pairs = bytes(int(digits[index : index + 2]) + 1 for index in range(0, len(digits), 2))
    magnitude = bytes((exponent - EXPONENT_MIN,)) + pairs
    if not sign:
        return bytes((POSITIVE_BYTE,)) + magnitude
    # The end mark sorts a shorter fraction, which is nearer to zero, behind the longer one.
    return bytes((NEGATIVE_BYTE,)) + bytes(255 - byte for byte in magnitude) + b"\xff"
