"""Who a key is, and temporary credentials that need no row.

Three kinds of keys come in. *Long-term* keys (`AKIA…`) are rows of IAM. *Sessions* (`ASIA…`) are stateless: the
token is a sealed payload, and the secret is derived from the node's master key, so that issuing one on the cold
start's path costs microseconds and no write. *Everything else* was not issued here; whether it is
admitted is the operator's choice (`settings.iam`).

Issued key ids carry their account as AWS's do, and sixteen bits of a MAC, so that a key which was issued here
and is gone is told from one that never was.
"""

from __future__ import annotations

import base64
import hmac
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilotlight.clock import Clock
from pilotlight.identity.caller import Kind
from pilotlight.identity.sigv4 import timestamp_of
from pilotlight.ids import Ids
from pilotlight.settings import ACCOUNT, Settings
from pilotlight.storage.database import Database, Transaction

log = logging.getLogger(__name__)

MASTER_KEY_BYTES = 32
NONCE_BYTES = 12
SESSION_SECONDS_DEFAULT = 43_200
TOKEN_CHARACTERS_MAX = 16_384
SESSIONS_MAX = 4096


class UnknownKey(Exception):
    """Nobody has this key."""


class InvalidToken(Exception):
    """The key is a session's, and the token is not its own."""


class ExpiredToken(Exception):
    """The session is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A user's long-term key, as IAM's rows have it."""

    id: str
    secret: str
    account: str
    user_arn: str
    user_id: str
    active: bool = True


