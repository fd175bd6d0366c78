"""The key that messages are signed with, made when the first one is, and its certificate."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pilotlight.clock import Clock
from pilotlight.storage import Database, node_values

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

NAME = "sns_signing_key"
PATH = "/_pilotlight/sns/SimpleNotificationService.pem"


class Signer:
    def __init__(self, database: Database, clock: Clock, endpoint: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._endpoint = endpoint
        self._key: RSAPrivateKey | None = None
        self._certificate = b""
        self._lock = asyncio.Lock()

    @property
    def certificate_url(self) -> str:
        return self._endpoint() + PATH

    async def certificate(self) -> bytes:
        await self.prepare()
        return self._certificate

    async def prepare(self) -> None:
        from cryptography.hazmat.primitives import serialization

        async with self._lock:
            if self._key is not None:
                return
            text = await self._database.read(node_values.get, NAME)
            if text is None:
                fresh = await asyncio.to_thread(_make, self._clock.wall_date())
                text = await self._database.write(node_values.get_or_put, NAME, json.dumps(fresh))
            kept = json.loads(text)
            key: Any = serialization.load_pem_private_key(kept["key"].encode(), None)
            self._certificate, self._key = kept["certificate"].encode(), key

    def sign(self, text: str, version: str) -> str:
        """AWS: version 1 is SHA-1, version 2 is SHA-256."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        assert self._key is not None
        digest = hashes.SHA256() if version == "2" else hashes.SHA1()
        return base64.b64encode(self._key.sign(text.encode(), padding.PKCS1v15(), digest)).decode()


def _make(now: datetime.datetime) -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    private = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"key": secret.decode(), "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode()}
