"""What is written past a bootstrap becomes events of the log, and nothing of it is lost."""

from __future__ import annotations

import pytest

from pilotlight.engine.frames import LOG_BYTES_MAX
from pilotlight.engine.lines import events


@pytest.mark.parametrize(
    ("data", "texts", "rest"),
    [
        (b"", [], b""),
        (b"begun", [], b"begun"),
        (b"one\ntwo\n", ["one", "two"], b""),
        (b"one\n\ntwo", ["one", ""], b"two"),
        (b"\xff\n", ["\ufffd"], b""),
    ],
)
def test_lines_are_events(data: bytes, texts: list[str], rest: bytes) -> None:
    assert events(data) == (texts, rest)


def test_the_beginning_of_a_line_is_kept_whole_after_one_that_has_ended() -> None:
    assert events(b"one\n" + b"x" * 50_000) == (["one"], b"x" * 50_000)


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_what_is_longer_than_an_event_is_more_than_one(newline: bytes) -> None:
    texts, rest = events(b"y" * (LOG_BYTES_MAX + 5) + newline)
    assert [len(text) for text in texts] == [LOG_BYTES_MAX, *([5] if newline else [])]
    assert rest == (b"" if newline else b"y" * 5)
