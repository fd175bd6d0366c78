"""Presigned URLs of S3's older kind, which boto3 still makes by default for the regions that know it.

`?AWSAccessKeyId=…&Signature=…&Expires=…`: HMAC-SHA1 over method, a few headers, and the resource. Pure.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import unquote

# AWS: only these parameters are part of the resource ("Signing and authenticating REST requests", S3 API reference).
SUBRESOURCES = frozenset(
    {
        *("accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location"),
        *("logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type"),
        *(
            "storageClass",
            "tagging",
            "torrent",
            "uploadId",
            "uploads",
            "versionId",
            "versioning",
            "versions",
            "website",
        ),
    }
)


def string_to_sign(method: str, resource: str, query: str, headers: Mapping[str, str], expires: str) -> str:
    """`resource` is the path with its bucket, as sent; `headers` includes what the query adds to them."""
    lines = [method, headers.get("content-md5", ""), headers.get("content-type", ""), expires]
    lines += [f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith("x-amz-")]
    parts = [item.partition("=") for item in query.split("&")] if query else []
    wanted = sorted((name, equals, unquote(value)) for name, equals, value in parts if name in SUBRESOURCES)
    if wanted:
        resource += "?" + "&".join("".join(item) for item in wanted)
    return "\n".join([*lines, resource])


def sign(secret: str, text: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()
