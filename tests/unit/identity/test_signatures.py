"""Requests signed by botocore itself, and what becomes of the ones that were tampered with."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.chunked import ChunkedBody, ChunkSigner
from pilotlight.identity.credentials import AccessKey, Credentials
from pilotlight.identity.signatures import Checked, Signatures, Target, target_of
from pilotlight.identity.sigv4 import Scope, signing_key
from pilotlight.ids import Ids
from pilotlight.protocols.messages import Bytes, Request
from pilotlight.settings import Settings
from pilotlight.storage.migrations import schema_files
from pilotlight.storage.sqlite import SqliteDatabase

S3 = target_of("rest-xml", "s3")
DYNAMODB = target_of("json", "dynamodb")
LAMBDA = target_of("rest-json", "lambda")
IAM = target_of("query", "iam")
HOST = "http://127.0.0.1:4566"


class MovedClock(Clock):
    """Wall time may be shifted, as if the client's clock were wrong."""

    shift_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.shift_ms


class Keys:
    """One user's key, and maybe inactive."""

    def __init__(self) -> None:
        self.key: AccessKey | None = None

    async def access_key(self, access_key_id: str) -> AccessKey | None:
        return self.key if self.key and self.key.id == access_key_id else None


@dataclass
class World:
    credentials: Credentials
    signatures: Signatures
    clock: MovedClock
    keys: Keys
    id: str
    secret: str

    async def check(self, request: Request, target: Target) -> Checked:
        return await self.signatures.check(request, target, "request-1")

    async def refused(self, request: Request, target: Target) -> AwsError:
        async def whole() -> None:
            checked = await self.check(request, target)
            if checked.stream is not None:
                await checked.stream.read()

        with pytest.raises(AwsError) as caught:
            await whole()
        return caught.value


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "core.db", schema_files(["pilotlight.storage", "pilotlight.identity"]))
    yield database
    database.close()


async def make_world(database: SqliteDatabase, iam: str = "") -> World:
    clock, keys = MovedClock(), Keys()
    credentials = Credentials(database=database, clock=clock, ids=Ids(), settings=Settings(iam=iam), keys=keys)
    await credentials.start()
    access_key_id, secret = credentials.new_access_key("000000000000")
    keys.key = AccessKey(
        id=access_key_id,
        secret=secret,
        account="000000000000",
        user_arn="arn:aws:iam::000000000000:user/ada",
        user_id="AIDAADA",
    )
    return World(credentials, Signatures(credentials=credentials, clock=clock), clock, keys, access_key_id, secret)


@pytest.fixture
async def world(database: SqliteDatabase) -> World:
    return await make_world(database)


def boto(world: World, **changes: str) -> BotoCredentials:
    return BotoCredentials(changes.get("id", world.id), changes.get("secret", world.secret), changes.get("token"))


def signed(
    credentials: BotoCredentials,
    service: str,
    method: str = "POST",
    path: str = "/",
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    region: str = "us-east-1",
    auth: Any = None,
) -> Request:
    request = AWSRequest(method=method, url=HOST + path, data=body, headers=headers or {})
    request.context["payload_signing_enabled"] = True
    auth = auth or (S3SigV4Auth if service == "s3" else SigV4Auth)
    auth(credentials, service, region).add_auth(request)
    return wire(request)


def wire(request: AWSRequest) -> Request:
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers["host"] = parts.netloc
    return Request(method=request.method, path=parts.path, query=parts.query, headers=headers, body=request.data or b"")


