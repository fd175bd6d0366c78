"""Host names to routes, and who is a stranger."""

from __future__ import annotations

import pytest

from pilotlight.gateway.browsers import Strangers
from pilotlight.gateway.hosts import HostRoute, read_host
from pilotlight.protocols.messages import Request


@pytest.mark.parametrize(
    ("host", "route"),
    [
        ("localhost:4566", HostRoute()),
        ("127.0.0.1:4566", HostRoute()),
        ("[::1]:4566", HostRoute()),
        ("localhost.localstack.cloud:4566", HostRoute()),
        ("s3.localhost.localstack.cloud:4566", HostRoute("s3")),
        ("my.bucket.s3.localhost.localstack.cloud", HostRoute("s3", "my.bucket")),
        ("bucket.s3.eu-west-1.amazonaws.com", HostRoute("s3", "bucket")),
        ("bucket.s3-eu-west-1.amazonaws.com", HostRoute("s3", "bucket")),
        ("abc.execute-api.us-east-1.amazonaws.com", HostRoute("execute-api", "abc")),
        ("abc.execute-api.localhost:4566", HostRoute("execute-api", "abc")),
        ("site.s3-website.localhost.localstack.cloud", HostRoute("s3-website", "site")),
        ("dynamodb.us-east-1.amazonaws.com", HostRoute("dynamodb")),
        ("evil.example", HostRoute(known=False)),
        ("evil.example:4566", HostRoute(known=False)),
        ("notlocalhost", HostRoute(known=False)),
        ("evil-amazonaws.com", HostRoute(known=False)),
    ],
)
def test_a_host_names_its_service(host: str, route: HostRoute) -> None:
    assert read_host(host) == route


def test_a_name_that_the_operator_added_is_known_with_its_prefixes() -> None:
    ours = frozenset({"cloud.internal"})
    assert read_host("cloud.internal", ours) == HostRoute()
    assert read_host("b.s3.cloud.internal:4566", ours) == HostRoute("s3", "b")


def request(**headers: str) -> Request:
    return Request(method="POST", path="/", query="", headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_a_web_page_is_refused_unless_its_origin_is_allowed() -> None:
    strangers = Strangers("https://console.example")
    assert strangers.refusal(request(origin="https://evil.example"), host_known=True)
    assert strangers.refusal(request(origin="null"), host_known=True)
    assert strangers.refusal(request(sec_fetch_site="cross-site"), host_known=True)
    assert not strangers.refusal(request(origin="https://console.example"), host_known=True)
    assert not strangers.refusal(request(), host_known=True)


def test_an_unknown_host_is_refused_with_the_setting_that_admits_it() -> None:
    refusal = Strangers("").refusal(request(host="evil.example"), host_known=False)
    assert refusal
    assert "PILOTLIGHT_HOSTS" in refusal.message
