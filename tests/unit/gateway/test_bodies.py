"""Bodies that are read whole: what one request may bring, and what one instance may have in memory."""

from __future__ import annotations

import pytest

from pilotlight.errors import AwsError
from pilotlight.gateway import bodies
from pilotlight.gateway.bodies import Bodies
from pilotlight.protocols.messages import Bytes, Request


def request(body: bytes, **headers: str) -> Request:
    return Request(method="POST", path="/", query="", headers=headers, stream=Bytes(body))


async def test_a_body_is_whole_and_its_room_is_given_back() -> None:
    kept = Bodies(10)
    for _ in range(3):
        with kept.hold("i") as held:
            sent = request(b"x" * 8)
            await held.take(sent)
            assert (sent.body, sent.stream) == (b"x" * 8, None)


async def test_requests_of_one_instance_share_their_room() -> None:
    kept = Bodies(10)
    with kept.hold("i") as first, kept.hold("i") as second, kept.hold("other") as stranger:
        await first.take(request(b"x" * 8))
        with pytest.raises(AwsError) as refused:
            await second.take(request(b"x" * 8))
        assert (refused.value.code, refused.value.status) == ("ServiceUnavailable", 503)
        await stranger.take(request(b"x" * 8))
    with kept.hold("i") as after:
        await after.take(request(b"x" * 8))


async def test_people_share_nothing() -> None:
    kept = Bodies(10)
    with kept.hold("") as first, kept.hold("") as second:
        await first.take(request(b"x" * 8))
        await second.take(request(b"x" * 8))


async def test_what_says_that_it_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_BYTES_MAX", 5)
    with Bodies().hold("") as held:
        sent = request(b"never read", **{"content-length": "6"})
        with pytest.raises(AwsError) as refused:
            await held.take(sent)
        assert refused.value.status == 413
        assert sent.stream is not None
        assert await sent.stream.read() == b"never read"


async def test_what_does_not_say_so_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_BYTES_MAX", 5)
    with Bodies().hold("") as held:
        with pytest.raises(AwsError) as refused:
            await held.take(request(b"six...", **{"content-length": "no number"}))
        assert refused.value.status == 413
