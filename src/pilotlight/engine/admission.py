"""How many invocations may run: counted by group, refused with Lambda's reasons."""

from __future__ import annotations

from pilotlight.engine.contract import Limits, Throttled


class Admission:
    def __init__(self) -> None:
        self._running: dict[str, int] = {}

    def running(self, group: str) -> int:
        return self._running.get(group, 0)

    def enter(self, limits: Limits | None) -> None:
        """Raises Throttled. Every `enter` that returns is followed by one `leave`."""
        if limits is None:
            return
        running = self._running.get(limits.group, 0)
        if running >= limits.concurrent:
            raise Throttled(limits.reason)
        self._running[limits.group] = running + 1

    def leave(self, limits: Limits | None) -> None:
        if limits is None:
            return
        running = self._running[limits.group] - 1
        if running:
            self._running[limits.group] = running
        else:
            del self._running[limits.group]
