"""Programs that are the function's own: bootstraps and extensions. That one cannot be executed is an answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from pilotlight.engine.contract import EntrypointInvalid
from pilotlight.engine.sandbox.contract import Launch, Sandbox


async def execute(
    sandbox: Sandbox, argv: Sequence[str], environment: Mapping[str, str], working_directory: str, output: int
) -> int:
    """Start a program of the function's own; its pid. Raises EntrypointInvalid, in the words that Lambda has for it."""
    async with _reported() as (told, report):
        try:
            pid = await sandbox.spawn(
                Launch(
                    argv=argv,
                    environment=environment,
                    working_directory=working_directory,
                    descriptors={1: output, 2: output},
                    report=report,
                )
            )
        except OSError as error:
            raise _invalid(argv[0], error.errno or 0) from None
        finally:
            os.close(report)
        if number := await told:
            raise _invalid(argv[0], int(number))
    return pid


@asynccontextmanager
async def _reported() -> AsyncIterator[tuple[asyncio.Future[bytes], int]]:
    """A pipe whose far end is closed by a program that is executed, and written to by one that cannot be. The far end
    is the caller's to close."""
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    told: asyncio.Future[bytes] = loop.create_future()

    def readable() -> None:
        loop.remove_reader(reading)
        if not told.done():
            told.set_result(os.read(reading, 16))

    loop.add_reader(reading, readable)
    try:
        yield told, writing
    finally:
        loop.remove_reader(reading)
        os.close(reading)


def _invalid(program: str, number: int) -> EntrypointInvalid:
    return EntrypointInvalid(f"fork/exec {program}: {os.strerror(number).lower()}")
