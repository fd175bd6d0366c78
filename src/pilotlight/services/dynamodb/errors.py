"""DynamoDB's refusals that are raised from more than one place, in its own words."""

from __future__ import annotations

from types import TracebackType

from pilotlight.errors import AwsError

PARAMETERS = "One or more parameter values were invalid: "
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"
NESTED_TOO_DEEP = "Nesting Levels have exceeded supported limits"
ENVELOPE = "1 validation error detected: "
_BARE = ("Supplied AttributeValue", NESTED_TOO_DEEP, "Item size", ENVELOPE)


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def parameters_invalid(detail: str) -> AwsError:
    return AwsError("ValidationException", PARAMETERS + detail)


def resource_not_found() -> AwsError:
    """As the data plane says it."""
    return AwsError("ResourceNotFoundException", "Requested resource not found")


def table_not_found(name: str) -> AwsError:
    """As the control plane says it."""
    return AwsError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")


def condition_failed(item: object = None) -> AwsError:
    members = {"Item": item} if item else {}
    return AwsError("ConditionalCheckFailedException", "The conditional request failed", members=members)


def key_mismatch() -> AwsError:
    return invalid("The provided key element does not match the schema")


class Enveloped:
    """While a request is looked at on its own, before its table is: how PutItem, UpdateItem and DeleteItem refuse it.

    AWS: what these three find wrong with a request is told as its validator tells it, with a count before; the
    other operations say the same sentence without. It came to one region after the other during 2026: measured by
    others in us-east-1 and eu-west-2 in October, for expressions, placeholders, values, `ReturnValues` and the older
    parameters. Limits, and values without exactly one type, have no count anywhere.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, AwsError) or error.code != "ValidationException" or error.message.startswith(_BARE):
            return
        message = f"{NOT_NUMERIC}: " if error.message == NOT_NUMERIC else error.message
        raise invalid(ENVELOPE + message) from None
