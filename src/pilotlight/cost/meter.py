"""Counts what is used. In memory for a second, then in rows; a kill loses at most that second of a bill nobody pays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from pilotlight.clock import Clock
from pilotlight.storage import Database, Transaction

FLUSH_SECONDS = 1.0
HOUR_MS = 3_600_000
S3_LISTS_AND_PUTS = ("Put", "Copy", "Create", "Complete", "Upload", "List", "Post")

Reserved = Iterable[tuple[str, str, float]]
"""Provisioned concurrency as it stands: (account, architecture, GB)."""


class Meter:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._pending: dict[tuple[str, str, str], float] = {}
        self._last_ms = clock.now_ms()
        self._hour, self._month = -1, ""

    def add(self, account: str, meter: str, quantity: float) -> None:
        hour = self._clock.now_ms() // HOUR_MS
        if hour != self._hour:
            self._hour, self._month = hour, f"{self._clock.now():%Y-%m}"
        key = (account, self._month, meter)
        self._pending[key] = self._pending.get(key, 0.0) + quantity

    def invocation(self, account: str, architecture: str, memory_mb: int, billed_ms: int, *, provisioned: bool) -> None:
        kind = f"lambda-provisioned-duration-{architecture}" if provisioned else f"lambda-{architecture}"
        self.add(account, "lambda-requests", 1)
        self.add(account, kind, billed_ms / 1000 * memory_mb / 1024)

    def s3_request(self, account: str, operation: str) -> None:
        # AWS: deletions are free.
        if not operation.startswith("Delete"):
            put = operation.startswith(S3_LISTS_AND_PUTS)
            self.add(account, "s3-put-requests" if put else "s3-get-requests", 1)

    def provisioned(self, reserved: Reserved) -> None:
        """Charge for the cloud time that has passed since this was last asked."""
        now_ms = self._clock.now_ms()
        seconds, self._last_ms = max(0, now_ms - self._last_ms) / 1000, now_ms
        for account, architecture, gigabytes in reserved:
            self.add(account, f"lambda-provisioned-{architecture}", gigabytes * seconds)

    async def run(self, reserved: Callable[[], Reserved]) -> None:
        """Write down every second, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.provisioned(reserved())
            await self.flush()

    async def flush(self) -> None:
        pending, self._pending = self._pending, {}
        if pending:
            await self._database.write(_save, pending)

    async def usage(self, account: str, month: str) -> dict[str, float]:
        await self.flush()
        return await self._database.read(_usage, account, month)


def _save(tx: Transaction, pending: dict[tuple[str, str, str], float]) -> None:
    for (account, month, meter), quantity in pending.items():
        tx.run(
            """insert into cost_usage (account, month, meter, quantity) values (:account, :month, :meter, :quantity)
               on conflict (account, month, meter) do update set quantity = cost_usage.quantity + excluded.quantity""",
            account=account,
            month=month,
            meter=meter,
            quantity=quantity,
        )


def _usage(tx: Transaction, account: str, month: str) -> dict[str, float]:
    rows = tx.all(
        "select meter, quantity from cost_usage where account = :account and month = :month",
        account=account,
        month=month,
    )
    return {row["meter"]: row["quantity"] for row in rows}
