"""The node's own pages: what an operator asks of it, and tells it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pilotlight import __version__
from pilotlight.background import travel
from pilotlight.cost import report as cost
from pilotlight.cost.prices import NOT_METERED
from pilotlight.errors import AwsError
from pilotlight.gateway.local import Pages
from pilotlight.services.iam import store as iam_rows
from pilotlight.services.s3.service import collect_orphans
from pilotlight.services.sns import store as topic_rows
from pilotlight.settings import ACCOUNT
from pilotlight.storage import Transaction, node_values
from pilotlight.storage.reset import forget_everything

if TYPE_CHECKING:
    from pilotlight.app import Node

MAILS_SHOWN = 1000
ADVANCE_SECONDS_MAX = 100 * 366 * 86_400


class Administration:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._moving = asyncio.Lock()

    def pages(self) -> Pages:
        return Pages(
            health=self._health,
            status=self._status,
            clock=self._clock_page,
            reset=self._reset,
            init=self._init_page,
            costs=self._costs,
            mailbox=self._mailbox,
        )

    async def _health(self, _: Mapping[str, Any]) -> dict[str, Any]:
        services = dict.fromkeys(sorted(self._node.registry.entries), "running")
        isolation = self._node.settings.isolation
        return {"status": "ready", "version": __version__, "isolation": isolation, "services": services}

    async def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "version": __version__,
            "data": str(self._node.directory.path),
            "services": sorted(self._node.registry.entries),
            "isolation": self._node.factory.describe(),
            "runtimes": await asyncio.to_thread(self._node.languages.found),
            "instances": self._node.agent.describe(),
            "warnings": [*self._node.warnings, *self._node.languages.warnings()],
        }

    async def _mailbox(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """The mail and text messages that topics sent."""
        return {"messages": await self._node.database.read(topic_rows.mails, MAILS_SHOWN)}

    async def _costs(self, _: Mapping[str, Any]) -> dict[str, Any]:
        month = f"{self._node.clock.now():%Y-%m}"
        self._node.meter.provisioned(self._node.agent.reserved())
        found = cost.lines(await self._node.meter.usage(ACCOUNT, month))
        return {
            "month": month,
            "lines": [asdict(line) for line in found],
            "dollars": cost.total(found),
            "not_metered": NOT_METERED,
        }

    async def _init_page(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """As LocalStack tells of its init scripts."""
        completed = {"BOOT": True, "START": True, "READY": True, "SHUTDOWN": False}
        return {"completed": completed, "scripts": self._node.ready_scripts}

    async def _clock_page(self, body: Mapping[str, Any]) -> dict[str, Any]:
        match body.get("action"):
            case None:
                pass
            case "freeze":
                self._node.clock.freeze()
            case "resume":
                self._node.clock.resume()
            case "advance":
                seconds = float(body["seconds"])
                if not 0 <= seconds <= ADVANCE_SECONDS_MAX:
                    raise AwsError("InvalidParameter", "seconds must be between 0 and a hundred years")
                async with self._moving:
                    await travel(
                        self._node.clock, self._node.reconcilers, self._node.clock.now_ms() + int(seconds * 1000)
                    )
            case other:
                raise AwsError("InvalidParameter", f"{other!r} is no action: freeze, advance or resume")
        if body.get("action"):
            await self._node.database.write(
                node_values.put, node_values.CLOCK, json.dumps(asdict(self._node.clock.state))
            )
        return {
            "cloud_time": self._node.clock.now().isoformat(timespec="milliseconds"),
            "cloud_ms": self._node.clock.now_ms(),
            "frozen": self._node.clock.frozen,
            "ahead_seconds": (self._node.clock.now_ms() - self._node.clock.wall_ms()) / 1000,
        }

    async def _reset(self, _: Mapping[str, Any]) -> dict[str, Any]:
        async with self._moving:
            await self._node.database.write(_forget)
            await self._node.log_database.write(forget_everything)
            self._node.lambda_parts.resolver.forget()
            self._node.clock.reset()
            await self._node.database.write(
                node_values.put, node_values.CLOCK, json.dumps(asdict(self._node.clock.state))
            )
            for reconciler in self._node.reconcilers:
                await reconciler.settle()
            await collect_orphans(self._node.database, self._node.blobs)
            await self._node.images.shared.content.collect()
        return {"status": "reset"}


def _forget(tx: Transaction) -> None:
    forget_everything(tx)
    iam_rows.touch_all(tx)