class AccessKeys(Protocol):
    """Where long-term keys are kept: IAM's store."""

    async def access_key(self, access_key_id: str) -> AccessKey | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCredentials:
    """What a client of a session is given."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_ms: int
    """Wall time."""


class _Payload(msgspec.Struct, array_like=True, frozen=True):
    """What a session token seals."""

    key: str
    nonce: bytes
    account: str
    kind: str
    arn: str
    user_id: str
    role_arn: str
    issued_ms: int
    expires_ms: int
    policies: list[str]
    tags: dict[str, str]
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom a key stands for. `secret` is None where the key was admitted unseen: there is nothing to verify."""

    account: str
    kind: Kind
    arn: str
    user_id: str
    secret: str | None
    role_arn: str = ""
    session_policies: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys of the session: its tags, and when it began."""
    expires_ms: int = 0
    instance: str = ""
    """The function instance that a session was issued to."""
    temporary: bool = False


class Credentials:
    """Finds whom a key stands for, and issues new ones. `start` must be awaited before use."""

    def __init__(
        self, *, database: Database, clock: Clock, ids: Ids, settings: Settings, keys: AccessKeys | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._iam = settings.iam
        self._keys = keys
        self._master = b""
        self._seal = AESGCM(bytes(MASTER_KEY_BYTES))
        self._sessions: dict[tuple[str, str], Principal] = {}

    async def start(self) -> None:
        """Read the master key, or make it on the very first start."""
        fresh = self._ids.secret(MASTER_KEY_BYTES)
        self._master = await self._database.write(_keep_secret, "master", fresh)
        self._seal = AESGCM(hmac.digest(self._master, b"session tokens", "sha256"))

    async def find(self, access_key_id: str, token: str) -> Principal:
        """Raises UnknownKey, InvalidToken or ExpiredToken."""
        if access_key_id.startswith("ASIA"):
            session = self._session(access_key_id, token)
            if session is not None:
                return session
        elif access_key_id.startswith("AKIA"):
            principal = await self._long_term(access_key_id)
            if principal is not None:
                return principal
        if self._issued_here(access_key_id):
            raise InvalidToken if access_key_id.startswith("ASIA") else UnknownKey
        return self._stranger(access_key_id)

    def issue(
        self,
        *,
        account: str,
        role_arn: str,
        session_name: str,
        role_id: str = "",
        duration_seconds: int = SESSION_SECONDS_DEFAULT,
        policies: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        instance: str = "",
    ) -> SessionCredentials:
        """Credentials of a role's session: no row is written. `instance` binds them to a sandbox's endpoint."""
        role_name = role_arn.rsplit("/", 1)[-1]
        return self._issue(
            account=account,
            kind="role",
            arn=f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}",
            user_id=f"{role_id or role_name}:{session_name}",
            role_arn=role_arn,
            duration_seconds=duration_seconds,
            policies=policies,
            tags=tags or {},
            instance=instance,
        )

    def issue_for(
        self,
        *,
        account: str,
        kind: Kind,
        arn: str,
        user_id: str,
        duration_seconds: int,
        policies: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        instance: str = "",
        source_arn: str = "",
    ) -> SessionCredentials:
        """Credentials of a session that is no role's: `GetSessionToken` and `GetFederationToken`.

        `source_arn` is the user whose policies a federated user borrows."""
        return self._issue(
            account=account,
            kind=kind,
            arn=arn,
            user_id=user_id,
            role_arn=source_arn,
            duration_seconds=duration_seconds,
            policies=policies,
            tags=tags or {},
            instance=instance,
        )

    def _issue(
        self,
        *,
        account: str,
        kind: str,
        arn: str,
        user_id: str,
        role_arn: str,
        duration_seconds: int,
        policies: Sequence[str],
        tags: Mapping[str, str],
        instance: str,
    ) -> SessionCredentials:
        now_ms = self._clock.wall_ms()
        payload = _Payload(
            key=self.new_key_id("ASIA", account),
            nonce=self._ids.secret(NONCE_BYTES),
            account=account,
            kind=kind,
            arn=arn,
            user_id=user_id,
            role_arn=role_arn,
            issued_ms=now_ms,
            expires_ms=now_ms + duration_seconds * 1000,
            policies=list(policies),
            tags=dict(tags),
            instance=instance,
        )
        sealed = payload.nonce + self._seal.encrypt(payload.nonce, msgspec.msgpack.encode(payload), b"")
        return SessionCredentials(
            access_key_id=payload.key,
            secret_access_key=self._secret(payload.key, payload.nonce),
            session_token=base64.b64encode(sealed).decode(),
            expires_ms=payload.expires_ms,
        )

    def new_key_id(self, prefix: str, account: str) -> str:
        """A key id that carries its account, as AWS's do, and the proof that it was issued here."""
        # AWS: bits 7 to 46 of the first six bytes are the account; `sts get-access-key-info` reads them.
        number = (1 << 47) | (int(account) << 7) | (self._ids.secret(1)[0] & 0x7F)
        body = number.to_bytes(6, "big") + self._ids.secret(2)
        return prefix + base64.b32encode(body + self._proof(prefix, body)).decode()

    def new_access_key(self, account: str) -> tuple[str, str]:
        """Id and secret of a new long-term key."""
        return self.new_key_id("AKIA", account), base64.b64encode(self._ids.secret(30)).decode()

    def root_key(self, account: str = ACCOUNT) -> tuple[str, str]:
        """Id and secret of the account's root: the first way in where `iam=enforce`. The same on every start."""
        number = (1 << 47) | (int(account) << 7)
        body = number.to_bytes(6, "big") + hmac.digest(self._master, f"root id {account}".encode(), "sha256")[:2]
        access_key_id = "AKIA" + base64.b32encode(body + self._proof("AKIA", body)).decode()
        return access_key_id, self._secret(access_key_id, b"root")

    def account_of(self, access_key_id: str) -> str | None:
        """The account that a key id carries, whoever issued it."""
        body = _key_bytes(access_key_id)
        return f"{(int.from_bytes(body[:6], 'big') >> 7) & ((1 << 40) - 1):012}" if body else None

    def _secret(self, access_key_id: str, nonce: bytes) -> str:
        digest = hmac.digest(self._master, b"secret " + access_key_id.encode() + nonce, "sha256")
        return base64.b64encode(digest[:30]).decode()

    def _proof(self, prefix: str, body: bytes) -> bytes:
        return hmac.digest(self._master, b"key id " + prefix.encode() + body, "sha256")[:2]

    def _issued_here(self, access_key_id: str) -> bool:
        body = _key_bytes(access_key_id)
        return bool(body) and hmac.compare_digest(self._proof(access_key_id[:4], body[:8]), body[8:])

    def _session(self, access_key_id: str, token: str) -> Principal | None:
        """The session behind a token, or None where it was not sealed here."""
        if not token or len(token) > TOKEN_CHARACTERS_MAX:
            return None
        principal = self._sessions.get((access_key_id, token))
        if principal is None:
            principal = self._unsealed(access_key_id, token)
            if principal is None:
                return None
            if len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[access_key_id, token] = principal
        if principal.expires_ms <= self._clock.wall_ms():
            raise ExpiredToken
        return principal

    def _unsealed(self, access_key_id: str, token: str) -> Principal | None:
        try:
            sealed = base64.b64decode(token, validate=True)
            text = self._seal.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], b"")
        except (ValueError, InvalidTag):
            return None
        payload = msgspec.msgpack.decode(text, type=_Payload)
        if payload.key != access_key_id:
            raise InvalidToken
        context = {f"aws:PrincipalTag/{name}": value for name, value in payload.tags.items()}
        return Principal(
            account=payload.account,
            kind=payload.kind,  # type: ignore[arg-type]
            arn=payload.arn,
            user_id=payload.user_id,
            secret=self._secret(payload.key, payload.nonce),
            role_arn=payload.role_arn,
            session_policies=tuple(payload.policies),
            context=context | {"aws:TokenIssueTime": timestamp_of(payload.issued_ms)},
            expires_ms=payload.expires_ms,
            # Credentials that were issued before their sandbox had a name are bound by their own id.
            instance=payload.instance or payload.key,
            temporary=True,
        )

    async def _long_term(self, access_key_id: str) -> Principal | None:
        key = await self._keys.access_key(access_key_id) if self._keys else None
        if key is not None and key.active:
            return Principal(account=key.account, kind="user", arn=key.user_arn, user_id=key.user_id, secret=key.secret)
        account = self.account_of(access_key_id)
        if key is None and account is not None:
            root_id, secret = self.root_key(account)
            if root_id == access_key_id:
                return _administrator(account, secret)
        return None

    def _stranger(self, access_key_id: str) -> Principal:
        """A key that was not issued here: refused, or the administrator of its account."""
        if self._iam == "enforce":
            raise UnknownKey
        if self._iam == "audit":
            log.warning("iam audit: admitted unknown access key %s", access_key_id)
        account = access_key_id if len(access_key_id) == 12 and access_key_id.isdigit() else ACCOUNT
        return _administrator(account, None)


def _administrator(account: str, secret: str | None) -> Principal:
    return Principal(
        account=account, kind="administrator", arn=f"arn:aws:iam::{account}:root", user_id=account, secret=secret
    )


def _key_bytes(access_key_id: str) -> bytes:
    """The ten bytes behind a key id of twenty characters, or nothing."""
    if len(access_key_id) != 20:
        return b""
    try:
        return base64.b32decode(access_key_id[4:])
    except ValueError:
        return b""


def _keep_secret(tx: Transaction, name: str, fresh: bytes) -> bytes:
    """The secret of that name; `fresh` becomes it where there is none."""
    tx.run(
        "insert into identity_secret (name, value) values (:name, :value) on conflict (name) do nothing",
        name=name,
        value=fresh,
    )
    row: dict[str, Any] | None = tx.one("select value from identity_secret where name = :name", name=name)
    assert row is not None
    return bytes(row["value"])
