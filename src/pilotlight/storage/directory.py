"""The data directory: one process at a time, made private, and stamped."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path


class DirectoryInUse(Exception):
    """Another process has the directory open; the message says which."""


class DataDirectory:
    """Holds the lock for as long as the process lives: the kernel lets go of it even after `kill -9`."""

    def __init__(self, path: Path, *, ephemeral: bool) -> None:
        self._ephemeral = ephemeral
        self.path = Path(tempfile.mkdtemp(prefix="pilotlight-")) if ephemeral else path.expanduser().resolve()
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise DirectoryInUse(
                f"{self.path} is in use by process {holder or 'unknown'}. Stop it, or give another --data."
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        os.close(self._lock)
        if self._ephemeral:
            shutil.rmtree(self.path, ignore_errors=True)
