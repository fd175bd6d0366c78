"""How topics and subscriptions are named."""

from __future__ import annotations

import re

from pilotlight.arn import Arn
from pilotlight.services.sns.errors import invalid

FIFO = ".fifo"
NAME = re.compile(r"^[A-Za-z0-9_-]{1,256}$")


def topic_arn(account: str, region: str, name: str) -> str:
    return f"arn:aws:sns:{region}:{account}:{name}"


def check_name(name: str, *, fifo: bool) -> None:
    if fifo:
        if not name.endswith(FIFO) or not NAME.match(name.removesuffix(FIFO)) or len(name) > 256:
            raise invalid(
                "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII "
                "letters, numbers, underscores, and hyphens, and must be between 1 and 256 characters long."
            )
    elif not NAME.match(name):
        raise invalid("Topic Name")


def check_arn(text: str, member: str, parts: int = 6) -> Arn:
    """Raises AwsError. AWS: says how many elements it found."""
    count = len(text.split(":"))
    if count < parts:
        raise invalid(f"{member} Reason: An ARN must have at least {parts} elements, not {count}")
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise invalid(member) from None
    if arn.service != "sns" or not NAME.match(arn.resource.split(":")[0].removesuffix(FIFO)):
        raise invalid(member)
    return arn


def topic_of(subscription_arn: str) -> str:
    return subscription_arn.rpartition(":")[0]
