"""The article's account `123`."""

from __future__ import annotations

from pilotlight.gateway.placeholders import Placeholder
from pilotlight.protocols.messages import Request

FOUND = "arn:aws:lambda:us-east-1:000000000000:function:f"


def request(body: bytes = b"", path: str = "/") -> Request:
    return Request(method="POST", path=path, query="", headers={}, body=body)


def test_arns_of_the_placeholder_become_the_callers() -> None:
    given = {
        "a": ["arn:aws:lambda:us-east-1:123:function:f"],
        "b": '{"Resource": "arn:aws:lambda:us-east-1:123:function:f"}',
    }
    rewritten = Placeholder("123").rewrite(given, "000000000000")
    assert rewritten == {"a": [FOUND], "b": f'{{"Resource": "{FOUND}"}}'}


def test_everything_else_stays() -> None:
    for text in ("arn:aws:lambda:us-east-1:1234:function:f", "x:123:y", "123", b":123:"):
        assert Placeholder("123").rewrite(text, "000000000000") == text


def test_only_requests_that_name_it_are_looked_at() -> None:
    placeholder = Placeholder("123")
    assert placeholder.named_in(request(b'"arn:aws:sqs:us-east-1:123:q"'))
    assert placeholder.named_in(request(path="/arn%3Aaws%3Alambda%3Aus-east-1%3A123%3Afunction%3Af"))
    assert not placeholder.named_in(request(b"{}"))
    assert not Placeholder("").named_in(request(b":123:"))
