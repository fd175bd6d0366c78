"""Event notifications: which configuration an event fits, and the record that it makes. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote_plus

import orjson

from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import names
from pilotlight.services.s3.store import NULL_VERSION, Bucket, ObjectVersion

KINDS = {
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
    "QueueConfigurations": "QueueArn",
    "TopicConfigurations": "TopicArn",
}
"""Where events go, and the member that names it."""
SUBJECT = "Amazon S3 Notification"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True, slots=True)
class Target:
    """A configuration that an event fits."""

    configuration_id: str
    arn: str

    @property
    def delivery(self) -> str:
        """The kind of outbox event."""
        return "lambda_invoke" if self.arn.startswith("arn:aws:lambda:") else "publish"


def covers(pattern: str, event: str) -> bool:
    """`s3:ObjectCreated:*` covers `s3:ObjectCreated:Put`."""
    return event.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == event


def filters_of(configuration: Mapping[str, Any]) -> dict[str, str]:
    """`prefix` and `suffix`, where they are set."""
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    return {rule["Name"].lower(): rule.get("Value", "") for rule in rules}


def targets(bucket: Bucket, event: str, key: str) -> list[Target]:
    """`event` as in configurations: `s3:ObjectCreated:Put`."""
    found = []
    notification = bucket.settings.get("notification", {})
    for kind, member in KINDS.items():
        for configuration in notification.get(kind, ()):
            filters = filters_of(configuration)
            fits = key.startswith(filters.get("prefix", "")) and key.endswith(filters.get("suffix", ""))
            if fits and any(covers(pattern, event) for pattern in configuration["Events"]):
                found.append(Target(configuration["Id"], configuration[member]))
    return found


def overlapping(configurations: Sequence[Mapping[str, Any]]) -> bool:
    """AWS: two rules for one event type must not be able to fit the same key."""
    for index, one in enumerate(configurations):
        for other in configurations[index + 1 :]:
            mine, theirs = filters_of(one), filters_of(other)
            prefixes = mine.get("prefix", ""), theirs.get("prefix", "")
            suffixes = mine.get("suffix", ""), theirs.get("suffix", "")
            keys = (prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0])) and (
                suffixes[0].endswith(suffixes[1]) or suffixes[1].endswith(suffixes[0])
            )
            events = any(covers(a, b) or covers(b, a) for a in one["Events"] for b in other["Events"])
            if keys and events:
                return True
    return False


def principal_id(caller: Caller) -> str:
    """Who did it, as records name it."""
    if caller.kind == "service":
        return caller.service
    return f"AWS:{caller.user_id}" if caller.user_id else caller.account


def extended_request_id(request_id: str) -> str:
    """`x-amz-id-2`: opaque, and the same wherever the request is named."""
    return base64.b64encode(sha256(request_id.encode()).digest()).decode()


def test_message(bucket: str, *, request_id: str, now_ms: int) -> str:
    """What a queue or topic is sent when it becomes a destination."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    message = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": f"{moment}.{now_ms % 1000:03}Z",
        "Bucket": bucket,
        "RequestId": request_id,
        "HostId": extended_request_id(request_id),
    }
    return orjson.dumps(message).decode()


def record(*, name: str, target: Target, bucket: Bucket, version: ObjectVersion, caller: Caller, now_ms: int) -> bytes:
    """The event as every target gets it. `name` is `ObjectCreated:Put`.

    AWS: the key is URL-encoded with a plus for a space; removals say neither size nor, but for delete
    markers, ETag; the version is there only where the bucket has versions.
    """
    described: dict[str, Any] = {"key": quote_plus(version.key, safe="/*-._")}
    if name.startswith(("ObjectCreated:", "ObjectRestore:", "LifecycleTransition")):
        described |= {"size": version.size, "eTag": version.etag}
    elif version.marker:
        described["eTag"] = EMPTY_MD5
    if bucket.versioning and version.version_id != NULL_VERSION:
        described["versionId"] = version.version_id
    described["sequencer"] = f"{version.sequence:018X}"
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return orjson.dumps({
        "Records": [
            {
                "eventVersion": "2.1" if name.startswith(("ObjectCreated:", "ObjectRemoved:")) else "2.3",
                "eventSource": "aws:s3",
                "awsRegion": bucket.region,
                "eventTime": f"{moment}.{now_ms % 1000:03}Z",
                "eventName": name,
                "userIdentity": {"principalId": principal_id(caller)},
                "requestParameters": {
                    "sourceIPAddress": caller.service if caller.kind == "service" else caller.source_ip
                },
                "responseElements": {
                    "x-amz-request-id": caller.request_id,
                    "x-amz-id-2": extended_request_id(caller.request_id),
                },
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": target.configuration_id,
                    "bucket": {
                        "name": bucket.name,
                        "ownerIdentity": {"principalId": names.owner_of(bucket.account)["ID"][:14].upper()},
                        "arn": names.bucket_arn(bucket.name),
                    },
                    "object": described,
                },
            }
        ]
    })  # fmt: skip
