"""How queues are named: URLs, ARNs and bare names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pilotlight.arn import Arn
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.sqs.errors import invalid, no_queue

NAME = re.compile(r"^[A-Za-z0-9_-]{1,80}$")
FIFO = ".fifo"
INSIDE = "http://127.0.0.1:4566"
"""Where a function in its sandbox finds the cloud, whatever the port outside."""


@dataclass(frozen=True, slots=True)
class QueueName:
    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"


class Urls:
    """A queue's URL, as its caller reaches this cloud."""

    def __init__(self, endpoint: Callable[[], str]) -> None:
        self._endpoint = endpoint

    def of(self, queue: QueueName, caller: Caller) -> str:
        # A function sees the cloud at its own loopback; JavaScript's SDK sends to the URL's host.
        base = INSIDE if caller.instance else self._endpoint()
        return f"{base}/{queue.account}/{queue.name}"


def read_url(url: str, caller: Caller) -> QueueName:
    """The last two parts of the path are account and name, whatever the host. Raises AwsError."""
    parts = urlsplit(url).path.strip("/").split("/") if "/" in url else [url]
    if len(parts) == 1 and (NAME.match(parts[0].removesuffix(FIFO))):
        return QueueName(caller.account, caller.region, parts[0])
    if len(parts) < 2 or not re.fullmatch(r"\d{12}", parts[-2]):
        raise AwsError("InvalidAddress", f"The address {url} is not valid for this endpoint.")
    return QueueName(parts[-2], caller.region, parts[-1])


def read_arn(text: str) -> QueueName:
    """Raises AwsError."""
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise invalid(f"You must use this format to specify the SourceArn: {text}") from None
    if arn.service != "sqs":
        raise no_queue()
    return QueueName(arn.account, arn.region, arn.resource)


def check_name(name: str, *, fifo: bool) -> None:
    if fifo:
        if not name.endswith(FIFO) or not NAME.match(name.removesuffix(FIFO)) or len(name) > 80:
            raise invalid(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end "
                "with .fifo suffix and be 1 to 80 in length."
            )
    elif not NAME.match(name):
        raise invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
