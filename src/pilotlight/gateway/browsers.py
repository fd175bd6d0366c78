"""No web page may reach the cloud on the developer's machine.

A page's script can send requests to loopback, and can even sign them with `test`/`test`. Browsers say so
themselves: with `Origin`, and with `Sec-Fetch-Site`. A page may also point a name of its own at 127.0.0.1
(DNS rebinding): then the `Host` is one that we do not know.
"""

from __future__ import annotations

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request

FOREIGN_SITES = ("cross-site", "same-site")


class Strangers:
    def __init__(self, origins: str) -> None:
        self._origins = frozenset(filter(None, (origin.strip() for origin in origins.split(","))))

    def refusal(self, request: Request, *, host_known: bool) -> AwsError | None:
        """The refusal of a page's request, or of a request to a name that is not ours."""
        if not host_known:
            return AwsError(
                "AccessDenied",
                f"The host name {request.headers.get('host', '')!r} is not one of this cloud's. "
                "Add it with PILOTLIGHT_HOSTS.",
                status=403,
            )
        origin = request.headers.get("origin")
        foreign = request.headers.get("sec-fetch-site") in FOREIGN_SITES
        if (origin is None and not foreign) or origin in self._origins:
            return None
        return AwsError(
            "AccessDenied",
            "Requests from web pages are refused. Allow the page's origin with PILOTLIGHT_ORIGINS.",
            status=403,
        )
