"""Lambda's lists: `Marker` and `MaxItems`, 50 at most unless the operation says otherwise."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pilotlight.services.awslambda.names import invalid

T = TypeVar("T")
ITEMS_MAX = 50


def marker_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def read_marker(request: Mapping[str, Any]) -> str:
    """The key after which the list goes on; empty at its beginning."""
    try:
        return base64.urlsafe_b64decode(request.get("Marker") or "").decode()
    except (binascii.Error, ValueError):
        raise invalid("Unable to parse marker") from None


def limit_of(request: Mapping[str, Any], items_max: int = ITEMS_MAX) -> int:
    return min(int(request.get("MaxItems") or items_max), items_max)


def page(
    items: Sequence[T], request: Mapping[str, Any], *, key: Callable[[T], str], descending: bool = False
) -> tuple[Sequence[T], str | None]:
    """Those that follow the marker, and the next marker where more are left. `items` are sorted by `key`."""
    after, limit = read_marker(request), limit_of(request)
    if after:
        items = [item for item in items if (key(item) < after if descending else key(item) > after)]
    some = items[:limit]
    return some, marker_of(key(some[-1])) if len(items) > limit else None
