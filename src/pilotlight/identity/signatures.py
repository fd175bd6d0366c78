"""Who sent this request: the gateway's question, answered in AWS's order and words.

`Signatures.check` reads the claim, finds the key, compares the signature, and hands back the caller with the
body as the operation may read it: decoded from `aws-chunked`, or checked against the hash that was promised.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import unquote_plus

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity import chunked, sigv2, sigv4
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import Credentials, ExpiredToken, InvalidToken, Principal, UnknownKey
from pilotlight.identity.refusals import S3_SKEW_MS, SKEW_MS, Family, Refusals, family_of
from pilotlight.identity.sigv4 import Claim, Malformed
from pilotlight.protocols.messages import BodyStream, Bytes, Request
from pilotlight.settings import ACCOUNT, REGION

PRESIGNED_SECONDS_MAX = 604_800
_V4_NAMES = "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires"


@dataclass(frozen=True, slots=True)
class Target:
    """What the check must know of a service; one is made for each at start-up with `target_of`."""

    signing_names: frozenset[str]
    family: Family
    open: bool = False
    """Operations that need no signature, such as `AssumeRoleWithWebIdentity`."""


def target_of(protocol: str, *signing_names: str, open: bool = False) -> Target:
    """From the model's protocol and signing name, and further names that the service also answers to."""
    return Target(frozenset(signing_names), family_of(protocol, signing_names[0]), open)


@dataclass(frozen=True, slots=True)
class Checked:
    """The caller, and the request's body as the operation may read it."""

    caller: Caller
    body: bytes
    stream: BodyStream | None
    """A `ChunkedBody` where the body came as `aws-chunked`: its `trailers` are known after the last byte."""


