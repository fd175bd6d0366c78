"""The policy document of a browser's form: what its fields must be, and how large the file. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import AwsError

UNCHECKED = ("policy", "signature", "x-amz-signature", "awsaccesskeyid", "file")
"""Fields that need no condition; so do those whose names begin with `x-ignore-`."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the file's length must be within."""

    least: int = 0
    most: int | None = None


def invalid(reason: str) -> AwsError:
    return AwsError("InvalidPolicyDocument", f"Invalid Policy: {reason}")


def denied(reason: str) -> AwsError:
    return AwsError("AccessDenied", f"Invalid according to Policy: {reason}", status=403)


def check(encoded: str, fields: Mapping[str, str], bucket: str, now_ms: int) -> Sizes:
    """Hold a form to its policy; names of `fields` are in lower case. Returns the sizes that its file may have."""
    policy = _read(encoded)
    if _expiration_ms(policy) <= now_ms:
        raise denied("Policy expired.")
    conditions = policy.get("conditions")
    if conditions is None:
        raise invalid("Policy missing conditions.")
    if not isinstance(conditions, list):
        raise invalid("Invalid 'conditions' value: must be a List.")
    values = {**fields, "bucket": bucket}
    covered: set[str] = set()
    sizes = Sizes()
    for condition in conditions:
        operator, name, value = _condition(condition)
        if operator == "content-length-range":
            sizes = _range(condition)
            continue
        covered.add(name)
        if not _holds(operator, values.get(name, ""), value, several=name == "content-type"):
            raise denied(f"Policy Condition failed: {json.dumps([operator, '$' + name, value])}")
    extra = [
        name for name in values if name not in covered and name not in UNCHECKED and not name.startswith("x-ignore-")
    ]
    if extra:
        raise denied(f"Extra input fields: {', '.join(sorted(extra))}")
    return sizes


def _read(encoded: str) -> dict[str, Any]:
    try:
        policy = json.loads(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        raise invalid("Invalid JSON.") from None
    if not isinstance(policy, dict):
        raise invalid("Invalid JSON.")
    return policy


def _expiration_ms(policy: Mapping[str, Any]) -> int:
    if "expiration" not in policy:
        raise invalid("Policy missing expiration.")
    try:
        moment = datetime.fromisoformat(str(policy["expiration"]).replace("Z", "+00:00"))
    except ValueError:
        raise invalid(f"Invalid 'expiration' value: '{policy['expiration']}'") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _condition(given: Any) -> tuple[str, str, str]:
    """Operator, field and value of a condition in either spelling."""
    if isinstance(given, dict):
        if len(given) != 1:
            raise invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = given.items()
        if not isinstance(value, str):
            raise invalid("Invalid Simple-Condition: value must be a string.")
        return "eq", name.lower(), value
    if not isinstance(given, list) or len(given) != 3:
        raise invalid("Invalid Condition: a condition must be an object or a list of three.")
    operator = str(given[0]).lower()
    if operator == "content-length-range":
        return operator, "", ""
    if operator not in ("eq", "starts-with"):
        raise invalid(f"Unknown operator: '{given[0]}'")
    name, value = given[1], given[2]
    if not isinstance(name, str) or not name.startswith("$") or not isinstance(value, str):
        raise invalid("Invalid Condition: a field is named by a dollar sign, and its value is a string.")
    return operator, name[1:].lower(), value


def _range(given: list[Any]) -> Sizes:
    try:
        least, most = int(given[1]), int(given[2])
    except (TypeError, ValueError):
        raise invalid("Invalid content-length-range: bounds must be integers.") from None
    if least < 0 or most < least:
        raise invalid("Invalid content-length-range: the upper bound is below the lower one.")
    return Sizes(least, most)


def _holds(operator: str, found: str, wanted: str, *, several: bool) -> bool:
    if operator == "eq":
        return found == wanted
    # AWS: of a list of content types, each must begin so.
    parts = found.split(",") if several else [found]
    return all(part.strip().startswith(wanted) if several else part.startswith(wanted) for part in parts)
