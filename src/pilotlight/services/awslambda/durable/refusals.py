"""AWS's words for what durable executions refuse.

# AWS: the messages of checkpoints are those that the testing library of the durable execution SDK answers with.
"""

from __future__ import annotations

from pilotlight.errors import AwsError
from pilotlight.services.awslambda.names import invalid, not_found, user_error


def invalid_token() -> AwsError:
    """The SDKs know this message: an invocation that was given up on ends, and the next one goes on."""
    return invalid("Invalid checkpoint token")


def foreign_token() -> AwsError:
    return invalid("Checkpoint token is not valid for the durable execution ARN")


def no_execution() -> AwsError:
    return not_found("Durable Execution does not exist")


def invalid_callback() -> AwsError:
    return invalid("Invalid callback id")


def callback_closed() -> AwsError:
    return user_error("CallbackTimeoutException", "The callback is either timed out or already completed")


def already_started(arn: str) -> AwsError:
    return user_error("DurableExecutionAlreadyStartedException", f"Execution already started: {arn}", status=409)


def too_large(what: str, limit: int) -> AwsError:
    return invalid(f"{what} payload size must be less than or equal to {limit} bytes.")
