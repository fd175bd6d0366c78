"""Log groups by name or ARN, AWS's errors for what is not there, and pages."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.observability import log_store
from pilotlight.observability.log_store import Group, Stream
from pilotlight.storage import Transaction

T = TypeVar("T")
ITEMS_MAX = 50
ARN = re.compile(r"arn:aws[a-z-]*:logs:([^:]+):(\d{12}):log-group:([^:]+)(?::\*)?")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def no_group() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified log group does not exist.")


def raise_no_stream() -> NoReturn:
    raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")


def group_name(caller: Caller, request: Mapping[str, Any]) -> str:
    """From `logGroupName` or `logGroupIdentifier`, of which one must be given."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if name and identifier:
        raise invalid("LogGroup name and LogGroup ARN are mutually exclusive parameters.")
    if not name and not identifier:
        raise invalid("Either logGroupName or logGroupIdentifier must be provided.")
    return name_of(caller, name or identifier or "")


def name_of(caller: Caller, identifier: str) -> str:
    match = ARN.fullmatch(identifier)
    if match is None:
        if identifier.startswith("arn:"):
            raise invalid("LogGroup ARN is invalid")
        return identifier
    if (match[1], match[2]) != (caller.region, caller.account):
        raise no_group()
    return match[3]


def existing_group(tx: Transaction, caller: Caller, name: str) -> Group:
    group = log_store.find_group(tx, caller.account, caller.region, name)
    if group is None:
        raise no_group()
    return group


def existing_stream(tx: Transaction, caller: Caller, group: str, name: str) -> tuple[Group, Stream]:
    found = existing_group(tx, caller, group)
    stream = log_store.find_stream(tx, found.id, name)
    if stream is None:
        raise_no_stream()
    return found, stream


def page(items: Sequence[T], request: Mapping[str, Any], *, key: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """Those after `nextToken`, and the next token. The token holds the key of the last item that was shown."""
    start = 0
    if request.get("nextToken"):
        last = _read(request["nextToken"])
        keys = [key(item) for item in items]
        start = keys.index(last) + 1 if last in keys else 0
    limit = min(int(request.get("limit") or ITEMS_MAX), ITEMS_MAX)
    some = items[start : start + limit]
    more = len(items) > start + limit
    return some, base64.urlsafe_b64encode(key(some[-1]).encode()).decode() if more else None


def _read(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError):
        raise invalid("The specified nextToken is invalid.") from None
