"""A client that costs little: signed requests over keep-alive connections, and what they took."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

KEY, SECRET, REGION = "test", "test", "us-east-1"
REQUEST_SECONDS = 5.0
Make = Callable[[int], bytes]


class Signer:
    """SigV4 by a cached key."""

    def __init__(self, endpoint: str) -> None:
        self.host = urlsplit(endpoint).netloc
        self._keys: dict[tuple[str, str], bytes] = {}

    def _key(self, day: str, service: str) -> bytes:
        if (day, service) not in self._keys:
            key = f"AWS4{SECRET}".encode()
            for part in (day, REGION, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._keys[day, service] = key
        return self._keys[day, service]

    def request(self, service: str, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        signed = {name.replace("_", "-"): value for name, value in headers.items()}
        signed |= {"host": self.host, "x-amz-date": now}
        if service == "s3":
            signed["x-amz-content-sha256"] = digest
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
        scope = f"{now[:8]}/{REGION}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self._key(now[:8], service), text.encode(), "sha256").hexdigest()
        head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        credential = f"Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        return (
            f"{method} {path} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n"
            f"authorization: AWS4-HMAC-SHA256 {credential}\r\n\r\n"
        ).encode() + body


@dataclass(frozen=True, slots=True)
class Result:
    """Requests a second, and percentiles in milliseconds."""

    count: int
    rate: float
    p50: float
    p99: float
    failures: int


async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> tuple[int, bool]:
    """Send, and read the answer: its status, and whether the server hangs up after it."""
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    start = lower.find(b"content-length:")
    if start >= 0:
        size = int(lower[start + 15 : lower.index(b"\r\n", start)])
        await reader.readexactly(size)
    return int(head[9:12]), b"connection: close" in lower


async def load(endpoint: str, make: Make, *, callers: int, seconds: float, most: int = 1_000_000) -> Result:
    parts = urlsplit(endpoint)
    took: list[float] = []
    failures, number = 0, 0
    until = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal failures, number
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
        while time.perf_counter() < until and number < most:
            number += 1
            raw = make(number)
            begun = time.perf_counter()
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    status, closes = await one(reader, writer, raw)
                failures += status >= 300
                if closes:
                    writer.close()
                    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
            except (TimeoutError, OSError, asyncio.IncompleteReadError):
                # A peer that hangs up after each answer, or never answers, is measured as it is.
                failures += 1
                writer.close()
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
            took.append(time.perf_counter() - begun)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(callers)))
    elapsed = time.perf_counter() - begun
    took.sort()
    return Result(
        count=len(took),
        rate=len(took) / elapsed,
        p50=took[len(took) // 2] * 1000,
        p99=took[min(len(took) - 1, int(len(took) * 0.99))] * 1000,
        failures=failures,
    )
