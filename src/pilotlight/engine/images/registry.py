"""Pulls from any registry that speaks the OCI distribution protocol, with the token that it asks for.

Blocking: callers use threads. Whatever comes is checked against its digest by whoever takes it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from pilotlight.engine.images.manifest import ACCEPTED, Blob

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
TOKEN_BYTES_MAX = 64 * 1024
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
REDIRECTS_MAX = 5
PIECE = 1 << 17
LISTS = ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_REFERENCE = re.compile(
    r"(?P<host>[a-zA-Z0-9.-]+(?::\d+)?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[a-f0-9]{64}))?"
)


class NotThere(Exception):
    """The registry has no such image, or does not know the repository."""


class NotAllowed(Exception):
    """The registry does not give it to us."""


class Unreachable(Exception):
    """The registry did not answer, or not in its protocol."""


@dataclass(frozen=True, slots=True)
class Reference:
    host: str
    name: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference | None:
        match = _REFERENCE.fullmatch(text)
        if match is None:
            return None
        return cls(match["host"], match["name"], match["tag"] or "", match["digest"] or "")

    @property
    def selector(self) -> str:
        return self.digest or self.tag or "latest"


class RegistryClient:
    """One pull from one repository. Plain http is for registries of this machine; `insecure` names them."""

    def __init__(self, reference: Reference, *, user: str = "", password: str = "", insecure: bool = False) -> None:
        self._reference = reference
        self._base = f"{'http' if insecure else 'https'}://{reference.host}/v2/{reference.name}/"
        self._basic = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._authorization = ""
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False)

    def manifest(self) -> tuple[bytes, str]:
        """The manifest and its digest. Raises NotThere, NotAllowed or Unreachable."""
        selector = self._reference.selector
        response = self._get(f"manifests/{selector}", {"Accept": ", ".join((*ACCEPTED, *LISTS))})
        data = _limited(response, MANIFEST_BYTES_MAX)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self._reference.digest and digest != self._reference.digest:
            raise Unreachable("the registry sent another manifest than the one of that digest")
        return data, digest

    def blob(self, blob: Blob) -> Iterator[bytes]:
        response = self._get(f"blobs/{blob.digest}", {})
        try:
            yield from response.stream(PIECE)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{self._reference.host} stopped in the middle: {error}") from None
        finally:
            response.close()

    def _get(self, path: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        response = self._send(self._base + path, headers)
        if response.status == 401:
            self._answer_challenge(response)
            response = self._send(self._base + path, headers)
        if response.status == 404:
            raise NotThere(path)
        if response.status in (401, 403):
            raise NotAllowed(path)
        if response.status != 200:
            raise Unreachable(f"{self._reference.host} answered {response.status}")
        return response

    def _send(self, address: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Follows redirects, and shows its credentials to the registry only."""
        origin = urlsplit(self._base)[:2]
        for _ in range(REDIRECTS_MAX):
            sent = dict(headers)
            if self._authorization and urlsplit(address)[:2] == origin:
                sent["Authorization"] = self._authorization
            try:
                response = self._pool.request("GET", address, headers=sent, preload_content=False, redirect=False)
            except urllib3.exceptions.HTTPError as error:
                raise Unreachable(f"{self._reference.host} cannot be reached: {error}") from None
            place = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or not place:
                return response
            response.close()
            address = urljoin(address, place)
            if urlsplit(address).scheme not in ("https", origin[0]):
                break
        raise Unreachable(f"{self._reference.host} redirects without end, or to where we do not go")

    def _answer_challenge(self, response: urllib3.BaseHTTPResponse) -> None:
        """What Docker's clients do: ask the realm for a token, or send the password itself."""
        challenge = response.headers.get("www-authenticate", "")
        response.close()
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._basic:
            self._authorization = f"Basic {self._basic}"
            return
        wanted = dict(_CHALLENGE.findall(rest))
        realm = wanted.pop("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("https://", self._base.partition("//")[0] + "//")):
            raise NotAllowed("no way to authenticate that we know")
        wanted.setdefault("scope", f"repository:{self._reference.name}:pull")
        wanted.pop("error", None)
        headers = {"Authorization": f"Basic {self._basic}"} if self._basic else {}
        address = f"{realm}{'&' if '?' in realm else '?'}{urlencode(wanted)}"
        try:
            answer = self._pool.request("GET", address, headers=headers, preload_content=False, redirect=False)
            body = json.loads(_limited(answer, TOKEN_BYTES_MAX))
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise Unreachable(f"{realm} gives no token: {error}") from None
        token = body.get("token") or body.get("access_token") if isinstance(body, dict) else None
        if answer.status != 200 or not isinstance(token, str):
            raise NotAllowed(f"{realm} gives no token")
        self._authorization = f"Bearer {token}"


def _limited(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    chunks, size = [], 0
    for piece in response.stream(PIECE):
        size += len(piece)
        if size > most:
            raise Unreachable("the registry sends more than it should")
        chunks.append(piece)
    response.close()
    return b"".join(chunks)
