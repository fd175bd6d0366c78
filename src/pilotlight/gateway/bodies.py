"""Bodies that are read whole before anybody knows who sends them, and how much of that one instance may have in memory.

A signature covers the body, so the body comes first. People's requests have a limit each; those of a function, which is
a stranger's, have one together.
"""

from __future__ import annotations

from types import TracebackType

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request

BODY_BYTES_MAX = 128 * 1024 * 1024
INSTANCE_BYTES_MAX = 160 * 1024 * 1024
"""One of the largest, and what else an SDK has under way."""


class Bodies:
    def __init__(self, instance_bytes_max: int = INSTANCE_BYTES_MAX) -> None:
        self._most = instance_bytes_max
        self._held: dict[str, int] = {}
        """By instance; only while there is something."""

    def hold(self, instance: str) -> Held:
        """For one request: what it takes is given back at the end of the `with` block."""
        return Held(self, instance)

    def add(self, instance: str, size: int) -> bool:
        """False where that would be too much."""
        held = self._held.get(instance, 0) + size
        if instance and held > self._most:
            return False
        self._held[instance] = held
        return True

    def give_back(self, instance: str, size: int) -> None:
        left = self._held.get(instance, 0) - size
        if left > 0:
            self._held[instance] = left
        else:
            self._held.pop(instance, None)


class Held:
    """One request's share."""

    def __init__(self, bodies: Bodies, instance: str) -> None:
        self._bodies = bodies
        self._instance = instance
        self._size = 0

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bodies.give_back(self._instance, self._size)

    async def take(self, request: Request) -> None:
        """Read the body whole. Raises AwsError."""
        if request.stream is None:
            return
        said = request.headers.get("content-length", "")
        if said.isdecimal() and len(said) < 20 and int(said) > BODY_BYTES_MAX:
            raise _too_large()
        chunks = []
        async for chunk in request.stream:
            if not self._bodies.add(self._instance, len(chunk)):
                raise AwsError("ServiceUnavailable", "Too much is being sent from one function instance.", status=503)
            self._size += len(chunk)
            if self._size > BODY_BYTES_MAX:
                raise _too_large()
            chunks.append(chunk)
        request.body, request.stream = b"".join(chunks), None


def _too_large() -> AwsError:
    return AwsError("RequestEntityTooLargeException", "The request is larger than any operation takes", status=413)
