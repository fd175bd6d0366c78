"""Attacks on the kernel from a static binary, which no library holds back: one name, one attempt; as root and not.

Refused means that the kernel said so. `EINVAL` or `EFAULT` would mean that the call was taken up, and is a breach.
"""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from pilotlight.engine.sandbox.factory import NamespaceFactory
from pilotlight.engine.sandbox.namespaced import NamespaceSandbox
from pilotlight.ids import Ids
from pilotlight.settings import Settings
from tests.engine.sandbox.conftest import needs_linux
from tests.engine.sandbox.inside import Result, command, spec_for

SOURCE = Path(__file__).parent / "attacks" / "attack.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")
ATTACKS = re.findall(r'^    ATTACK\("([a-z0-9_]+)"', SOURCE.read_text(), re.MULTILINE)
REFUSALS = {
    *(errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.ENOENT, errno.ESRCH),
    *(errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EXDEV, errno.ENXIO, errno.ENODEV),
}
KILLED = {"int80"}
"""Calls of another architecture end the process: SIGSYS."""
NOTHING_TO_GAIN = {"new_privileges", "filter_removed", "root_by_setuid"}
"""EINVAL is the refusal: the call only goes the other way, or the id does not exist in this user namespace."""
pytestmark = [
    pytest.mark.linux,
    pytest.mark.slow,
    needs_linux,
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NamespaceSandbox]:
    folder = tmp_path_factory.mktemp("attacks")
    code = folder / "code"
    spec = spec_for(code)
    subprocess.run([str(COMPILER), "-O1", "-static", "-o", str(code / "attack"), str(SOURCE)], check=True)
    (code / "attack").chmod(0o755)
    factory = NamespaceFactory(folder / "sandboxes", Settings(), Ids(), pool_size=1)
    await factory.start()
    try:
        yield await factory.take(spec)
    finally:
        await factory.close()


async def attack(box: NamespaceSandbox, name: str) -> Result:
    return await command(box, ["/var/task/attack", name])


@pytest.mark.parametrize("name", ATTACKS)
async def test_the_kernel_refuses(box: NamespaceSandbox, name: str) -> None:
    result = await attack(box, name)
    if name in KILLED and result.status == -31:
        return
    found = re.fullmatch(rf"{name} refused (\d+)\n", result.output)
    assert found, result
    refusals = REFUSALS | {errno.EINVAL} if name in NOTHING_TO_GAIN else REFUSALS
    assert int(found[1]) in refusals, errno.errorcode.get(int(found[1]))


async def test_the_sandbox_still_works_after_all_of_them(box: NamespaceSandbox) -> None:
    result = await command(box, ["/bin/sh", "-c", "echo fine > /tmp/x && cat /tmp/x"])
    assert result.output == "fine\n"