@pytest.mark.parametrize(
    ("target", "service", "method", "path"),
    [
        (DYNAMODB, "dynamodb", "POST", "/"),
        (LAMBDA, "lambda", "GET", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af"),
        (LAMBDA, "lambda", "GET", "/2015-03-31//functions/./f/?Qualifier=%24LATEST&Marker="),
        (S3, "s3", "PUT", "/bucket/a%20b//c/../%C3%A9%2B.txt"),
        (S3, "s3", "GET", "/bucket?prefix=a%2Fb&list-type=2&delimiter=%2F&versions"),
        (IAM, "iam", "POST", "/"),
    ],
)
async def test_what_botocore_signs_is_believed(
    world: World, target: Target, service: str, method: str, path: str
) -> None:
    request = signed(boto(world), service, method, path, body=b"{}", headers={"x-amz-meta-a": " two   spaces "})
    checked = await world.check(request, target)
    caller = checked.caller
    assert (caller.kind, caller.arn, caller.user_id) == ("user", "arn:aws:iam::000000000000:user/ada", "AIDAADA")
    assert (caller.account, caller.region, caller.request_id) == ("000000000000", "us-east-1", "request-1")


@pytest.mark.parametrize(
    ("target", "service", "code", "status"),
    [
        (S3, "s3", "SignatureDoesNotMatch", 403),
        (DYNAMODB, "dynamodb", "InvalidSignatureException", 400),
        (LAMBDA, "lambda", "InvalidSignatureException", 403),
        (IAM, "iam", "SignatureDoesNotMatch", 403),
    ],
)
async def test_wrong_secret(world: World, target: Target, service: str, code: str, status: int) -> None:
    error = await world.refused(signed(boto(world, secret="wrong"), service), target)
    assert (error.code, error.status) == (code, status)
    assert error.message.startswith("The request signature we calculated does not match the signature you provided.")
    if target is S3:
        assert error.members["StringToSign"].startswith("AWS4-HMAC-SHA256\n")  # type: ignore[attr-defined]
        assert error.members["CanonicalRequest"].startswith("POST\n/\n")  # type: ignore[attr-defined]
        assert error.members["AWSAccessKeyId"] == world.id


async def test_changed_body_path_query_or_header_is_noticed(world: World) -> None:
    request = signed(boto(world), "dynamodb", body=b"{}", path="/?a=1")
    for change in ({"body": b"[]"}, {"path": "/x"}, {"query": "a=2"}, {"method": "PUT"}):
        assert (await world.refused(replace(request, **change), DYNAMODB)).code == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("target", "service", "code"),
    [
        (S3, "s3", "InvalidAccessKeyId"),
        (DYNAMODB, "dynamodb", "UnrecognizedClientException"),
        (IAM, "iam", "InvalidClientTokenId"),
    ],
)
async def test_a_key_that_was_issued_here_and_is_gone(world: World, target: Target, service: str, code: str) -> None:
    assert world.keys.key is not None
    world.keys.key = replace(world.keys.key, active=False)
    assert (await world.refused(signed(boto(world), service), target)).code == code
    world.keys.key = None
    assert (await world.refused(signed(boto(world), service), target)).code == code


