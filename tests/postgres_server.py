"""A PostgreSQL server of the tests' own: on loopback, in a directory that goes with the session."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

USER = "nobody"


def find_binaries() -> Path | None:
    """The newest `bin` directory that has `initdb`: Debian keeps it off PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path))
    return candidates[0].parent if candidates else None


def _as_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return (
        ["setpriv", "--reuid", USER, "--regid", "nogroup", "--clear-groups", *command] if os.getuid() == 0 else command
    )


@contextlib.contextmanager
def postgres_server(binaries: Path, directory: Path) -> Iterator[str]:
    """Yields a connection string without a database name: append one."""
    directory.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        shutil.chown(directory, USER)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = directory / "data"
    initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "pilotlight", "-A", "trust", "-E", "UTF8"]
    subprocess.run(_as_user([*initdb, "--locale=C", "--no-sync"]), check=True, capture_output=True, cwd="/")
    settings = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={directory}"]
    settings += ["-c", "fsync=off", "-c", "max_connections=200"]
    control = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(directory / "log")]
    subprocess.run(
        _as_user([*control, "-o", " ".join(settings), "start"]), check=True, stdout=subprocess.DEVNULL, cwd="/"
    )
    try:
        yield f"postgresql://pilotlight@127.0.0.1:{port}/"
    finally:
        subprocess.run(_as_user([*control, "-m", "immediate", "stop"]), check=False, stdout=subprocess.DEVNULL, cwd="/")
