"""How callers name a function: its name, a partial ARN or a full one, with a qualifier or without."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.store import LATEST, Name

FUNCTION = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9-_]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]+))?"
)
NAME_CHARACTERS_MAX = 64
TAGS_MAX = 50


@dataclass(frozen=True, slots=True)
class Reference:
    """What a caller named. An empty qualifier means none was given."""

    function: Name
    qualifier: str

    @property
    def arn(self) -> str:
        return f"{self.function.arn}:{self.qualifier}" if self.qualifier else self.function.arn


def user_error(code: str, message: str, *, status: int = 400) -> AwsError:
    """Lambda's errors carry who is to blame."""
    return AwsError(code, message, status=status, members={"Type": "User"})


def invalid(message: str) -> AwsError:
    return user_error("InvalidParameterValueException", message)


def not_found(message: str) -> AwsError:
    return user_error("ResourceNotFoundException", message, status=404)


def conflict(message: str) -> AwsError:
    return user_error("ResourceConflictException", message, status=409)


def validation(value: object, member: str, constraint: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}",
    )


def raise_no_function(reference: Reference) -> NoReturn:
    raise not_found(f"Function not found: {reference.arn}")


def refer(caller: Caller, text: str, qualifier: str | None = None) -> Reference:
    """Raises AWS's errors for another region's function, and for two qualifiers that disagree."""
    match = FUNCTION.fullmatch(text)
    if match is None:
        raise validation(
            text,
            "functionName",
            "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|"
            "(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
        )
    region = match["region"] or caller.region
    if region != caller.region:
        raise not_found(f"Functions from '{region}' are not reachable in this region ('{caller.region}')")
    named = match["qualifier"] or ""
    if qualifier and named and qualifier != named:
        raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
    name = Name(match["account"] or caller.account, region, match["name"])
    return Reference(name, qualifier or named)


def refer_whole(caller: Caller, text: str) -> Reference:
    """For operations that know no qualifier; `$LATEST` is the function itself."""
    reference = refer(caller, text)
    if reference.qualifier not in ("", LATEST):
        # AWS: in these words, of concurrency.
        raise invalid(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support "
            "this operation. Please specify either a function name or an unqualified function ARN."
        )
    return Reference(reference.function, "")


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise invalid("Number of tags exceeds resource tag limit.")
    return tags


def number_of(qualifier: str) -> int | None:
    """A version's number, 0 for `$LATEST` and for none; None for an alias."""
    if qualifier in ("", LATEST):
        return 0
    return int(qualifier) if qualifier.isdigit() else None
