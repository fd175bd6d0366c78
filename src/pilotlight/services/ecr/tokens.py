"""The registry's passwords: sealed, good for twelve hours, and standing for whoever asked for one.

AWS: the user's name is always `AWS`, and the password works in every registry that its principal may use.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilotlight.clock import Clock
from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.ecr.names import ACCOUNT, host_of, unsatisfied

SECONDS = 12 * 3600
LINK_SECONDS = 3600
USER = "AWS"
NONCE_BYTES = 12
REGISTRIES_MAX = 10
CHARACTERS_MAX = 32_768


class Passwords:
    """Seals and opens them. `secret` is the node's own, and the same on every start."""

    def __init__(self, secret: bytes, clock: Clock, ids: Ids) -> None:
        self._seal = AESGCM(secret)
        self._clock = clock
        self._ids = ids

    def issue(self, caller: Caller) -> tuple[str, int]:
        """The password, and when it ends, in wall time."""
        expires_ms = self._clock.wall_ms() + SECONDS * 1000
        principal = {
            "account": caller.account,
            "region": caller.region,
            "kind": caller.kind,
            "arn": caller.arn,
            "user_id": caller.user_id,
            "access_key_id": caller.access_key_id,
            "role_arn": caller.role_arn,
            "session_policies": list(caller.session_policies),
            "instance": caller.instance,
            "context": {name: value for name, value in caller.context.items() if isinstance(value, str)},
        }
        return self._sealed({"principal": principal, "expires_ms": expires_ms}), expires_ms

    def open(self, password: str) -> dict[str, Any] | None:
        """Members of a `Caller`, or None for what was not sealed here, or is over."""
        content = self._opened(password)
        return content.get("principal") if content else None

    def link(self, layer: str) -> str:
        """A key to one layer, for an hour."""
        return self._sealed({"layer": layer, "expires_ms": self._clock.wall_ms() + LINK_SECONDS * 1000})

    def opens(self, key: str, layer: str) -> bool:
        content = self._opened(key)
        return content is not None and content.get("layer") == layer

    def _sealed(self, content: Mapping[str, Any]) -> str:
        nonce = self._ids.secret(NONCE_BYTES)
        sealed = nonce + self._seal.encrypt(nonce, json.dumps(content).encode(), b"ecr")
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def _opened(self, text: str) -> dict[str, Any] | None:
        if len(text) > CHARACTERS_MAX:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            content: dict[str, Any] = json.loads(self._seal.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], b"ecr"))
        except (ValueError, InvalidTag):
            return None
        return content if content["expires_ms"] > self._clock.wall_ms() else None


class Authorization:
    def __init__(self, passwords: Passwords, port: int) -> None:
        self._passwords = passwords
        self._port = port

    async def get_authorization_token(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        if caller.kind == "service":
            raise NotImplementedHere("GetAuthorizationToken for a service")
        registries = request.get("registryIds") or [caller.account]
        if len(registries) > REGISTRIES_MAX:
            raise unsatisfied("registryIds", f"Member must have length less than or equal to {REGISTRIES_MAX}")
        data = []
        for registry in registries:
            if not ACCOUNT.fullmatch(registry):
                raise unsatisfied("registryId", "Member must satisfy regular expression pattern: [0-9]{12}")
            password, expires_ms = self._passwords.issue(caller)
            token = base64.b64encode(f"{USER}:{password}".encode()).decode()
            data.append(
                {
                    "authorizationToken": token,
                    "expiresAt": datetime.fromtimestamp(expires_ms / 1000, UTC),
                    "proxyEndpoint": f"http://{host_of(registry, caller.region, self._port)}",
                }
            )
        return {"authorizationData": data}
