"""What a message may hold. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from pilotlight.services.sns.errors import invalid, invalid_value

BYTES_MAX = 262_144
SUBJECT_MAX = 100
SUBJECT = re.compile(r"^[\x21-\x7e][\x20-\x7e]*$")
NAME = re.compile(r"^(?!(?i:aws|amazon)\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")
KIND = re.compile(r"^(String|Number|Binary)(\..+)?$")
NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
ID = re.compile(r"^[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}$")


def check(request: Mapping[str, Any]) -> int:
    """The message's size in bytes. Raises AwsError."""
    message, subject = request.get("Message") or "", request.get("Subject")
    if not message:
        raise invalid("Empty message")
    # AWS: ASCII that begins with a letter, number or punctuation mark, without line breaks, less than 100 characters.
    if subject is not None and (not SUBJECT.match(subject) or len(subject) > SUBJECT_MAX):
        raise invalid("Subject")
    size = len(message.encode(errors="surrogatepass")) + check_attributes(request.get("MessageAttributes") or {})
    if size > BYTES_MAX:
        raise invalid("Message too long")
    structure = request.get("MessageStructure")
    if structure == "json":
        by_protocol(message)
    elif structure:
        raise invalid("MessageStructure")
    return size


def by_protocol(message: str) -> dict[str, str]:
    """A message that says other things to each protocol. Raises AwsError."""
    try:
        given = json.loads(message)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise invalid("Message Structure - JSON message body failed to parse")
    if not isinstance(given.get("default"), str):
        raise invalid("Message Structure - No default entry in JSON message body")
    return {name: text for name, text in given.items() if isinstance(text, str)}


def check_attributes(attributes: Mapping[str, Any]) -> int:
    size = 0
    for name, value in attributes.items():
        kind = value.get("DataType") or ""
        if len(name) > 256 or not NAME.match(name):
            raise invalid_value(f"The message attribute name '{name}' is invalid.")
        if not kind:
            raise invalid_value(f"The message attribute '{name}' must contain non-empty message attribute type.")
        if not KIND.match(kind):
            raise invalid_value(
                f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
                "prefixes is Binary, Number, and String."
            )
        content = value.get("BinaryValue") if kind.startswith("Binary") else value.get("StringValue")
        if not content:
            raise invalid_value(
                f"The message attribute '{name}' must contain non-empty message attribute value for message attribute "
                f"type '{kind}'."
            )
        if kind.startswith("Number") and not NUMBER.match(content.strip()):
            raise invalid_value(f"Could not cast message attribute '{name}' value to number.")
        size += len(name.encode()) + len(kind) + len(content if isinstance(content, bytes) else content.encode())
    return size


def shown(attributes: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Attributes as envelopes and functions have them."""
    told = {}
    for name, value in attributes.items():
        binary = value["DataType"].startswith("Binary")
        text = base64.b64encode(value["BinaryValue"]).decode() if binary else value["StringValue"]
        told[name] = {"Type": value["DataType"], "Value": text}
    return told


def plain(attributes: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Back from `shown`, for queues that get messages raw."""
    return {
        name: {"DataType": value["Type"], "BinaryValue": base64.b64decode(value["Value"])}
        if value["Type"].startswith("Binary")
        else {"DataType": value["Type"], "StringValue": value["Value"]}
        for name, value in attributes.items()
    }
