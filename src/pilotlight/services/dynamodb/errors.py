"""DynamoDB's refusals that are raised from more than one place, in its own words."""

from __future__ import annotations

from pilotlight.errors import AwsError

PARAMETERS = "One or more parameter values were invalid: "


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
