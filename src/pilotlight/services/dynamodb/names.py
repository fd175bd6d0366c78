"""Table names as requests give them: a name, or an ARN."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pilotlight.arn import Arn
from pilotlight.identity.caller import Caller
from pilotlight.services.dynamodb.errors import invalid, resource_not_found

NAME_PATTERN = "[a-zA-Z0-9_.-]+"
_NAME = re.compile(NAME_PATTERN)
NAME_LENGTH_MIN = 3
NAME_LENGTH_MAX = 255


def table_name(caller: Caller, text: str) -> str:
    """The name of a table of the caller's own. Raises AwsError."""
    if text.startswith("arn:"):
        return _of_arn(caller, text)
    check_name(text, "tableName", least=1)
    return text


def _of_arn(caller: Caller, text: str) -> str:
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise invalid(f"Invalid table ARN: {text}") from None
    kind, _, rest = arn.resource.partition("/")
    name = rest.partition("/")[0]
    if arn.service != "dynamodb" or kind != "table" or not _NAME.fullmatch(name):
        raise invalid(f"Invalid table ARN: {text}")
    if (arn.account, arn.region) != (caller.account, caller.region):
        # Tables of other accounts need a resource policy, which this service does not have.
        raise resource_not_found()
    return name


def check_name(text: str, member: str, *, least: int = NAME_LENGTH_MIN) -> None:
    """Raises AwsError in the words of AWS's own validator."""
    broken = list(_broken(text, least))
    if broken:
        noun = "error" if len(broken) == 1 else "errors"
        told = "; ".join(f"Value '{text}' at '{member}' failed to satisfy constraint: {one}" for one in broken)
        raise invalid(f"{len(broken)} validation {noun} detected: {told}")


def _broken(text: str, least: int) -> Iterable[str]:
    if not _NAME.fullmatch(text):
        yield f"Member must satisfy regular expression pattern: {NAME_PATTERN}"
    if len(text) < least:
        yield f"Member must have length greater than or equal to {least}"
    if len(text) > NAME_LENGTH_MAX:
        yield f"Member must have length less than or equal to {NAME_LENGTH_MAX}"