async def test_unknown_keys_are_the_administrator_unless_iam_is_enforced(
    world: World, database: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    test = BotoCredentials("test", "test")
    caller = (await world.check(signed(test, "dynamodb"), DYNAMODB)).caller
    assert (caller.kind, caller.arn) == ("administrator", "arn:aws:iam::000000000000:root")
    chosen = BotoCredentials("123456789012", "x")
    assert (await world.check(signed(chosen, "s3", region="eu-west-1"), S3)).caller.account == "123456789012"
    strict = await make_world(database, "enforce")
    error = await strict.refused(signed(test, "dynamodb"), DYNAMODB)
    assert error.message == "The security token included in the request is invalid."
    root = BotoCredentials(*strict.credentials.root_key())
    assert (await strict.check(signed(root, "dynamodb"), DYNAMODB)).caller.kind == "administrator"
    audit = await make_world(database, "audit")
    assert (await audit.check(signed(test, "dynamodb"), DYNAMODB)).caller.kind == "administrator"
    assert "admitted unknown access key test" in caplog.text


async def test_requests_without_signature(world: World) -> None:
    bare = Request(method="GET", path="/", query="", headers={"host": "h"})
    assert (await world.check(bare, S3)).caller.kind == "anonymous"
    assert (await world.refused(bare, DYNAMODB)).code == "MissingAuthenticationTokenException"
    assert (await world.refused(bare, IAM)).code == "MissingAuthenticationToken"
    assert (await world.refused(replace(bare, instance="ASIAX"), S3)).code == "AccessDenied"


@pytest.mark.parametrize(
    ("header", "target", "code", "part"),
    [
        ("AWS4-HMAC-SHA256 Credential=a/b", DYNAMODB, "IncompleteSignatureException", "requires 'Signature' parameter"),
        ("AWS4-HMAC-SHA256 Credential", IAM, "IncompleteSignature", "not a valid key=value pair (missing equal-sign)"),
        ("Bearer x", S3, "InvalidRequest", "Please use AWS4-HMAC-SHA256."),
        ("garbage", S3, "InvalidArgument", "one and only one ' ' (space) required"),
        ("AWS4-HMAC-SHA256 Signature=a", S3, "AuthorizationHeaderMalformed", "the Credential is mal-formed"),
    ],
)
async def test_unreadable_authorization(world: World, header: str, target: Target, code: str, part: str) -> None:
    headers = {"authorization": header, "x-amz-date": "20260101T000000Z"}
    error = await world.refused(Request(method="GET", path="/", query="", headers=headers), target)
    assert error.code == code
    assert part in error.message


async def test_skew(world: World) -> None:
    requests = {
        target: signed(boto(world), name) for name, target in (("s3", S3), ("dynamodb", DYNAMODB), ("iam", IAM))
    }
    world.clock.shift_ms = 16 * 60_000
    error = await world.refused(requests[S3], S3)
    assert (error.code, error.members["MaxAllowedSkewMilliseconds"]) == ("RequestTimeTooSkewed", "900000")
    error = await world.refused(requests[DYNAMODB], DYNAMODB)
    assert error.code == "InvalidSignatureException"
    assert error.message.startswith("Signature expired: ")
    assert error.message.endswith(" - 5 min.)")
    assert (await world.refused(requests[IAM], IAM)).code == "SignatureDoesNotMatch"
    world.clock.shift_ms = -16 * 60_000
    assert "Signature not yet current" in (await world.refused(requests[DYNAMODB], DYNAMODB)).message


async def test_scope_must_fit_the_service(world: World) -> None:
    error = await world.refused(signed(boto(world), "sqs"), DYNAMODB)
    assert error.message == "Credential should be scoped to correct service: 'dynamodb'. "
    error = await world.refused(signed(boto(world), "sqs", headers={"x-amz-content-sha256": "0" * 64}), S3)
    assert (error.code, error.status) == ("AuthorizationHeaderMalformed", 400)


async def test_the_path_that_was_signed_is_not_always_the_one_that_is_routed(world: World) -> None:
    request = signed(boto(world), "s3", "GET", "/key")
    request.path = "/bucket/key"
    assert (await world.signatures.check(request, S3, "r", sent_path="/key")).caller.kind == "user"
    assert (await world.refused(request, S3)).code == "SignatureDoesNotMatch"


async def test_s3_body_must_have_the_promised_hash(world: World) -> None:
    request = signed(boto(world), "s3", "PUT", "/b/k", body=b"data")
    error = await world.refused(replace(request, body=b"date"), S3)
    assert error.code == "XAmzContentSHA256Mismatch"
    assert error.members["S3ComputedContentSHA256"] == hashlib.sha256(b"date").hexdigest()
    streamed = replace(request, body=b"", stream=Bytes(b"date"))
    assert (await world.refused(streamed, S3)).code == "XAmzContentSHA256Mismatch"
    checked = await world.check(replace(request, body=b"", stream=Bytes(b"data")), S3)
    assert checked.stream is not None
    assert await checked.stream.read() == b"data"


async def test_s3_headers_must_be_signed(world: World) -> None:
    request = signed(boto(world), "s3", "PUT", "/b/k")
    request.headers = {**request.headers, "x-amz-acl": "public-read"}
    error = await world.refused(request, S3)
    assert (error.code, error.members) == ("AccessDenied", {"HeadersNotSigned": "x-amz-acl"})


def presigned(auth: Any, path: str = "/b/k", method: str = "GET") -> Request:
    request = AWSRequest(method=method, url=HOST + path)
    auth.add_auth(request)
    return wire(request)


async def test_presigned_urls_live_until_they_expire(world: World) -> None:
    request = presigned(S3SigV4QueryAuth(boto(world), "s3", "us-east-1", expires=60))
    assert (await world.check(request, S3)).caller.kind == "user"
    tampered = replace(request, path="/b/other")
    assert (await world.refused(tampered, S3)).code == "SignatureDoesNotMatch"
    world.clock.shift_ms = 61_000
    error = await world.refused(request, S3)
    assert (error.code, error.message, error.members["X-Amz-Expires"]) == ("AccessDenied", "Request has expired", "60")


async def test_presigned_urls_of_strangers_expire_too(world: World) -> None:
    request = presigned(S3SigV4QueryAuth(BotoCredentials("test", "test"), "s3", "us-east-1", expires=60))
    assert (await world.check(request, S3)).caller.kind == "administrator"
    world.clock.shift_ms = 61_000
    assert (await world.refused(request, S3)).message == "Request has expired"


@pytest.mark.parametrize(
    ("expires", "message"),
    [
        ("604801", "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be "
                   "less than 604800 seconds"),
        ("-5", "X-Amz-Expires must be non-negative"),
        ("soon", "X-Amz-Expires should be a number"),
    ],
)  # fmt: skip
async def test_presigned_life_has_limits(world: World, expires: str, message: str) -> None:
    request = presigned(S3SigV4QueryAuth(boto(world), "s3", "us-east-1", expires=expires))
    error = await world.refused(request, S3)
    assert (error.code, error.message) == ("AuthorizationQueryParametersError", message)


async def test_boto3s_older_presigned_urls(world: World) -> None:
    auth = HmacV1QueryAuth(boto(world), expires=60)
    request = presigned(auth, "/b/k%20x?versionId=1&response-content-type=text%2Fplain")
    assert (await world.check(request, S3)).caller.kind == "user"
    assert (await world.refused(replace(request, path="/b/z"), S3)).code == "SignatureDoesNotMatch"
    world.clock.shift_ms = 62_000
    assert (await world.refused(request, S3)).message == "Request has expired"


async def test_presigned_identity_of_another_service(world: World) -> None:
    target = target_of("query", "sts")
    request = presigned(SigV4QueryAuth(boto(world), "sts", "us-east-1", expires=900), "/?Action=GetCallerIdentity")
    assert (await world.check(request, target)).caller.kind == "user"


async def test_sessions_carry_their_role(world: World) -> None:
    issued = world.credentials.issue(
        account="000000000000", role_arn="arn:aws:iam::000000000000:role/p/R", session_name="s", role_id="AROAR",
        policies=["{}"], tags={"team": "blue"},
    )  # fmt: skip
    session = boto(world, id=issued.access_key_id, secret=issued.secret_access_key, token=issued.session_token)
    caller = (await world.check(signed(session, "dynamodb"), DYNAMODB)).caller
    assert caller.arn == "arn:aws:sts::000000000000:assumed-role/R/s"
    assert (caller.kind, caller.role_arn, caller.user_id) == ("role", "arn:aws:iam::000000000000:role/p/R", "AROAR:s")
    assert (caller.session_policies, caller.context["aws:PrincipalTag/team"]) == (("{}",), "blue")
    request = signed(session, "dynamodb")
    world.clock.shift_ms = 43_201_000
    assert (await world.refused(request, DYNAMODB)).code == "ExpiredTokenException"
    assert (await world.refused(signed(session, "s3"), S3)).code == "ExpiredToken"


async def test_sessions_without_their_token_are_refused(world: World) -> None:
    one = world.credentials.issue(account="000000000000", role_arn="arn:aws:iam::0:role/R", session_name="s")
    two = world.credentials.issue(account="000000000000", role_arn="arn:aws:iam::0:role/Q", session_name="s")
    for token in (None, two.session_token, "bm90IGEgdG9rZW4=", "?"):
        keys = BotoCredentials(one.access_key_id, one.secret_access_key, token)
        assert (await world.refused(signed(keys, "dynamodb"), DYNAMODB)).code == "UnrecognizedClientException"


async def test_a_sandbox_admits_only_its_own_credentials(world: World) -> None:
    arn = "arn:aws:iam::000000000000:role/R"
    own = world.credentials.issue(account="000000000000", role_arn=arn, session_name="own")
    other = world.credentials.issue(account="000000000000", role_arn=arn, session_name="other")
    chained = world.credentials.issue(
        account="000000000000", role_arn=arn, session_name="chained", instance=own.access_key_id
    )
    for issued in (own, chained):
        keys = BotoCredentials(issued.access_key_id, issued.secret_access_key, issued.session_token)
        inside = replace(signed(keys, "dynamodb"), instance=own.access_key_id)
        assert (await world.check(inside, DYNAMODB)).caller.instance == own.access_key_id
    strangers = [
        BotoCredentials("test", "test"),
        BotoCredentials("123456789012", "test"),
        BotoCredentials(own.access_key_id, "guess"),
        BotoCredentials(other.access_key_id, other.secret_access_key, other.session_token),
        boto(world),
        BotoCredentials(*world.credentials.root_key()),
    ]
    for keys in strangers:
        for service, target, code in (
            ("dynamodb", DYNAMODB, "UnrecognizedClientException"),
            ("s3", S3, "InvalidAccessKeyId"),
            ("iam", IAM, "InvalidClientTokenId"),
        ):
            inside = replace(signed(keys, service), instance=own.access_key_id)
            assert (await world.refused(inside, target)).code == code
    url = presigned(S3SigV4QueryAuth(BotoCredentials("test", "test"), "s3", "us-east-1", expires=60))
    assert (await world.refused(replace(url, instance=own.access_key_id), S3)).code == "InvalidAccessKeyId"


def test_key_ids_carry_their_account(world: World) -> None:
    access_key_id, _ = world.credentials.new_access_key("123456789012")
    assert world.credentials.account_of(access_key_id) == "123456789012"
    assert len(access_key_id) == 20
    assert world.credentials.account_of("short") is None


class Pieces:
    """A body that arrives in pieces of one size, as a network likes to."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), self._size):
            yield self._data[start : start + self._size]

    async def read(self) -> bytes:
        return self._data


SIGNER = ChunkSigner(
    key=signing_key("secret", Scope("id", "20260101", "us-east-1", "s3", "aws4_request")),
    timestamp="20260101T000000Z",
    scope="20260101/us-east-1/s3/aws4_request",
    seed="0" * 64,
)


def encoded(chunks: list[bytes], trailer: str = "", *, signed_trailer: bool = True) -> bytes:
    previous, out = SIGNER.seed, b""
    for chunk in [*chunks, b""]:
        previous = SIGNER.of_chunk(previous, hashlib.sha256(chunk).hexdigest())
        end = b"\r\n" if chunk else b""
        out += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + end
    if trailer:
        digest = hashlib.sha256(trailer.encode()).hexdigest()
        out += trailer.replace("\n", "\r\n").encode()
        if signed_trailer:
            out += f"x-amz-trailer-signature:{SIGNER.of_trailer(previous, digest)}\r\n".encode()
    return out + b"\r\n"


def body(data: bytes, length: int, **changes: Any) -> ChunkedBody:
    given: dict[str, Any] = {"signer": SIGNER, "size": 7} | changes
    size = given.pop("size")
    return ChunkedBody(stream=Pieces(data, size), length=length, **given)


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_signed_chunks_are_put_together(size: int) -> None:
    chunks = [b"a" * 8192, b"b" * 9000, b"last"]
    checksum = base64.b64encode(zlib.crc32(b"".join(chunks)).to_bytes(4, "big")).decode()
    data = encoded(chunks, f"x-amz-checksum-crc32:{checksum}\n")
    decoded = body(data, 17_196, size=size, declared=("x-amz-checksum-crc32",))
    assert await decoded.read() == b"".join(chunks)
    assert decoded.trailers == {"x-amz-checksum-crc32": checksum}


@pytest.mark.parametrize(
    ("change", "length", "code"),
    [
        (lambda data: data.replace(b"aaaa", b"aaba", 1), 8196, "SignatureDoesNotMatch"),
        (lambda data: data[:-300], 8196, "IncompleteBody"),
        (lambda data: data.replace(b"2000;", b"zz;", 1), 8196, "IncompleteBody"),
        (lambda data: data, 9000, "IncompleteBody"),
        (lambda data: data, 100, "IncompleteBody"),
        (lambda data: data.replace(b"crc32:x", b"crc32:y", 1), 8196, "SignatureDoesNotMatch"),
    ],
)
async def test_damaged_chunks_are_refused(change: Any, length: int, code: str) -> None:
    data = change(encoded([b"a" * 8192, b"last"], "x-amz-checksum-crc32:x\n"))
    with pytest.raises(AwsError) as caught:
        await body(data, length).read()
    assert caught.value.code == code


async def test_only_the_last_chunk_may_be_small() -> None:
    with pytest.raises(AwsError, match="InvalidChunkSizeError"):
        await body(encoded([b"small", b"last"]), 9).read()


async def test_trailers_that_were_promised_must_come_and_be_signed() -> None:
    with pytest.raises(AwsError, match="MalformedTrailerError"):
        await body(encoded([b"x"]), 1, declared=("x-amz-checksum-crc32",)).read()
    with pytest.raises(AwsError, match="MalformedTrailerError"):
        await body(encoded([b"x"], "x-amz-checksum-crc32:x\n", signed_trailer=False), 1).read()


async def test_todays_sdks_send_unsigned_chunks_with_a_checksum(world: World) -> None:
    data = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "5",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }

    class Auth(S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return headers["x-amz-content-sha256"]

        def _should_sha256_sign_payload(self, request: AWSRequest) -> bool:
            return True

    request = signed(boto(world), "s3", "PUT", "/b/k", headers=headers, auth=Auth)
    checked = await world.check(replace(request, stream=Pieces(data, 3)), S3)
    assert isinstance(checked.stream, ChunkedBody)
    assert await checked.stream.read() == b"hello"
    assert checked.stream.trailers == {"x-amz-checksum-crc32": "NhCmhg=="}
    whole = await world.check(replace(request, body=data), S3)
    assert (whole.body, whole.stream) == (b"hello", None)
