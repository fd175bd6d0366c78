"""The account that samples write where a reader is to put their own: `arn:aws:sqs:us-east-1:123:orders`.

Read as the caller's account, before the model's patterns are asked; every other malformed ARN is refused as on AWS.
"""

from __future__ import annotations

import re
from typing import Any

from pilotlight.protocols.messages import Request


class Placeholder:
    def __init__(self, account: str) -> None:
        self._mark = f":{account}:"
        self._quoted = f"%3A{account}%3A"
        self._arn = re.compile(rf"(arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*):{re.escape(account)}:") if account else None

    def named_in(self, request: Request) -> bool:
        """Whether it is worth looking: most requests never name it."""
        if self._arn is None:
            return False
        if self._mark.encode() in request.body or self._quoted.encode() in request.body:
            return True
        return any(mark in text for mark in (self._mark, self._quoted) for text in (request.path, request.query))

    def rewrite(self, value: Any, account: str) -> Any:
        """The same value, with the caller's account in its ARNs."""
        if isinstance(value, str) and self._arn is not None:
            return self._arn.sub(rf"\g<1>:{account}:", value)
        if isinstance(value, dict):
            return {key: self.rewrite(item, account) for key, item in value.items()}
        if isinstance(value, list):
            return [self.rewrite(item, account) for item in value]
        return value
