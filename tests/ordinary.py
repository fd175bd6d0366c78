"""Run a command as a user who is not root, where the tests are root's.

The interpreter and the project may lie in a home directory that others cannot enter. So the command runs in a mount
namespace of its own, in which those directories are open to be walked through, and nothing else of them is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

UID = 65_432
"""Nobody's."""
PROJECT = Path(__file__).parent.parent


def closed_above(path: Path) -> Path | None:
    """The topmost directory above `path` that a stranger cannot walk through."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & 0o001:
            return parent
    return None


def command(argv: Sequence[str], *, home: Path) -> list[str]:
    """`argv`, to be run by root, as somebody whose only directory is `home`."""
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, UID, UID)
    needed = {Path(sys.prefix), Path(sys.base_prefix), PROJECT}
    steps = [
        "set -e",
        "mount --make-rprivate /",
        # Most hosts let everyone open it; where this one does not, here it does.
        f"rm -f {home}/tun; mknod -m 666 {home}/tun c 10 200; mount --bind {home}/tun /dev/net/tun || true",
    ]
    for number, path in enumerate(sorted(needed)):
        closed = closed_above(path)
        if closed is not None:
            steps += [
                f"mkdir -p {home}/.kept/{number}",
                f"mount --bind {path} {home}/.kept/{number}",
            ]
    for closed in sorted({found for path in needed if (found := closed_above(path)) is not None}):
        steps.append(f"mount -t tmpfs -o mode=755,size=64k none {closed}")
    for number, path in enumerate(sorted(needed)):
        if closed_above(path) is not None:
            steps += [f"mkdir -p {path}", f"mount --move {home}/.kept/{number} {path}"]
    steps.append(f'cd {PROJECT}; exec setpriv --reuid={UID} --regid={UID} --clear-groups -- "$@"')
    return ["unshare", "--mount", "sh", "-c", "; ".join(steps), "sh", *argv]


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(argv: Sequence[str], *, home: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(argv, home=home),
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
