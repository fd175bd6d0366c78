"""SQS's refusals, in its words.

AWS: SDKs see the query protocol's code (`InvalidParameterValue`), which a header carries, beside the JSON protocol's
(`InvalidParameterValueException`); `protocols/aws_json.py` has the table.
"""

from __future__ import annotations

from pilotlight.errors import AwsError

NOT_FOR_THIS_TYPE = "The request include parameter that is not valid for this queue type."


def no_queue() -> AwsError:
    return AwsError("QueueDoesNotExist", "The specified queue does not exist.")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)


def invalid_value(value: object, parameter: str, reason: str) -> AwsError:
    return invalid(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing(parameter: str) -> AwsError:
    return AwsError("MissingRequiredParameterException", f"The request must contain the parameter {parameter}.")


def bad_handle(handle: str) -> AwsError:
    return AwsError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')
