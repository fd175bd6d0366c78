"""SNS's refusals, in its words."""

from __future__ import annotations

from pilotlight.errors import AwsError


def invalid(what: str) -> AwsError:
    return AwsError("InvalidParameter", f"Invalid parameter: {what}")


def invalid_value(message: str) -> AwsError:
    return AwsError("ParameterValueInvalid", message)


def no_topic() -> AwsError:
    return AwsError("NotFound", "Topic does not exist", status=404)


def no_subscription() -> AwsError:
    return AwsError("NotFound", "Subscription does not exist", status=404)