class Signatures:
    def __init__(self, *, credentials: Credentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._keys = sigv4.SigningKeys()

    async def check(
        self, request: Request, target: Target, request_id: str, *, sent_path: str | None = None
    ) -> Checked:
        """Raises AwsError in the words of the target's family. `sent_path` is what the client signed, where the
        gateway has put a virtual host's bucket into `request.path`."""
        refuse = Refusals(target.family)
        headers, query = request.headers, request.query
        if "authorization" in headers:
            return await self._signed(request, target, request_id, refuse, _header_claim(request, refuse), sent_path)
        if "X-Amz-" in query and ("X-Amz-Algorithm" in query or "X-Amz-Credential" in query):
            claim = _presigned_claim(query, refuse)
            return await self._signed(request, target, request_id, refuse, claim, sent_path)
        if target.family == "s3" and "AWSAccessKeyId=" in query and "Signature=" in query:
            return await self._presigned_v2(request, request_id, refuse)
        if request.instance or not (target.family == "s3" or target.open):
            raise refuse.missing()
        return self._body(anonymous(request, request_id), request, None)

    async def check_form(self, request: Request, fields: Mapping[str, str], target: Target, request_id: str) -> Caller:
        """The caller of a browser's form, whose policy is what was signed. Names of fields are in lower case."""
        refuse = Refusals(target.family)
        policy = fields.get("policy", "")
        if "awsaccesskeyid" in fields:
            key_id, given = fields["awsaccesskeyid"], fields.get("signature", "")
            principal = await self._principal(request, key_id, fields.get("x-amz-security-token", ""), refuse)
            expected, region = sigv2.sign(principal.secret or "", policy), REGION
        elif "x-amz-credential" in fields or "x-amz-signature" in fields:
            scope = _form_scope(fields, target)
            key_id, given, region = scope.access_key_id, fields.get("x-amz-signature", ""), scope.region
            principal = await self._principal(request, key_id, fields.get("x-amz-security-token", ""), refuse)
            expected = sigv4.sign(self._keys.get(principal.secret or "", scope), policy)
        elif request.instance:
            raise refuse.missing()
        else:
            return anonymous(request, request_id)
        if not policy or not given:
            missing = "policy" if not policy else "signature"
            message = f"Bucket POST must contain a field named '{missing}'.  If it is specified, please check the " \
                      "order of the fields."  # fmt: skip
            raise AwsError("InvalidArgument", message, members={"ArgumentName": missing, "ArgumentValue": ""})
        if principal.secret is not None and not hmac.compare_digest(expected.encode(), given.encode()):
            raise refuse.mismatch(access_key_id=key_id, provided=given, to_sign=policy, canonical="")
        return _caller(principal, request, request_id, key_id, region)

    async def _signed(
        self,
        request: Request,
        target: Target,
        request_id: str,
        refuse: Refusals,
        claim: Claim,
        sent_path: str | None,
    ) -> Checked:
        scope = claim.scope
        _check_scope(claim, target, refuse)
        principal = await self._principal(request, scope.access_key_id, claim.token, refuse)
        self._check_time(claim, refuse)
        payload_hash = await _payload_hash(request, claim, refuse)
        key = b""
        if principal.secret is not None:
            _check_signed_headers(request.headers, claim, refuse)
            key = self._keys.get(principal.secret, scope)
            path = request.path if sent_path is None else sent_path
            canonical = sigv4.canonical_request(
                request.method, path, request.query, request.headers, claim, payload_hash,
                s3=target.family == "s3",
            )  # fmt: skip
            to_sign = sigv4.string_to_sign(claim, canonical)
            if not hmac.compare_digest(sigv4.sign(key, to_sign).encode(), claim.signature.encode()):
                raise refuse.mismatch(
                    access_key_id=scope.access_key_id, provided=claim.signature, to_sign=to_sign, canonical=canonical
                )
        caller = _caller(principal, request, request_id, scope.access_key_id, scope.region)
        if target.family != "s3":
            return Checked(caller, request.body, request.stream)
        if payload_hash in chunked.FORMS:
            decoded = _chunked(request, claim, payload_hash, key)
            if request.stream is None:
                return Checked(caller, await decoded.read(), None)
            return Checked(caller, b"", decoded)
        return self._body(caller, request, None if payload_hash == sigv4.UNSIGNED else payload_hash)

    async def _principal(self, request: Request, access_key_id: str, token: str, refuse: Refusals) -> Principal:
        try:
            principal = await self._credentials.find(access_key_id, token)
        except ExpiredToken:
            raise refuse.expired_token(token) from None
        except InvalidToken:
            raise refuse.invalid_token(token, access_key_id) from None
        except UnknownKey:
            raise refuse.unknown_key(access_key_id) from None
        # A sandbox's endpoint is for the function behind it alone: what it may do is decided by its own role.
        if request.instance and request.instance not in (principal.instance, access_key_id):
            raise refuse.unknown_key(access_key_id)
        if request.instance and not principal.temporary:
            raise refuse.unknown_key(access_key_id)
        return principal

    def _check_time(self, claim: Claim, refuse: Refusals) -> None:
        try:
            signed_ms = sigv4.timestamp_ms(claim.timestamp)
        except Malformed as error:
            raise refuse.incomplete(error.kind, error.part, "") from None
        now_ms = self._clock.wall_ms()
        if claim.presigned and refuse.family == "s3":
            _check_presigned_time(claim, signed_ms, now_ms)
        elif refuse.family == "s3":
            if abs(now_ms - signed_ms) > S3_SKEW_MS:
                raise _skewed(claim.timestamp, now_ms)
        else:
            life_ms = max(SKEW_MS, claim.expires_seconds * 1000)
            if now_ms - life_ms <= signed_ms <= now_ms + SKEW_MS:
                return
            now, limit = sigv4.timestamp_of(now_ms), life_ms // 60_000
            if signed_ms < now_ms:
                edge = sigv4.timestamp_of(now_ms - life_ms)
                text = f"Signature expired: {claim.timestamp} is now earlier than {edge} ({now} - {limit} min.)"
                raise refuse.invalid_signature(text)
            edge = sigv4.timestamp_of(now_ms + SKEW_MS)
            text = f"Signature not yet current: {claim.timestamp} is still later than {edge} ({now} + 5 min.)"
            raise refuse.invalid_signature(text)

    async def _presigned_v2(self, request: Request, request_id: str, refuse: Refusals) -> Checked:
        query = _decoded(request.query)
        access_key_id, expires = query["AWSAccessKeyId"], query.get("Expires", "")
        principal = await self._principal(request, access_key_id, query.get("x-amz-security-token", ""), refuse)
        if not expires.isdigit():
            message = f"Invalid date (should be seconds since epoch): {expires}"
            raise AwsError("AccessDenied", message, status=403)
        now_ms = self._clock.wall_ms()
        if int(expires) * 1000 < now_ms:
            raise _expired(int(expires) * 1000, now_ms)
        if principal.secret is not None:
            headers = {
                **request.headers,
                **{name: v for name, v in query.items() if name.startswith(("x-amz-", "content-"))},
            }
            # SigV2 signs `/bucket/key` also where the bucket is in the host's name; the gateway has made it so.
            text = sigv2.string_to_sign(request.method, request.path, request.query, headers, expires)
            if not hmac.compare_digest(sigv2.sign(principal.secret, text).encode(), query["Signature"].encode()):
                raise refuse.mismatch(
                    access_key_id=access_key_id, provided=query["Signature"], to_sign=text, canonical=""
                )
        return self._body(_caller(principal, request, request_id, access_key_id, REGION), request, None)

    def _body(self, caller: Caller, request: Request, promised: str | None) -> Checked:
        if promised is None:
            return Checked(caller, request.body, request.stream)
        if request.stream is not None:
            return Checked(caller, request.body, chunked.HashedBody(request.stream, promised))
        chunked.check_hash(promised, sha256(request.body).hexdigest())
        return Checked(caller, request.body, None)


def _form_scope(fields: Mapping[str, str], target: Target) -> sigv4.Scope:
    if fields.get("x-amz-algorithm") != sigv4.ALGORITHM:
        message = 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"'
        raise AwsError("InvalidArgument", message)
    try:
        scope = sigv4.parse_scope(fields.get("x-amz-credential", ""))
    except Malformed:
        message = (
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
        raise AwsError("InvalidArgument", message) from None
    if scope.service not in target.signing_names or scope.terminator != "aws4_request":
        message = f'Error parsing the X-Amz-Credential parameter; incorrect service "{scope.service}". This endpoint ' \
                  'belongs to "s3".'  # fmt: skip
        raise AwsError("InvalidArgument", message)
    return scope


def _header_claim(request: Request, refuse: Refusals) -> Claim:
    authorization = request.headers["authorization"]
    if refuse.family == "s3" and "X-Amz-Signature=" in request.query:
        message = (
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified"
        )
        members = {"ArgumentName": "Authorization", "ArgumentValue": authorization}
        raise AwsError("InvalidArgument", message, members=members)
    try:
        return sigv4.parse_header(request.headers)
    except Malformed as error:
        raise refuse.incomplete(error.kind, error.part, authorization) from None


def _presigned_claim(query: str, refuse: Refusals) -> Claim:
    try:
        claim = sigv4.parse_presigned(_decoded(query))
    except Malformed as error:
        if refuse.family != "s3":
            raise refuse.incomplete(error.kind if error.kind != "expires" else "pair", error.part, query) from None
        message = f"Query-string authentication version 4 requires the {_V4_NAMES} parameters."
        if error.kind == "expires":
            message = "X-Amz-Expires should be a number"
        elif error.kind == "algorithm" and error.part:
            message = 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"'
        elif error.kind == "credential":
            message = (
                "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
                'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
            )
        raise AwsError("AuthorizationQueryParametersError", message) from None
    if refuse.family == "s3" and not 0 <= claim.expires_seconds <= PRESIGNED_SECONDS_MAX:
        message = f"Query-string authentication version 4 requires the {_V4_NAMES} parameters."
        if claim.expires_seconds > PRESIGNED_SECONDS_MAX:
            message = (
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be "
                "less than 604800 seconds"
            )
        elif claim.expires_seconds < -1 or "X-Amz-Expires" in query:
            message = "X-Amz-Expires must be non-negative"
        raise AwsError("AuthorizationQueryParametersError", message)
    return claim


def _decoded(query: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in query.split("&"))
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def _check_scope(claim: Claim, target: Target, refuse: Refusals) -> None:
    scope, date = claim.scope, claim.timestamp[:8]
    if scope.terminator == "aws4_request" and scope.service in target.signing_names and scope.date == date:
        return
    s3 = refuse.family == "s3"
    if scope.terminator != "aws4_request":
        text = f"Credential should be scoped with a valid terminator: 'aws4_request', not '{scope.terminator}'."
        s3_text = f'incorrect terminal "{scope.terminator}". This endpoint uses "aws4_request".'
    elif scope.service not in target.signing_names:
        text = f"Credential should be scoped to correct service: '{min(target.signing_names)}'. "
        s3_text = f'incorrect service "{scope.service}". This endpoint belongs to "s3".'
    else:
        text = (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.date}' != '{date}', from '{claim.timestamp}'."
        )
        s3_text = f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: "{date}".'
    if s3 and claim.presigned:
        message = f"Error parsing the X-Amz-Credential parameter; {s3_text}"
        raise AwsError("AuthorizationQueryParametersError", message)
    raise refuse.invalid_signature(f"The authorization header is malformed; {s3_text}" if s3 else text)


def _check_signed_headers(headers: Mapping[str, str], claim: Claim, refuse: Refusals) -> None:
    signed = claim.signed_headers
    if "host" not in signed and ":authority" not in signed:
        if refuse.family == "s3":
            raise _not_signed("host")
        raise refuse.invalid_signature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if refuse.family == "s3":
        loose = [name for name in headers if name.startswith("x-amz-") and name not in signed]
        # AWS: a presigned URL's hash may come as a header which nobody signed.
        if claim.presigned:
            loose = [name for name in loose if name != "x-amz-content-sha256"]
        if loose:
            raise _not_signed(", ".join(loose))


def _not_signed(names: str) -> AwsError:
    message = "There were headers present in the request which were not signed"
    return AwsError("AccessDenied", message, status=403, members={"HeadersNotSigned": names})


async def _payload_hash(request: Request, claim: Claim, refuse: Refusals) -> str:
    """The last line of the canonical request. Where it is not S3, the body is read whole for it."""
    header = request.headers.get("x-amz-content-sha256", "")
    if refuse.family != "s3":
        if header == sigv4.UNSIGNED:
            return header
        if request.stream is not None:
            body = await request.stream.read()
            request.body, request.stream = body, Bytes(body)
        return sha256(request.body).hexdigest() if request.body else sigv4.EMPTY_SHA256
    if claim.presigned:
        return header if "x-amz-content-sha256" in claim.signed_headers else sigv4.UNSIGNED
    if not header:
        message = "Missing required header for this request: x-amz-content-sha256"
        raise AwsError("InvalidRequest", message)
    if header == sigv4.UNSIGNED or header in chunked.FORMS:
        return header
    if len(header) != 64:
        message = (
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER "
            "or a valid sha256 value."
        )
        members = {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": header}
        raise AwsError("InvalidArgument", message, members=members)
    return header


def _chunked(request: Request, claim: Claim, form: str, key: bytes) -> chunked.ChunkedBody:
    headers = request.headers
    length = headers.get("x-amz-decoded-content-length", "")
    if not length.isdigit():
        raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.", status=411)
    signer = None
    if key and form != chunked.UNSIGNED_TRAILER:
        signer = chunked.ChunkSigner(key=key, timestamp=claim.timestamp, scope=str(claim.scope), seed=claim.signature)
    declared = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()]
    return chunked.ChunkedBody(
        stream=request.stream or Bytes(request.body),
        length=int(length),
        signer=signer,
        declared=tuple(declared) if form != chunked.SIGNED else (),
    )


def _check_presigned_time(claim: Claim, signed_ms: int, now_ms: int) -> None:
    if signed_ms > now_ms + S3_SKEW_MS:
        raise AwsError("AccessDenied", "Request is not yet valid", status=403)
    ends_ms = signed_ms + claim.expires_seconds * 1000
    if now_ms > ends_ms:
        raise _expired(ends_ms, now_ms, claim.expires_seconds)


def _expired(ends_ms: int, now_ms: int, seconds: int | None = None) -> AwsError:
    members: dict[str, object] = {} if seconds is None else {"X-Amz-Expires": str(seconds)}
    members |= {"Expires": _iso(ends_ms), "ServerTime": _iso(now_ms)}
    return AwsError("AccessDenied", "Request has expired", status=403, members=members)


def _skewed(timestamp: str, now_ms: int) -> AwsError:
    return AwsError(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        status=403,
        members={
            "RequestTime": timestamp,
            "ServerTime": _iso(now_ms),
            "MaxAllowedSkewMilliseconds": str(S3_SKEW_MS),
        },
    )


def _iso(moment_ms: int) -> str:
    text = sigv4.timestamp_of(moment_ms)
    return f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}"


def anonymous(request: Request, request_id: str) -> Caller:
    return Caller(
        account=ACCOUNT,
        region=REGION,
        kind="anonymous",
        arn="anonymous",
        user_id="anonymous",
        request_id=request_id,
        source_ip=request.source_ip,
        secure=request.secure,
    )


def _caller(principal: Principal, request: Request, request_id: str, access_key_id: str, region: str) -> Caller:
    return Caller(
        account=principal.account,
        region=region,
        kind=principal.kind,
        arn=principal.arn,
        user_id=principal.user_id,
        request_id=request_id,
        access_key_id=access_key_id,
        role_arn=principal.role_arn,
        session_policies=principal.session_policies,
        source_ip=request.source_ip,
        # Our own loopback endpoint counts as secure transport: policies that demand https mean the way there.
        secure=request.secure or bool(request.instance) or request.source_ip in ("127.0.0.1", "::1"),
        instance=principal.instance if request.instance else "",
        guest=bool(request.instance),
        trace_id=request.headers.get("x-amzn-trace-id", ""),
        context=principal.context,
    )
