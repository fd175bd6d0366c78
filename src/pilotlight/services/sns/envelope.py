"""What subscribers get: the signed JSON of queues and web servers, and the event of functions. Pure.

AWS: "parsing message formats" and "verifying the signatures of messages".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
SIGNED["UnsubscribeConfirmation"] = SIGNED["SubscriptionConfirmation"]
Sign = Callable[[str, str], str]
"""`(text, version) → signature`."""


def timestamp(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{now_ms % 1000:03d}Z"


def to_sign(told: Mapping[str, Any]) -> str:
    return "".join(f"{name}\n{told[name]}\n" for name in SIGNED[told["Type"]] if told.get(name) is not None)


def signed(told: dict[str, Any], *, version: str, sign: Sign, certificate_url: str) -> dict[str, Any]:
    """With its signature, in AWS's order."""
    return {
        **told,
        "SignatureVersion": version,
        "Signature": sign(to_sign(told), version),
        "SigningCertURL": certificate_url,
    }


def notification(message: Mapping[str, Any], text: str) -> dict[str, Any]:
    """`message` is what was published, `text` what it says to this protocol."""
    told: dict[str, Any] = {"Type": "Notification", "MessageId": message["id"]}
    if message.get("sequence"):
        told["SequenceNumber"] = message["sequence"]
    told["TopicArn"] = message["topic"]
    if message.get("subject") is not None:
        told["Subject"] = message["subject"]
    return {**told, "Message": text, "Timestamp": message["timestamp"]}


def finished(told: dict[str, Any], unsubscribe_url: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {**told, "UnsubscribeURL": unsubscribe_url, **({"MessageAttributes": attributes} if attributes else {})}


def rendered(told: Mapping[str, Any]) -> str:
    """AWS: JSON with a space before each colon."""
    return json.dumps(told, indent=2, separators=(",", " : "), ensure_ascii=False)


def record(told: Mapping[str, Any], subscription: str) -> bytes:
    """AWS: functions see `Url` where others see `URL`, and always a subject and attributes."""
    sns = {name.replace("URL", "Url"): value for name, value in told.items()}
    sns = {"Subject": None, "MessageAttributes": {}, **sns}
    event = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription, "Sns": sns}
    return json.dumps({"Records": [event]}, ensure_ascii=False).encode()
