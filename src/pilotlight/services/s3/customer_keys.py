"""Keys that customers bring (SSE-C): checked with each request, and never kept. Pure.

What is kept is the key's MD5, which is how a later request is told from one with another key. The bytes themselves are
stored as they are: whoever reads the data directory is this cloud's owner.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.s3 import errors

Params = Mapping[str, Any]

ALGORITHM = "AES256"
KEY_BYTES = 32


def md5_of(request: Params, prefix: str = "") -> str:
    """The key's MD5, or nothing where the request brings none; with `prefix="CopySource"` a copy's source's."""
    algorithm = request.get(f"{prefix}SSECustomerAlgorithm")
    key, md5 = request.get(f"{prefix}SSECustomerKey"), request.get(f"{prefix}SSECustomerKeyMD5")
    if not (algorithm or key or md5):
        return ""
    if not algorithm:
        raise _invalid("must provide a valid encryption algorithm.")
    if algorithm != ALGORITHM:
        message = "The encryption request you specified is not valid. Supported value: AES256."
        members = {"ArgumentName": "x-amz-server-side-encryption", "ArgumentValue": algorithm}
        raise AwsError("InvalidEncryptionAlgorithmError", message, members=members)
    if not key:
        raise _invalid("must provide an appropriate secret key.")
    if not md5:
        raise _invalid("must provide the client calculated MD5 of the secret key.")
    try:
        secret = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    name = "x-amz-server-side-encryption"
    if len(secret) != KEY_BYTES:
        raise errors.invalid_argument("The secret key was invalid for the specified algorithm.", name, "null")
    if base64.b64encode(hashlib.md5(secret, usedforsecurity=False).digest()).decode() != md5:
        message = "The calculated MD5 hash of the key did not match the hash that was provided."
        raise errors.invalid_argument(message, name, "null")
    if not prefix and request.get("ServerSideEncryption"):
        message = "Server Side Encryption with Customer provided key is incompatible with the encryption method "
        raise errors.invalid_argument(message + "specified", name, request["ServerSideEncryption"])
    return str(md5)


def _invalid(what: str) -> AwsError:
    message = f"Requests specifying Server Side Encryption with Customer provided keys {what}"
    return errors.invalid_argument(message, "x-amz-server-side-encryption", "null")


def of_request(request: Params) -> dict[str, str]:
    """`customer_key` for a write's attributes."""
    md5 = md5_of(request)
    return {"customer_key": md5} if md5 else {}


def check_read(attributes: Mapping[str, Any], request: Params, prefix: str = "") -> None:
    """Raises where an object is read without its key, with another, or with one that it does not have."""
    kept, md5 = attributes.get("customer_key", ""), md5_of(request, prefix)
    if kept and not md5:
        raise errors.invalid_request(
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
            "retrieve the object."
        )
    if md5 and not kept:
        raise errors.invalid_request("The encryption parameters are not applicable to this object.")
    if md5 != kept:
        raise errors.access_denied()


def check_part(attributes: Mapping[str, Any], request: Params) -> None:
    """A part brings the key that its upload was begun with."""
    kept, md5 = attributes.get("customer_key", ""), md5_of(request)
    if kept and not md5:
        raise errors.invalid_request(
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
            "encryption parameters."
        )
    if md5 and not kept:
        raise errors.invalid_request(
            "The multipart upload initiate did not request encryption. Please resend the request without sending "
            "encryption parameters."
        )
    if md5 != kept:
        raise errors.invalid_request("The provided encryption parameters did not match the ones used originally.")


def members_of(attributes: Mapping[str, Any]) -> dict[str, str]:
    """How an answer says by what its object is encrypted."""
    md5 = attributes.get("customer_key", "")
    if md5:
        return {"SSECustomerAlgorithm": ALGORITHM, "SSECustomerKeyMD5": md5}
    return {"ServerSideEncryption": "AES256"}
