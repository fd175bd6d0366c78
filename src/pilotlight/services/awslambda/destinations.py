"""Where the results of asynchronous invocations may go, and the events that take them there.

Functions, standard queues, and for failures buckets too; and a dead-letter queue, which gets the event itself.
Topics and event buses are refused by name. AWS: the function's role must be allowed to hand the record over, which
is checked when the setting is made and decided when the record is sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.arn import Arn
from pilotlight.engine.contract import FunctionVersion
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.grants import denied
from pilotlight.services.awslambda.names import Reference, invalid
from pilotlight.services.awslambda.store import Name, Version
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage.outbox import OutboxEvent

NOT_YET = {"sns": "topics of SNS", "events": "event buses of EventBridge"}
KINDS = {"OnSuccess": ("lambda", "sqs"), "OnFailure": ("lambda", "sqs", "s3")}
ANYWHERE = "us-east-1"
"""Whose endpoint of S3 knows every bucket."""
PREFIX = "aws/lambda/async"
ERROR_CHARACTERS_MAX = 1024
"""AWS: "the first 1 KB of the error message"."""
UNSENDABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What a queue does not take in a message's attribute."""


async def check_dead_letter(
    parts: Surroundings, caller: Caller, operation: str, function: Name, body: Mapping[str, Any]
) -> None:
    """A dead-letter queue and the role that sends to it; `body` is the configuration as it is to be."""
    target = (body.get("DeadLetterConfig") or {}).get("TargetArn")
    if not target:
        return
    if "DurableConfig" in body:
        raise NotImplementedHere(f"{operation} with a dead-letter queue of a durable function")
    arn = _parse(target)
    if arn is not None and arn.service in NOT_YET:
        raise NotImplementedHere(f"{operation} with {NOT_YET[arn.service]} (DeadLetterConfig): name a queue of SQS")
    if arn is None or arn.service != "sqs" or arn.region != function.region:
        raise invalid(f"The provided dead letter config DeadLetterConfig(targetArn={target}) is invalid.")
    # AWS: a queue's own policy does not help here (serverless-plugin-lambda-dead-letter#40).
    if await denied(parts, caller, function, body["Role"], ["sqs:SendMessage"], target):
        raise invalid("The provided execution role does not have permissions to call SendMessage on SQS")


async def check(
    parts: Surroundings, caller: Caller, operation: str, version: Version, destinations: Mapping[str, Any]
) -> None:
    """The destinations of an event invoke configuration."""
    targets = {member: (destinations.get(member) or {}).get("Destination") or "" for member in KINDS}
    parsed = {member: _parse(target) for member, target in targets.items() if target}
    for member, arn in parsed.items():
        if arn is not None and arn.service in NOT_YET:
            raise NotImplementedHere(f"{operation} with {NOT_YET[arn.service]} ({member})")
        if arn is None or arn.service not in KINDS[member]:
            shown = ", ".join(
                f"{name[0].lower()}{name[1:]}=" + (f"{name}(destination={target})" if target else "null")
                for name, target in targets.items()
            )
            raise invalid(f"The provided destination config DestinationConfig({shown}) is invalid.")
    for arn in parsed.values():
        assert arn is not None
        await _check_target(parts, caller, version, arn)


async def _check_target(parts: Surroundings, caller: Caller, version: Version, arn: Arn) -> None:
    function = version.function
    if arn.service == "lambda":
        named = _function_of(arn)
        if named is not None and named.function == function:
            raise invalid("You can't specify the function as a destination for itself.")
    if not await _exists(parts, caller, function, arn):
        raise invalid(f"The destination ARN {arn} is invalid.")
    for resource, actions in _needed(function, arn):
        missing = await denied(parts, caller, function, version.body["Role"], actions, resource)
        if missing:
            action = missing[0].partition(":")[2]
            # AWS: in these words, which Terraform's provider waits upon.
            raise invalid(f"The function's execution role does not have permissions to call {action} on {arn}")


