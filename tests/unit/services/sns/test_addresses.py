"""Who may have what posted to."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pilotlight.services.sns import addresses

CLOUD = addresses.Addresses(lambda: "http://127.0.0.1:4566", egress=True)
CLOSED = addresses.Addresses(lambda: "http://127.0.0.1:4566", egress=False)


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://a.example", "a.example", "/"),
        ("https://a.example:443/hook?x=1", "a.example", "/hook?x=1"),
        ("http://a.example:8080/a b", "a.example:8080", "/a%20b"),
        ("http://[::1]:80/", "[::1]", "/"),
        ("http://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC"),
        ("http://a.example/x\r\nHost: b", "a.example", "/xHost:%20b"),
    ],
)
def test_a_url_becomes_a_request_line_and_a_host(url: str, authority: str, target: str) -> None:
    read = addresses.read(url)
    assert (read.authority, read.target) == (authority, target)


@pytest.mark.parametrize(
    "url", ["", "http://", "http://[a", "http://a:99999/", "ftp://a/", "http://a b/", "http://u:p@a/"]
)
def test_what_is_no_url_of_a_web_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        addresses.read(url)


def named(monkeypatch: pytest.MonkeyPatch, *places: str) -> None:
    def found(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize(
    "places",
    [
        ["127.0.0.1"],
        ["127.9.9.9"],
        ["0.0.0.0"],
        ["10.0.0.1"],
        ["100.64.0.1"],
        ["169.254.169.254"],
        ["192.168.1.1"],
        ["224.0.1.1"],
        ["255.255.255.255"],
        ["93.184.216.34", "10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["2606:2800:220:1::1"],
        ["fe80::1%eth0"],
    ],
)
async def test_functions_do_not_borrow_the_hosts_place(monkeypatch: pytest.MonkeyPatch, places: list[str]) -> None:
    named(monkeypatch, *places)
    address = addresses.read("http://a.example/")
    assert await CLOUD.look_up(address, guest=False) == places
    with pytest.raises(addresses.Refused, match="public IPv4 addresses only"):
        await CLOUD.look_up(address, guest=True)


async def test_functions_reach_the_internet_as_they_do_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, "2606:2800:220:1::1", "93.184.216.34")
    found = await CLOUD.look_up(addresses.read("http://a.example/"), guest=True)
    assert found == ["93.184.216.34"]


@pytest.mark.parametrize("host", ["localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "a.example"])
@pytest.mark.parametrize("guest", [True, False])
async def test_the_cloud_itself_is_nobodys_endpoint(monkeypatch: pytest.MonkeyPatch, host: str, guest: bool) -> None:
    if host == "a.example":
        named(monkeypatch, "127.0.0.1")
    with pytest.raises(addresses.Refused, match="the cloud itself"):
        await CLOUD.look_up(addresses.read(f"http://{host}:4566/x"), guest=guest)


@pytest.mark.parametrize("guest", [True, False])
async def test_its_http_apis_are_everybodys(monkeypatch: pytest.MonkeyPatch, guest: bool) -> None:
    named(monkeypatch, "127.0.0.1")
    url = "http://abc.execute-api.localhost.localstack.cloud:4566"
    assert await CLOUD.look_up(addresses.read(f"{url}/x"), guest=guest) == ["127.0.0.1"]
    with pytest.raises(addresses.Refused, match="the cloud itself"):
        await CLOUD.look_up(addresses.read(f"{url}/_pilotlight/reset"), guest=guest)


async def test_without_egress_there_is_no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, "93.184.216.34")
    address = addresses.read("http://a.example/")
    assert await CLOSED.look_up(address, guest=False) == ["93.184.216.34"]
    with pytest.raises(addresses.Refused, match="--no-egress"):
        await CLOSED.look_up(address, guest=True)
