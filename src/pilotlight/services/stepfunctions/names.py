"""Names, ARNs and errors of Step Functions."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pilotlight.arn import Arn
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller

_FORBIDDEN = re.compile(r"""[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]""")


def check_name(name: str) -> None:
    if _FORBIDDEN.search(name) or not name:
        raise AwsError("InvalidName", f"Invalid Name: '{name}'")


def machine_arn(caller: Caller, name: str) -> str:
    return f"arn:aws:states:{caller.region}:{caller.account}:stateMachine:{name}"


def execution_arn(machine: str, name: str, *, express: bool, unique: str) -> str:
    """AWS: executions of Express machines carry an id of their own, so that names may come again."""
    arn = Arn.parse(machine)
    kind, tail = ("express", f":{unique}") if express else ("execution", "")
    machine_name = arn.resource.split(":")[1]
    return f"arn:aws:states:{arn.region}:{arn.account}:{kind}:{machine_name}:{name}{tail}"


def check_arn(text: str, kind: str, what: str) -> str:
    """Raises InvalidArn where it is no ARN of that kind."""
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise AwsError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {text}'") from None
    parts = arn.resource.split(":")
    if arn.service != "states" or len(parts) < 2 or parts[0] not in kind.split("|"):
        raise AwsError("InvalidArn", f"Invalid Arn: 'Resource type not valid in this context: {parts[0]}'")
    return text


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def no_machine(arn: str) -> AwsError:
    return AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")


def no_execution(arn: str) -> AwsError:
    return AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
