"""Wildcards and policy variables: `arn:aws:s3:::home/${aws:username}/*`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Context = Mapping[str, Sequence[str]]
"""Condition keys in lower case, and their values."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SPECIAL = ("*", "?", "$")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with `*`, `?` and variables, prepared as far as it can be."""

    text: str
    arn: bool
    literal: bool
    """No wildcards: only variables are filled in."""
    variables: bool
    regex: re.Pattern[str] | None
    """Where wildcards are there, and no variables."""

    @classmethod
    def compile(cls, text: str, *, arn: bool = False, variables: bool = True, literal: bool = False) -> Pattern:
        has_variables = variables and "${" in text
        wild = not literal and ("*" in text or "?" in text)
        regex = re.compile(_translated([text], arn=arn), re.DOTALL) if wild and not has_variables else None
        return cls(text, arn, literal, has_variables, regex)

    def matches(self, value: str, context: Context) -> bool:
        if self.text == "*" and not self.literal:
            return True
        if not self.variables:
            return self.regex.fullmatch(value) is not None if self.regex else self.text == value
        pieces = self._pieces(context)
        return pieces is not None and re.fullmatch(_translated(pieces, arn=self.arn), value, re.DOTALL) is not None

    def expand(self, context: Context) -> str | None:
        """The text with its variables filled in, or None where one has no value."""
        if not self.variables:
            return self.text
        pieces = self._pieces(context)
        return None if pieces is None else "".join(pieces)

    def _pieces(self, context: Context) -> list[str] | None:
        """Text to translate and text to take literally, in turns."""
        pieces: list[str] = []
        for index, piece in enumerate(_VARIABLE.split(self.text)):
            if index % 2 == 0 or piece in _SPECIAL:
                pieces.append(piece)
                continue
            name, comma, default = piece.partition(",")
            values = context.get(name.strip().lower())
            # AWS: a key with several values is no variable; without a value or a default the statement does not match.
            if values and len(values) == 1:
                pieces.append(values[0])
            elif comma:
                pieces.append(default.strip().strip("'"))
            else:
                return None
        return pieces


def _translated(pieces: Sequence[str], *, arn: bool) -> str:
    """A regular expression: even pieces hold wildcards, odd ones are literal.

    AWS: an ARN's wildcards do not reach over the colons of its first five parts (IAM user guide, `ArnLike`).
    """
    parts: list[str] = []
    colons = 0
    by_parts = arn and sum(piece.count(":") for piece in pieces) >= 5
    for index, piece in enumerate(pieces):
        if index % 2:
            parts.append(re.escape(piece))
            continue
        for character in piece:
            colons += character == ":"
            inside = by_parts and colons < 5
            if character == "*":
                parts.append("[^:]*" if inside else ".*")
            elif character == "?":
                parts.append("[^:]" if inside else ".")
            else:
                parts.append(re.escape(character))
    return "".join(parts)
