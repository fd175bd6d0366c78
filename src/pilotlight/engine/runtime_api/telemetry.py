"""The Telemetry API and the Logs API of one instance: who has subscribed, and what has happened.

Costs nothing while nobody has. What happened before the first subscription is kept for it, up to a number, since
extensions subscribe while the instance is starting and are to hear of that start.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from pilotlight.engine.runtime_api import answers
from pilotlight.engine.runtime_api.answers import Refused, forbidden
from pilotlight.engine.runtime_api.delivery import Delivery, Dropped
from pilotlight.engine.runtime_api.extensions import REQUEST_BYTES_MAX, Extensions
from pilotlight.engine.runtime_api.http import Exchange
from pilotlight.engine.runtime_api.records import Happened, render
from pilotlight.engine.runtime_api.subscription import Invalid, parse

EARLY_MAX = 1000


class Telemetry:
    def __init__(
        self,
        *,
        extensions: Extensions,
        connect: Callable[[], Awaitable[socket.socket]],
        later: Callable[[Coroutine[Any, Any, None]], None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._extensions = extensions
        self._connect = connect
        self._later = later
        self._wall_ms = wall_ms
        self._deliveries: dict[tuple[str, bool], Delivery] = {}
        self._early: list[Happened] = []
        self._open = True

    @property
    def wanted(self) -> bool:
        """Whether what happens is to be told here."""
        return bool(self._deliveries) or self._open

    def tell(self, kind: str, record: Any) -> None:
        happened = Happened(self._wall_ms(), kind, record)
        if self._open and len(self._early) < EARLY_MAX:
            self._early.append(happened)
        for delivery in self._deliveries.values():
            self._add(delivery, happened)

    def flush(self) -> None:
        for delivery in self._deliveries.values():
            delivery.flush()

    def close_subscription(self) -> None:
        self._open = False
        self._early.clear()

    def close(self) -> None:
        for delivery in self._deliveries.values():
            delivery.close()
        self.close_subscription()
        self._deliveries.clear()

    def begun(self, exchange: Exchange, *, logs: bool) -> None:
        if exchange.method != "PUT":
            answers.not_allowed(exchange)
            return
        exchange.bytes_max = REQUEST_BYTES_MAX
        exchange.on_complete = partial(self._subscribe, exchange, logs)

    def _subscribe(self, exchange: Exchange, logs: bool) -> None:
        api = "Logs" if logs else "Telemetry"
        try:
            if exchange.too_large:
                raise answers.too_large(exchange.bytes_max)
            name = self._extensions.find(exchange).name
            if not self._open:
                raise forbidden(f"{api}.SubscriptionClosed", f"{api} API subscription is closed")
            subscription = parse(bytes(exchange.body), name, logs=logs)
        except Refused as error:
            answers.refused(exchange, error)
            return
        except Invalid as error:
            answers.refused(exchange, Refused(400, "ValidationError", str(error)))
            return
        earlier = self._deliveries.get((name, logs))
        if earlier is not None:  # AWS: subscribing again replaces the subscription
            earlier.close()
        delivery = Delivery(
            subscription, self._connect, lambda dropped: render(_loss(self._wall_ms(), dropped), subscription)
        )
        self._deliveries[name, logs] = delivery
        self._later(delivery.run())
        for happened in self._early:
            self._add(delivery, happened)
        exchange.respond(200, b'"OK"', {"Content-Type": "application/json"})
        told = {"name": name, "state": "Subscribed", "types": list(subscription.types)}
        self.tell("platform.telemetrySubscription", told)

    def _add(self, delivery: Delivery, happened: Happened) -> None:
        event = render(happened, delivery.subscription)
        if event is not None:
            delivery.add(event)


def _loss(now_ms: int, dropped: Dropped) -> Happened:
    reason = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."
    record = {"reason": reason, "droppedRecords": dropped.records, "droppedBytes": dropped.size}
    return Happened(now_ms, "platform.logsDropped", record)
