"""The attributes of topics and subscriptions: what each may be. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pilotlight.arn import Arn
from pilotlight.errors import NotImplementedHere
from pilotlight.services.sns import delivery_policies, filters
from pilotlight.services.sns.errors import invalid

BOOLEANS = ("FifoTopic", "ContentBasedDeduplication", "RawMessageDelivery")
FEEDBACK = tuple(
    f"{protocol}{what}"
    for protocol in ("HTTP", "Firehose", "Lambda", "Application", "SQS")
    for what in ("SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn")
)
TOPIC = frozenset(
    {
        "DeliveryPolicy", "DisplayName", "FifoTopic", "Policy", "TracingConfig", "KmsMasterKeyId", "SignatureVersion",
        "ContentBasedDeduplication", "FifoThroughputScope", *FEEDBACK,
    }
)  # fmt: skip
SUBSCRIPTION = frozenset(
    {
        "DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy",
        "SubscriptionRoleArn",
    }
)  # fmt: skip
CHOICES = {
    "SignatureVersion": ("1", "2"),
    "TracingConfig": ("PassThrough", "Active"),
    "FifoThroughputScope": ("Topic", "MessageGroup"),
    "FilterPolicyScope": ("MessageAttributes", "MessageBody"),
}
REFUSED = ("ArchivePolicy", "ReplayPolicy", "DataProtectionPolicy")
RAW = ("sqs", "http", "https", "firehose")


def normalised(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value.lower() if name in BOOLEANS else value for name, value in given.items()}


def check_topic(given: Mapping[str, str], *, fifo: bool, member: str = "Attributes") -> None:
    """Raises AwsError."""
    for name, value in given.items():
        _common(name, value, TOPIC, member)
        if name in ("ContentBasedDeduplication", "FifoThroughputScope") and not fifo:
            raise invalid(f"{member} Reason: {name} can only be set on FIFO topics")
        if name == "Policy" and value:
            _object(value, "Policy Error: null")
        elif name == "DisplayName" and len(value) > 100:
            raise invalid("DisplayName")
        elif name == "DeliveryPolicy" and value:
            delivery_policies.check_topic(value)


def check_subscription(given: Mapping[str, str], *, protocol: str, endpoint: str, region: str, owner: str) -> None:
    """Raises AwsError. `given` is how all of them are to be: a scope decides about its policy."""
    for name, value in given.items():
        _common(name, value, SUBSCRIPTION, "Attributes")
        if name == "RawMessageDelivery" and value == "true" and protocol not in RAW:
            raise invalid(f"Attributes Reason: Delivery protocol [{protocol}] does not support raw message delivery.")
        if name == "FilterPolicy" and value:
            filters.read_policy(value, given.get("FilterPolicyScope", "MessageAttributes"))
        elif name == "DeliveryPolicy" and value:
            if protocol not in ("http", "https"):
                raise invalid(f"Delivery policy is not supported for protocol {protocol}")
            delivery_policies.check_subscription(value)
        elif name == "RedrivePolicy" and value:
            _check_redrive(value, endpoint, region, owner)


def _common(name: str, value: str, known: frozenset[str], member: str) -> None:
    if name in REFUSED:
        raise NotImplementedHere(f"{name} of SNS")
    if name not in known:
        raise invalid("AttributeName" if member == "AttributeName" else f"{member} Reason: Unknown attribute {name}")
    if name in BOOLEANS and value not in ("true", "false"):
        raise invalid(f"{member} Reason: {name}: Invalid value [{value}]. Must be true or false.")
    if name in CHOICES and value not in CHOICES[name]:
        raise invalid(f"{name}: Invalid value [{value}]. Please use either {' or '.join(CHOICES[name])}")


def _check_redrive(text: str, endpoint: str, region: str, owner: str) -> None:
    target = _object(text, "RedrivePolicy: failed to parse JSON.").get("deadLetterTargetArn")
    try:
        arn = Arn.parse(str(target))
    except ValueError:
        raise invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn") from None
    if arn.service != "sqs":
        raise invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if (arn.region, arn.account) != (region, owner):
        raise invalid("RedrivePolicy: deadLetterTargetArn must be in the subscription's account and region")
    if endpoint.startswith("arn:") and endpoint.endswith(".fifo") and not arn.resource.endswith(".fifo"):
        raise invalid("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO topic")


def _object(text: str, complaint: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise invalid(complaint)
    return value
