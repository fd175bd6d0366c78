"""Who is at the registry's door: basic authentication with a password of GetAuthorizationToken's."""

from __future__ import annotations

import base64
import re
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Request
from pilotlight.services.ecr.tokens import USER, Passwords
from pilotlight.settings import ACCOUNT, REGION, Settings

_ACCOUNT = re.compile(r"[0-9]{12}")


class Logins:
    def __init__(self, passwords: Passwords, settings: Settings) -> None:
        self._passwords = passwords
        self._enforce = settings.iam == "enforce"

    def opens(self, key: str, layer: str) -> bool:
        return self._passwords.opens(key, layer)

    async def caller(self, request: Request, registry: str, region: str, request_id: str) -> Caller:
        """Raises UNAUTHORIZED, with the challenge that makes a client send what it knows."""
        user, password = _basic(request)
        if user is None:
            raise _unauthorized(request, "Not Authorized")
        principal = self._passwords.open(password) if user == USER else None
        if principal is None:
            return self._stranger(request, user, registry, region, request_id)
        if request.instance and request.instance != principal["access_key_id"]:
            raise _unauthorized(request, "Only this function's own role may ask here.")
        members: dict[str, Any] = {
            **principal,
            "region": region or principal["region"],
            "session_policies": tuple(principal["session_policies"]),
        }
        return Caller(**members, request_id=request_id, source_ip=request.source_ip, secure=_secure(request))

    def nobody(self, request: Request, registry: str, region: str) -> Caller:
        return Caller(account=registry, region=region, kind="anonymous", arn="anonymous", source_ip=request.source_ip)

    def _stranger(self, request: Request, user: str, registry: str, region: str, request_id: str) -> Caller:
        """A password that was not issued here: refused, or the administrator of the registry's account."""
        if self._enforce or request.instance:
            raise _unauthorized(request, "Your authorization token is not valid, or has expired. Reauthenticate.")
        account = registry or (user if _ACCOUNT.fullmatch(user) else ACCOUNT)
        return Caller(
            account=account,
            region=region or REGION,
            kind="administrator",
            arn=f"arn:aws:iam::{account}:root",
            user_id=account,
            request_id=request_id,
            source_ip=request.source_ip,
            secure=_secure(request),
        )


def _secure(request: Request) -> bool:
    return request.secure or bool(request.instance) or request.source_ip in ("127.0.0.1", "::1")


def _basic(request: Request) -> tuple[str | None, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None, ""
    return user, password


def _unauthorized(request: Request, message: str) -> AwsError:
    scheme = "https" if request.secure else "http"
    realm = f"{scheme}://{request.headers.get('host', 'localhost')}/"
    challenge = f'Basic realm="{realm}",service="ecr.amazonaws.com"'
    return AwsError("UNAUTHORIZED", message, status=401, headers={"www-authenticate": challenge})
