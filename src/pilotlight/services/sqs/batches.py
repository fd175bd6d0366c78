"""What every batch has in common: its entries' ids, and how a failed one is told of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.protocols.aws_json import QUERY_CODES

ENTRIES_MAX = 10
ID = re.compile(r"^[A-Za-z0-9_-]{1,80}$")


def check_entries(entries: Sequence[Mapping[str, Any]], kind: str) -> None:
    """Raises AwsError."""
    if not entries:
        raise AwsError("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if len(entries) > ENTRIES_MAX:
        message = f"Maximum number of entries per request are {ENTRIES_MAX}. You have sent {len(entries)}."
        raise AwsError("TooManyEntriesInBatchRequest", message)
    seen = set()
    for entry in entries:
        if not ID.match(entry["Id"]):
            raise AwsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most "
                "80 letters long.",
            )
        if entry["Id"] in seen:
            raise AwsError("BatchEntryIdsNotDistinct", f"Id {entry['Id']} repeated.")
        seen.add(entry["Id"])


def failed(identity: str, error: AwsError) -> dict[str, Any]:
    code = QUERY_CODES["sqs"].get(error.code, error.code)
    return {"Id": identity, "SenderFault": True, "Code": code, "Message": error.message}