def _needed(function: Name, arn: Arn) -> list[tuple[str, list[str]]]:
    if arn.service == "lambda":
        return [(str(arn), ["lambda:InvokeFunction"])]
    if arn.service == "sqs":
        return [(str(arn), ["sqs:SendMessage"])]
    return [(f"{arn}/{PREFIX}/{function.name}/record", ["s3:PutObject"]), (str(arn), ["s3:ListBucket"])]


async def _exists(parts: Surroundings, caller: Caller, function: Name, arn: Arn) -> bool:
    if arn.service != "s3" and arn.region != function.region:
        return False
    if arn.service == "lambda":
        named = _function_of(arn)
        return named is not None and await parts.database.read(store.find_function, named.function) is not None
    owner = replace(caller, kind="administrator", account=arn.account or function.account)
    try:
        if arn.service == "sqs":
            await parts.cloud.call("sqs", "GetQueueAttributes", {"QueueUrl": _queue_url(arn)}, owner)
        else:
            await parts.cloud.call("s3", "GetBucketLocation", {"Bucket": arn.resource}, replace(owner, region=ANYWHERE))
    except AwsError as error:
        if error.code in ("QueueDoesNotExist", "NoSuchBucket", "InvalidBucketName"):
            return False
        raise
    return True


def _parse(text: str) -> Arn | None:
    try:
        return Arn.parse(text)
    except ValueError:
        return None


def _function_of(arn: Arn) -> Reference | None:
    kind, _, rest = arn.resource.partition(":")
    name, _, qualifier = rest.partition(":")
    return Reference(Name(arn.account, arn.region, name), qualifier) if kind == "function" and name else None


def _queue_url(arn: Arn) -> str:
    return f"https://sqs.{arn.region}.amazonaws.com/{arn.account}/{arn.resource}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a record or a dead letter tells of."""

    event: OutboxEvent
    request_id: str
    version: FunctionVersion
    trace_id: str
    now_ms: int

    def follow_up(self, kind: str, identity: str, target: str, payload: bytes, **detail: Any) -> OutboxEvent:
        """Something on its way in the name of the function's role."""
        told = {"role_arn": self.version.role_arn, "session": self.version.name, "trace_id": self.trace_id, **detail}
        return OutboxEvent(
            id=f"{identity}-{self.event.id}",
            kind=kind,
            account=self.event.account,
            region=self.event.region,
            target=target,
            source=self.event.target,
            payload=payload,
            created_ms=self.now_ms,
            due_ms=self.now_ms,
            detail=json.dumps(told),
        )


def record_event(origin: Origin, target: str, record: Mapping[str, Any]) -> OutboxEvent:
    """An invocation record on its way."""
    payload = json.dumps(record).encode()
    service = Arn.parse(target).service
    if service == "lambda":
        return origin.follow_up("lambda_invoke", "destination", target, payload)
    if service == "sqs":
        return origin.follow_up("publish", "destination", target, payload)
    # AWS: `aws/lambda/async/NAME/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<UUID>`. The request's own: a second try is no copy.
    moment = str(record["timestamp"])[:19]
    day, time = moment[:10].replace("-", "/"), moment.replace(":", ".")
    key = f"{PREFIX}/{origin.version.name}/{day}/{time}-{origin.request_id}"
    return origin.follow_up("put_object", "destination", target, payload, key=key)


def dead_letter_event(origin: Origin, target: str, *, code: int, message: str) -> OutboxEvent:
    """The event itself on its way to a dead-letter queue, with what went wrong in attributes."""
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": origin.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": str(code)},
    }
    told = UNSENDABLE.sub("", message)[:ERROR_CHARACTERS_MAX]
    if told:
        attributes["ErrorMessage"] = {"DataType": "String", "StringValue": told}
    return origin.follow_up("publish", "dead-letter", target, origin.event.payload, attributes=attributes)
