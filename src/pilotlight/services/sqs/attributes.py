"""A queue's attributes: their defaults, and what each may be. Pure.

AWS: the reference of CreateQueue and SetQueueAttributes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.sqs.errors import invalid_value

MESSAGE_BYTES_MAX = 1_048_576
DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": str(MESSAGE_BYTES_MAX),
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
}
FIFO_DEFAULTS = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
RANGES = {
    "VisibilityTimeout": (0, 43_200),
    "MaximumMessageSize": (1_024, MESSAGE_BYTES_MAX),
    "MessageRetentionPeriod": (60, 1_209_600),
    "DelaySeconds": (0, 900),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}
CHOICES = {
    "FifoQueue": ("true", "false"),
    "ContentBasedDeduplication": ("true", "false"),
    "SqsManagedSseEnabled": ("true", "false"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
DOCUMENTS = ("Policy", "RedrivePolicy", "RedriveAllowPolicy")
FREE = ("KmsMasterKeyId",)
COMPUTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
)
KNOWN = frozenset((*RANGES, *CHOICES, *DOCUMENTS, *FREE))
REDRIVE_PERMISSIONS = ("allowAll", "denyAll", "byQueue")
SOURCES_MAX = 10


def unknown(name: str) -> AwsError:
    return AwsError("InvalidAttributeName", f"Unknown Attribute {name}.")


def bad(name: str) -> AwsError:
    return AwsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def check(given: Mapping[str, str], *, fifo: bool) -> None:
    """Everything that can be told without other queues. Raises AwsError."""
    for name, value in given.items():
        if name not in KNOWN or (name in FIFO_DEFAULTS and not fifo):
            raise unknown(name)
        if name in RANGES:
            least, most = RANGES[name]
            if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
                raise bad(name)
        elif name in CHOICES and value.lower() not in tuple(choice.lower() for choice in CHOICES[name]):
            raise bad(name)
        elif name == "Policy" and value:
            _object(name, value)
        elif name == "RedriveAllowPolicy" and value:
            check_allow(value)
    if given.get("FifoThroughputLimit") == "perMessageGroupId" and given.get("DeduplicationScope") == "queue":
        raise invalid_value(
            given["FifoThroughputLimit"],
            "FifoThroughputLimit",
            "FifoThroughputLimit can be set to perMessageGroupId only when DeduplicationScope is messageGroup.",
        )


def normalised(given: Mapping[str, str]) -> dict[str, str]:
    """As they are kept and told: booleans in lower case."""
    return {name: value.lower() if CHOICES.get(name) == ("true", "false") else value for name, value in given.items()}


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise bad(name)
    return value


def redrive(text: str) -> tuple[str, int]:
    """Where to, and after how many receives. Raises AwsError."""
    try:
        policy = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise invalid_value(text, "RedrivePolicy", "Redrive policy is not a valid JSON map.")
    for name in ("deadLetterTargetArn", "maxReceiveCount"):
        if name not in policy:
            raise invalid_value(text, "RedrivePolicy", f"Redrive policy does not contain mandatory attribute: {name}.")
    try:
        count = int(policy["maxReceiveCount"])
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= 1000:
        raise invalid_value(
            text,
            "RedrivePolicy",
            f"Invalid value for maxReceiveCount: {policy['maxReceiveCount']}, valid values are from 1 to 1000 both "
            "inclusive.",
        )
    return str(policy["deadLetterTargetArn"]), count


def check_allow(text: str) -> None:
    policy = _object("RedriveAllowPolicy", text)
    permission = policy.get("redrivePermission", "allowAll")
    sources = policy.get("sourceQueueArns", [])
    right = permission in REDRIVE_PERMISSIONS and isinstance(sources, list) and len(sources) <= SOURCES_MAX
    if not right or (permission == "byQueue") != bool(sources):
        raise invalid_value(
            text, "RedriveAllowPolicy", "Amazon SQS can't create the redrive allow policy. Check its permission."
        )


def allows(text: str, source_arn: str) -> bool:
    """Whether a queue with this RedriveAllowPolicy may be `source_arn`'s dead-letter queue."""
    if not text:
        return True
    policy = json.loads(text)
    permission = policy.get("redrivePermission", "allowAll")
    return permission == "allowAll" or (permission == "byQueue" and source_arn in policy.get("sourceQueueArns", []))
