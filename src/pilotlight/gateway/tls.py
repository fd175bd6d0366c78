"""A certificate of our own, made when the first https client comes.

Clients that verify need `ca.pem` from the data directory's `tls` folder; SDKs that do not are served, too.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

NAMES = ("localhost", "*.localhost", "localhost.localstack.cloud", "*.localhost.localstack.cloud")
DAYS_VALID = 820


def server_context(folder: Path, now: datetime.datetime) -> ssl.SSLContext:
    """A context with the certificate in `folder`, which is made where it is missing."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    if not certificate.exists() or not key.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_certificate(certificate, key, now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def make_certificate(certificate: Path, key: Path, now: datetime.datetime) -> None:
    # Imported here: it costs 60 ms, and most clouds never see an https client.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pilotlight")])
    alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in NAMES]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS_VALID))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
