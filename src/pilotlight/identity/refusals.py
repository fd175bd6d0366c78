"""How AWS words the refusal of a signature: S3 in its own way, query services in theirs, JSON services in a third.

Sources: the "Common errors" pages of the API references, S3's "Error responses" page, and messages quoted in
the SDKs' issue trackers (`aws-sdk-js#254`, `boto3#2280`, `aws-cli#6676`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pilotlight.errors import AwsError

Family = Literal["s3", "query", "json", "rest-json"]

S3_SKEW_MS = 900_000
SKEW_MS = 300_000

_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_NEEDED = {
    "Credential": "Authorization header requires 'Credential' parameter.",
    "Signature": "Authorization header requires 'Signature' parameter.",
    "SignedHeaders": "Authorization header requires 'SignedHeaders' parameter.",
    "Date": "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
}


def family_of(protocol: str, signing_name: str) -> Family:
    """The family of a service's refusals, from its model's protocol and signing name."""
    if signing_name.startswith("s3"):
        return "s3"
    if protocol in ("json", "smithy-rpc-v2-cbor"):
        return "json"
    return "rest-json" if protocol == "rest-json" else "query"


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refusals of one family of services."""

    family: Family

    def _choose(self, query: str, json: str, message: str, status: int = 403) -> AwsError:
        # AWS: services of the JSON protocol answer every refusal with 400, the others with 403.
        if self.family == "query":
            return AwsError(query, message, status=status)
        return AwsError(json, message, status=400 if self.family == "json" else status)

    def missing(self) -> AwsError:
        if self.family == "s3":
            return AwsError("AccessDenied", "Access Denied", status=403)
        text = "Missing Authentication Token" if self.family != "query" else "Request is missing Authentication Token"
        return self._choose("MissingAuthenticationToken", "MissingAuthenticationTokenException", text)

    def unknown_key(self, access_key_id: str) -> AwsError:
        if self.family == "s3":
            return AwsError(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                status=403,
                members={"AWSAccessKeyId": access_key_id},
            )
        message = "The security token included in the request is invalid."
        return self._choose("InvalidClientTokenId", "UnrecognizedClientException", message)

    def invalid_token(self, token: str, access_key_id: str) -> AwsError:
        """A session token that does not fit its key."""
        if self.family == "s3" and token:
            message = "The provided token is malformed or otherwise invalid."
            return AwsError("InvalidToken", message, status=400, members={"Token-0": token})
        return self.unknown_key(access_key_id)

    def expired_token(self, token: str) -> AwsError:
        if self.family == "s3":
            return AwsError("ExpiredToken", "The provided token has expired.", status=400, members={"Token-0": token})
        message = "The security token included in the request is expired"
        return self._choose("ExpiredToken", "ExpiredTokenException", message)

    def mismatch(self, *, access_key_id: str, provided: str, to_sign: str, canonical: str) -> AwsError:
        if self.family != "s3":
            return self._choose("SignatureDoesNotMatch", "InvalidSignatureException", _MISMATCH)
        message = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        members: dict[str, object] = {
            "AWSAccessKeyId": access_key_id,
            "StringToSign": to_sign,
            "SignatureProvided": provided,
            "StringToSignBytes": to_sign.encode().hex(" "),
        }
        if canonical:
            members |= {"CanonicalRequest": canonical, "CanonicalRequestBytes": canonical.encode().hex(" ")}
        return AwsError("SignatureDoesNotMatch", message, status=403, members=members)

    def invalid_signature(self, message: str) -> AwsError:
        """A signature whose scope, date or headers cannot be accepted."""
        if self.family == "s3":
            return AwsError("AuthorizationHeaderMalformed", message, status=400)
        return self._choose("SignatureDoesNotMatch", "InvalidSignatureException", message)

    def incomplete(self, kind: str, part: str, authorization: str) -> AwsError:
        """An `Authorization` header that cannot be read; kind and part as in `sigv4.Malformed`."""
        if self.family == "s3":
            return _s3_malformed(kind, part, authorization)
        if kind == "missing":
            needed = " ".join(_NEEDED[name] for name in part.split(","))
            message = f"{needed} Authorization={authorization}"
        elif kind == "credential":
            message = (
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                f"got '{part}'"
            )
        elif kind == "date":
            message = (
                f"Date must be in ISO-8601 'basic format'. Got '{part}'. See http://en.wikipedia.org/wiki/ISO_8601"
            )
        elif kind == "algorithm":
            message = f"Unsupported AWS 'algorithm': '{part.split(' ')[0]}'."
        else:
            message = (
                f"'{part}' not a valid key=value pair (missing equal-sign) in Authorization header: '{authorization}'."
            )
        return self._choose("IncompleteSignature", "IncompleteSignatureException", message, 400)


def _s3_malformed(kind: str, part: str, authorization: str) -> AwsError:
    if kind == "algorithm":
        # AWS: a header in nobody's form is an InvalidArgument; SigV2's and others' forms are named as unsupported.
        if " " not in authorization.strip():
            message = "Authorization header is invalid -- one and only one ' ' (space) required"
            members: Mapping[str, object] = {"ArgumentName": "Authorization", "ArgumentValue": authorization}
            return AwsError("InvalidArgument", message, status=400, members=members)
        message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        return AwsError("InvalidRequest", message, status=400)
    if kind in ("date",) or (kind == "missing" and part == "Date"):
        message = "AWS authentication requires a valid Date or x-amz-date header"
        return AwsError("AccessDenied", message, status=403)
    reason = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
    if kind == "missing" and "Credential" not in part.split(","):
        reason = "the authorization header requires three components: Credential, SignedHeaders, and Signature."
    return AwsError("AuthorizationHeaderMalformed", f"The authorization header is malformed; {reason}", status=400)
