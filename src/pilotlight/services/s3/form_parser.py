"""`multipart/form-data`, read as it arrives: the fields first, and then the file as a stream."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email.message import Message
from email.parser import HeaderParser

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import BodyStream
from pilotlight.services.s3 import errors
from pilotlight.services.s3.post_policy import Sizes

FIELDS_BYTES_MAX = 20 * 1024
"""AWS: the fields before the file, all together."""
HEAD_BYTES_MAX = 8 * 1024
_BOUNDARY = re.compile(r'boundary="?([^";,]{1,70})"?', re.IGNORECASE)


def malformed() -> AwsError:
    return AwsError("MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")


class Form:
    """`await read_fields()` first; then it is the file's `BodyStream`, held to its sizes."""

    def __init__(self, content_type: str, stream: BodyStream) -> None:
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise malformed()
        self._mark = b"\r\n--" + found.group(1).encode("latin-1")
        # The first boundary has no line before it.
        self._buffer = b"\r\n"
        self._chunks = aiter(stream)
        self.fields: dict[str, str] = {}
        """Names in lower case."""
        self.file_name = ""
        self.sizes = Sizes()

    async def _more(self) -> None:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            raise malformed()
        self._buffer += chunk

    async def _until(self, mark: bytes, limit: int) -> bytes:
        while (position := self._buffer.find(mark)) < 0:
            if len(self._buffer) > limit:
                message = "Your POST request fields preceding the upload file were too large."
                raise AwsError("MaxPostPreDataLengthExceeded", message)
            await self._more()
        found, self._buffer = self._buffer[:position], self._buffer[position + len(mark) :]
        return found

    async def read_fields(self) -> None:
        """Everything up to the file. Raises MalformedPOSTRequest, or InvalidArgument where there is no file."""
        await self._until(self._mark, HEAD_BYTES_MAX)
        size = 0
        while True:
            while len(self._buffer) < 2:
                await self._more()
            if self._buffer.startswith(b"--"):
                message = "POST requires exactly one file upload per request."
                raise errors.invalid_argument(message, "file", 0)
            head = await self._until(b"\r\n\r\n", HEAD_BYTES_MAX)
            headers = HeaderParser().parsestr(head.decode("utf-8", "replace").lstrip("\r\n"))
            name = _parameter(headers, "name")
            if name.lower() == "file":
                self.file_name = re.split(r"[/\\]", _parameter(headers, "filename"))[-1]
                return
            value = await self._until(self._mark, FIELDS_BYTES_MAX)
            size += len(name) + len(value)
            if not name or size > FIELDS_BYTES_MAX:
                raise malformed()
            self.fields[name.lower()] = value.decode("utf-8", "replace")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        ended = False
        while not ended:
            position = self._buffer.find(self._mark)
            ended = position >= 0
            # The end of what is here may be the beginning of the boundary.
            keep = position if ended else max(0, len(self._buffer) - len(self._mark))
            piece, self._buffer = self._buffer[:keep], self._buffer[keep:]
            size += len(piece)
            if self.sizes.most is not None and size > self.sizes.most:
                raise errors.entity_too_large(size, self.sizes.most)
            if piece:
                yield piece
            if not ended:
                await self._more()
        if size < self.sizes.least:
            message = "Your proposed upload is smaller than the minimum allowed size"
            members = {"ProposedSize": str(size), "MinSizeAllowed": str(self.sizes.least)}
            raise AwsError("EntityTooSmall", message, members=members)

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])


def _parameter(headers: Message, name: str) -> str:
    found = headers.get_param(name, "", header="content-disposition")
    return found if isinstance(found, str) else found[2]
