"""What a message may hold, and its digests. Pure.

AWS: "message attributes MD5 calculation" of the developer guide.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.sqs.errors import invalid, invalid_value, missing

ATTRIBUTES_MAX = 10
NAME_MAX = 256
WRONG = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NAME = re.compile(r"^(?!(?i:aws|amazon)\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")
TYPE = re.compile(r"^(String|Number|Binary)(\..+)?$")
ID = re.compile(r"^[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}$")
NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")


def check(request: Mapping[str, Any], bytes_max: int) -> int:
    """The message's size in bytes. Raises AwsError."""
    body = request["MessageBody"]
    if not body:
        raise missing("MessageBody")
    attributes = request.get("MessageAttributes") or {}
    size = len(body.encode(errors="surrogatepass")) + check_attributes(attributes)
    if size > bytes_max:
        raise invalid(f"One or more parameters are invalid. Reason: Message must be shorter than {bytes_max} bytes.")
    if WRONG.search(body):
        raise AwsError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to "
            "#xFFFD | #x10000 to #x10FFFF",
        )
    for name, value in (request.get("MessageSystemAttributes") or {}).items():
        if name != "AWSTraceHeader":
            raise invalid_value(name, "MessageSystemAttributes", "Unknown system attribute.")
        if not str(value["DataType"]).startswith("String") or not value.get("StringValue"):
            raise invalid(f"Message (system) attribute '{name}' must be of type String and not be empty.")
    return size


def check_attributes(attributes: Mapping[str, Any]) -> int:
    """Their size in bytes. Raises AwsError."""
    if len(attributes) > ATTRIBUTES_MAX:
        raise invalid(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )
    size = 0
    for name, value in attributes.items():
        if len(name) > NAME_MAX or not NAME.match(name):
            raise invalid(
                f"Message (user) attribute name '{name}' is invalid: it can contain letters, digits, periods, hyphens "
                "and underscores, must not start or end with a period, nor with AWS. or Amazon."
            )
        kind = value["DataType"]
        if value.get("StringListValues") or value.get("BinaryListValues"):
            raise AwsError(
                "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported."
            )
        if not kind:
            raise invalid(f"The message attribute '{name}' must contain a non-empty message attribute type.")
        if not TYPE.match(kind) or len(kind) > NAME_MAX:
            raise invalid(
                f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
                "prefixes is Binary, Number, and String."
            )
        content = _content(name, kind, value)
        size += len(name.encode()) + len(kind.encode()) + len(content)
    return size


def _content(name: str, kind: str, value: Mapping[str, Any]) -> bytes:
    binary = kind.startswith("Binary")
    content: Any = value.get("BinaryValue") if binary else value.get("StringValue")
    if not content:
        raise invalid(
            f"The message attribute '{name}' must contain non-empty message attribute value for message attribute type "
            f"'{kind.split('.')[0]}'."
        )
    if kind.startswith("Number") and not NUMBER.match(content.strip()):
        raise invalid(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    if not binary and WRONG.search(content):
        raise AwsError("InvalidMessageContents", f"Invalid characters found in the value of attribute '{name}'.")
    return bytes(content) if binary else str(content).encode()


def check_id(value: str, parameter: str) -> None:
    if not ID.match(value):
        raise invalid_value(
            value,
            parameter,
            f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.",
        )


def md5(text: str) -> str:
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def attributes_md5(attributes: Mapping[str, Any]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        kind = attributes[name]["DataType"]
        binary = kind.startswith("Binary")
        content = attributes[name]["BinaryValue"] if binary else attributes[name]["StringValue"].encode()
        for part in (name.encode(), kind.encode()):
            digest.update(struct.pack(">I", len(part)) + part)
        digest.update((b"\x02" if binary else b"\x01") + struct.pack(">I", len(content)) + content)
    return digest.hexdigest()


def dump_attributes(attributes: Mapping[str, Any]) -> str:
    """As they are kept: JSON, binary values in base64."""
    if not attributes:
        return ""
    return json.dumps(
        {
            name: [value["DataType"], base64.b64encode(value["BinaryValue"]).decode()]
            if value["DataType"].startswith("Binary")
            else [value["DataType"], value["StringValue"]]
            for name, value in attributes.items()
        }
    )


def load_attributes(text: str) -> dict[str, Any]:
    if not text:
        return {}
    return {
        name: {"DataType": kind, "BinaryValue": base64.b64decode(content)}
        if kind.startswith("Binary")
        else {"DataType": kind, "StringValue": content}
        for name, (kind, content) in json.loads(text).items()
    }


def wanted(attributes: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Those that a receiver asked for: by name, `All`, `.*`, or `prefix.*`."""
    if not names or not attributes:
        return {}
    if "All" in names or ".*" in names:
        return dict(attributes)
    prefixes = tuple(name.removesuffix("*").removesuffix(".") for name in names if name.endswith(".*"))
    return {
        name: value for name, value in attributes.items() if name in names or (prefixes and name.startswith(prefixes))
    }


def content_id(body: str) -> str:
    """AWS: content-based deduplication takes the body's SHA-256, and no attributes."""
    return hashlib.sha256(body.encode()).hexdigest()
