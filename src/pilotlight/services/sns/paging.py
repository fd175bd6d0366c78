"""Lists of a hundred at a time."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TypeVar

from pilotlight.services.sns.errors import invalid

PAGE = 100
T = TypeVar("T")


def after(token: str | None) -> str:
    try:
        return base64.urlsafe_b64decode((token or "").encode()).decode()
    except ValueError:
        raise invalid("NextToken") from None


def page(found: list[T], key: Callable[[T], str]) -> tuple[list[T], dict[str, str]]:
    """What is shown of a hundred and one, and the token where there is more."""
    shown = found[:PAGE]
    more = len(found) > PAGE
    return shown, {"NextToken": base64.urlsafe_b64encode(key(shown[-1]).encode()).decode()} if more else {}
