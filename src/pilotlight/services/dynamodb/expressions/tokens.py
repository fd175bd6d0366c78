"""Text → tokens, and the words for the place where an expression cannot be understood."""

from __future__ import annotations

import re
from typing import NamedTuple

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.errors import invalid

EXPRESSION_BYTES_MAX = 4096
_TOKEN = re.compile(
    r"(?P<alias>#\w+)|(?P<value>:\w+)|(?P<name>[A-Za-z]\w*)|(?P<number>[0-9]+)"
    r"|(?P<symbol><>|<=|>=|[=<>()\[\],.+-])|(?P<bad>[^ \t\r\n])",
    re.ASCII,
)


class Token(NamedTuple):
    kind: str
    """`alias`, `value`, `name`, `number`, `symbol`, `bad`, or `end`."""
    text: str
    start: int
    end: int


def tokenise(text: str, kind: str) -> list[Token]:
    """All tokens and one for the end. Raises AwsError where the text is empty or too long."""
    if not text.strip(" \t\r\n"):
        raise invalid(f"Invalid {kind}: The expression can not be empty;")
    size = len(text.encode())
    if size > EXPRESSION_BYTES_MAX:
        raise invalid(f"Invalid {kind}: Expression size has exceeded the maximum allowed size; expression size: {size}")
    found = [Token(match.lastgroup or "", match[0], *match.span()) for match in _TOKEN.finditer(text)]
    found.append(Token("end", "<EOF>", len(text), len(text)))
    return found


def syntax_error(kind: str, text: str, tokens: list[Token], position: int) -> AwsError:
    """AWS: `near` shows the token with its neighbour on either side, with the blanks between them."""
    token = tokens[position]
    first = tokens[max(0, position - 1)]
    last = tokens[min(position + 1, len(tokens) - 1)]
    if token.kind == "end":
        last = first
    elif last.kind == "end":
        last = token
    return invalid(f'Invalid {kind}: Syntax error; token: "{token.text}", near: "{text[first.start : last.end]}"')
