"""One operation on a stack while it is under way, and the words for what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pilotlight.deploy.resources.base import Made
from pilotlight.errors import AwsError
from pilotlight.services.cloudformation.intrinsics import Scope
from pilotlight.services.cloudformation.store import Stack, StackResource

CUSTOM_NAME = (
    "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {} and update the "
    "stack again."
)


class StepFailed(Exception):
    """A resource could not be made, changed or removed; the message is the reason that its event shows."""


@dataclass(slots=True)
class Work:
    """One operation under way."""

    stack: Stack
    scope: Scope
    rows: dict[str, StackResource]
    """The newest generation of each resource."""
    old: list[StackResource] = field(default_factory=list)
    """Generations that were replaced: they go at the end."""
    failed: list[str] = field(default_factory=list)
    reason: str = ""
    """Why the stack failed, where no resource did."""


def with_made(row: StackResource, made: Made) -> StackResource:
    return replace(row, physical_id=made.physical_id, body={**row.body, "attributes": dict(made.attributes)})


def without_before(stack: Stack) -> Stack:
    return replace(stack, body={key: value for key, value in stack.body.items() if key != "before"})


def reason_of(row: StackResource, error: AwsError) -> str:
    """AWS: a resource's reason names the service, the status and the code behind it."""
    service = row.type.split("::")[1]
    return (
        f'Resource handler returned message: "{error.message} (Service: {service}, Status Code: {error.status}, '
        f'Request ID: none)" (HandlerErrorCode: {_handler_code(error)})'
    )


def _handler_code(error: AwsError) -> str:
    if error.code in (
        "EntityAlreadyExists",
        "AlreadyExists",
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "ResourceConflictException",
    ):
        return "AlreadyExists"
    if "NotFound" in error.code or error.code.startswith("NoSuch"):
        return "NotFound"
    if error.code.startswith("AccessDenied"):
        return "AccessDenied"
    return "InvalidRequest" if error.status < 500 else "GeneralServiceException"
