"""Which route of an HTTP API answers."""

from __future__ import annotations

import pytest

from pilotlight.services.apigatewayv2.routing import RouteTable, is_route_key

ROUTES = [
    "GET /pets/dog/1",
    "GET /pets/dog/{id}",
    "GET /pets/{proxy+}",
    "ANY /pets/{proxy+}",
    "ANY /{proxy+}",
    "POST /pets",
    "$default",
]


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/dog/a%2Fb", "GET /pets/dog/{id}", {"id": "a/b"}),
        ("GET", "/pets/cat/3", "GET /pets/{proxy+}", {"proxy": "cat/3"}),
        ("POST", "/pets/cat/3", "ANY /pets/{proxy+}", {"proxy": "cat/3"}),
        ("POST", "/pets", "POST /pets", {}),
        ("POST", "/pets/", "POST /pets", {}),
        ("PUT", "/other/x", "ANY /{proxy+}", {"proxy": "other/x"}),
        ("GET", "/", "$default", {}),
    ],
)
def test_the_most_specific_route_answers(method: str, path: str, route: str, parameters: dict[str, str]) -> None:
    match = RouteTable([(key, "target") for key in reversed(ROUTES)]).match(method, path)
    assert match is not None
    assert (match.key, match.path_parameters) == (route, parameters)


def test_without_a_default_nothing_answers_what_nothing_matches() -> None:
    assert RouteTable([("GET /a", "t")]).match("GET", "/b") is None
    assert RouteTable([("GET /a", "t")]).match("POST", "/a") is None
    assert RouteTable([("GET /a/{proxy+}", "t")]).match("GET", "/a") is None


@pytest.mark.parametrize("key", ["$default", "GET /", "ANY /a/{b}", "GET /a/{b+}", "PATCH /a-b_c.d/{e}/f"])
def test_a_route_key(key: str) -> None:
    assert is_route_key(key)


@pytest.mark.parametrize(
    "key", ["", "GET", "get /a", "GET a", "FETCH /a", "GET /a/{b+}/c", "GET /{a}/{a}", "GET /a/x{b}", "default"]
)
def test_no_route_key(key: str) -> None:
    assert not is_route_key(key)
