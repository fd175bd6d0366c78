"""Layers of other accounts that samples name, made here: Klayers, by the package index.

Klayers publishes one Python package a layer: `arn:aws:lambda:REGION:770693421928:layer:Klayers-p312-Pillow:1`.
Nobody can download a layer without AWS, but what is in it is a public package: it is installed for the
interpreter that will run the function, and kept. Its newest version is taken, whatever the layer's number.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from pilotlight.ids import Ids
from pilotlight.services.awslambda import surroundings

log = logging.getLogger(__name__)

KLAYERS = re.compile(r"^arn:aws:lambda:[a-z0-9-]+:770693421928:layer:Klayers-p3(\d+)-([A-Za-z0-9._-]+):(\d+)$")
INSTALL_SECONDS_MAX = 300
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class LayerUnavailable(surroundings.LayerUnavailable):
    """The layer cannot be made; the message says why, and how to provide it."""


class KlayersSource:
    """Makes Klayers' layers, and keeps them in a directory.

    `minor_of` tells which minor version of Python 3 will serve a runtime on this host.
    """

    def __init__(self, directory: Path, ids: Ids, minor_of: Callable[[str], int], machine: str) -> None:
        self._directory = directory
        self._ids = ids
        self._minor_of = minor_of
        self._machine = machine
        self._building: dict[Path, asyncio.Lock] = {}

    async def fetch(self, arn: str, runtime: str) -> bytes | None:
        """The layer's zip, or None where this is no Klayers ARN. Raises LayerUnavailable."""
        match = KLAYERS.match(arn)
        if match is None:
            return None
        minor = self._minor_of(runtime) if runtime.startswith("python3.") else int(match[1])
        kept = self._directory / f"klayers-p3{minor}-{match[2]}.zip"
        lock = self._building.setdefault(kept, asyncio.Lock())
        async with lock:
            if not kept.exists():
                await self._build(match[2], minor, kept)
        return await asyncio.to_thread(kept.read_bytes)

    async def _build(self, package: str, minor: int, kept: Path) -> None:
        folder = self._directory / f"building-{self._ids.hex(12)}"
        target = folder / "python"
        await asyncio.to_thread(target.mkdir, parents=True)
        log.info("installing %s for Python 3.%d as a layer", package, minor)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--target", str(target), "--only-binary=:all:", "--implementation=cp"]
        command += [f"--python-version=3.{minor}", *(f"--platform={one}_{self._machine}" for one in PLATFORMS)]
        try:
            process = await asyncio.create_subprocess_exec(
                *command, package, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            try:
                async with asyncio.timeout(INSTALL_SECONDS_MAX):
                    output, _ = await process.communicate()
            except TimeoutError:
                process.kill()
                await process.wait()
                output = b"the package index did not answer in time"
            if process.returncode:
                reason = output.decode(errors="replace").strip().splitlines()[-1:] or ["pip failed"]
                raise LayerUnavailable(
                    f"{package} could not be installed from the package index as a layer: {reason[0]}. "
                    "Publish a layer of your own with `aws lambda publish-layer-version`, and name its ARN."
                )
            await asyncio.to_thread(_pack, folder, kept)
        finally:
            await asyncio.to_thread(_remove, folder)


def _pack(folder: Path, kept: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (0o100755 if path.stat().st_mode & 0o111 else 0o100644) << 16
                archive.writestr(entry, path.read_bytes())
    partial = kept.with_suffix(".partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(kept)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
