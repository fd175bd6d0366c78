"""Messages as a function sees them, and what its answer says of them. Pure.

AWS: "using Lambda with Amazon SQS": the event, filtering, and partial batch responses.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.event_patterns import Pattern, compile_pattern

Message = Mapping[str, Any]


def record(message: Message, source: str) -> dict[str, Any]:
    made = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": source.split(":")[3],
    }
    if "MD5OfMessageAttributes" in message:
        made["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return made


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "BinaryValue" in value:
        made["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    else:
        made["stringValue"] = value["StringValue"]
    return made


def patterns(criteria: Mapping[str, Any] | None) -> list[Pattern]:
    return [compile_pattern(one["Pattern"]) for one in (criteria or {}).get("Filters") or []]


def is_wanted(made: Mapping[str, Any], wanted: Sequence[Pattern]) -> bool:
    """AWS: filters look into a body that is JSON where they ask for members of it, and else compare it as text."""
    if not wanted:
        return True
    looked = dict(made)
    try:
        body = json.loads(made["body"])
    except ValueError:
        body = None
    if isinstance(body, dict):
        looked["body"] = body
    return any(pattern.matches(looked) or pattern.matches(made) for pattern in wanted)


def failed_ids(answer: bytes, records: Sequence[Mapping[str, Any]], *, partial: bool, fifo: bool) -> set[str]:
    """The ids of the messages that stay in the queue, after the function answered without an error.

    AWS: an answer that is not of the right form, or names what was not in the batch, fails all of it. In a FIFO queue
    what comes after the first failure has failed, too.
    """
    if not partial:
        return set()
    everything = {one["messageId"] for one in records}
    try:
        told = json.loads(answer)
    except ValueError:
        return everything
    failures = told.get("batchItemFailures") if isinstance(told, dict) else None
    if told is None or told == {} or failures is None or failures == []:
        return set()
    if not isinstance(failures, list):
        return everything
    named: set[str] = set()
    for failure in failures:
        identity = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if identity not in everything:
            return everything
        named.add(str(identity))
    if fifo:
        first = next(index for index, one in enumerate(records) if one["messageId"] in named)
        return {one["messageId"] for one in records[first:]}
    return named
