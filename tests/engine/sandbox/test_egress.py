"""The way to the internet, against a listener in a network namespace of the test's own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from pilotlight.engine.sandbox import firewall, linux, network
from pilotlight.engine.sandbox.factory import NamespaceFactory
from pilotlight.engine.sandbox.netlink import NETLINK_ROUTE, Netlink
from pilotlight.ids import Ids
from pilotlight.settings import Settings
from tests.engine.sandbox.conftest import needs_root
from tests.engine.sandbox.inside import run, spec_for

INTERNET = "203.0.113.1"
ASK = (
    "import socket\n"
    f"try:\n    s = socket.create_connection(('{INTERNET}', 80), 3); print(s.recv(99).decode())\n"
    "except OSError as e: print(e.strerror or e)"
)


def _be_the_internet(ready: Connection) -> None:
    """Answer on a public address of a network namespace of one's own, telling each caller its address."""
    outside = Netlink(NETLINK_ROUTE)
    linux.unshare(linux.CLONE_NEWNET)
    network.raise_loopback()
    network.connect(network.Link("plinternet", "203.0.113.0", INTERNET), outside)
    server = socket.create_server((INTERNET, 80))
    ready.send(True)
    while True:
        connection, (address, _port) = server.accept()
        connection.sendall(address.encode())
        connection.close()


@pytest.fixture
def internet() -> Iterator[None]:
    if not firewall.uplinks():
        pytest.skip("this host has no default route")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_be_the_internet, args=(theirs,), daemon=True)
    process.start()
    assert ours.poll(10)
    yield
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    with contextlib.suppress(OSError):  # the kernel may have been faster
        network.remove("plinternet")


pytestmark = [pytest.mark.linux, pytest.mark.slow, needs_root]


async def test_the_internet_is_reached_by_the_hosts_address(internet, factory, sandbox):
    assert factory.describe()["egress"].startswith("internet")
    assert (await run(sandbox, ASK)).output == "203.0.113.0\n"


async def test_without_egress_there_is_no_way_out(internet, factory, tmp_path):
    closed = await factory.take(spec_for(tmp_path / "code", egress=False))
    assert (await run(closed, ASK)).output == "Network is unreachable\n"


async def test_egress_can_be_switched_off_for_all(internet, tmp_path):
    closed = NamespaceFactory(tmp_path / "sandboxes", Settings(egress=False), Ids(), pool_size=1)
    await closed.start()
    try:
        assert closed.describe()["egress"] == "none: switched off by a setting"
        box = await closed.take(spec_for(tmp_path / "code"))
        assert (await run(box, ASK)).output == "Network is unreachable\n"
    finally:
        await closed.close()


async def test_the_interface_is_seen_by_programs(factory, sandbox):
    if not factory.ground.has_egress:
        pytest.skip(factory.describe()["egress"])
    assert (await run(sandbox, "import socket; print(socket.if_nameindex())")).output == "[(1, 'lo'), (2, 'eth0')]\n"


def test_resolvers_on_loopback_are_replaced_by_those_behind_systemds(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.53\n")
    assert firewall.resolvers(tmp_path) == ()
    (tmp_path / "run/systemd/resolve").mkdir(parents=True)
    (tmp_path / "run/systemd/resolve/resolv.conf").write_text("# x\nnameserver 10.0.0.2\nnameserver fe80::1\n")
    assert firewall.resolvers(tmp_path) == ("10.0.0.2",)


def test_uplinks_are_the_interfaces_with_a_default_route(tmp_path):
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert firewall.uplinks(tmp_path) == ("eth0",)
