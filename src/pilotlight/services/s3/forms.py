"""Uploads by browsers' forms: POST to a bucket, with a policy instead of a signed request."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Bytes, Request, Response
from pilotlight.protocols.xml_codec import escape
from pilotlight.services.s3 import errors, post_policy, tags
from pilotlight.services.s3.access import Shared
from pilotlight.services.s3.checksums import ALGORITHMS
from pilotlight.services.s3.form_parser import Form
from pilotlight.services.s3.objects import put

Admit = Callable[[Mapping[str, str]], Awaitable[Caller]]
"""Whose form it is, by its fields. Raises the signature's refusals."""
Authorise = Callable[[Caller, Mapping[str, Any]], Awaitable[None]]

PARAMETERS = {
    "acl": "ACL",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-type": "ContentType",
    "expires": "Expires",
    "x-amz-storage-class": "StorageClass",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
    "x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
    "x-amz-server-side-encryption-customer-key": "SSECustomerKey",
    "x-amz-server-side-encryption-customer-key-md5": "SSECustomerKeyMD5",
    "content-md5": "ContentMD5",
    **{f"x-amz-checksum-{name.lower()}": f"Checksum{name}" for name in ALGORITHMS},
}
METADATA = "x-amz-meta-"


def is_form(request: Request) -> bool:
    """A POST to a bucket itself, whose body is a form."""
    path = request.path.strip("/")
    return (
        request.method == "POST"
        and bool(path)
        and "/" not in path
        and request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    )


class Forms:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def answer(self, request: Request, admit: Admit, authorise: Authorise) -> Response:
        bucket = unquote(request.path.strip("/"))
        form = Form(request.headers["content-type"], request.stream or Bytes(request.body))
        await form.read_fields()
        fields = form.fields
        if "key" not in fields:
            message = "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of " \
                      "the fields."  # fmt: skip
            raise errors.invalid_argument(message, "key", "")
        caller = await admit(fields)
        fields["key"] = fields["key"].replace("${filename}", form.file_name)
        if "policy" in fields:
            form.sizes = post_policy.check(fields["policy"], fields, bucket, self._shared.clock.wall_ms())
        params = _params(bucket, fields)
        await authorise(caller, params)
        written = await put(self._shared, caller, {**params, "Body": form}, event="ObjectCreated:Post")
        return _response(bucket, fields, written)


def _params(bucket: str, fields: Mapping[str, str]) -> dict[str, Any]:
    params: dict[str, Any] = {"Bucket": bucket, "Key": fields["key"]}
    params |= {member: fields[name] for name, member in PARAMETERS.items() if fields.get(name)}
    metadata = {name.removeprefix(METADATA): value for name, value in fields.items() if name.startswith(METADATA)}
    if metadata:
        params["Metadata"] = metadata
    for name in fields:
        if name.startswith("x-amz-object-lock-"):
            raise NotImplementedHere(f"POST Object with {name}")
    if fields.get("tagging"):
        params["Tagging"] = _tagging(fields["tagging"])
    return params


def _tagging(document: str) -> str:
    """A form's tags are an XML document; PutObject's are a query string."""
    if "<!" in document:
        raise errors.malformed_xml()
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError:
        raise errors.malformed_xml() from None
    given = [
        {"Key": tag.findtext("{*}Key") or "", "Value": tag.findtext("{*}Value") or ""} for tag in root.iter()
        if tag.tag.rpartition("}")[2] == "Tag"
    ]  # fmt: skip
    return urlencode(tags.read_set(given, limit=tags.OBJECT_TAGS_MAX))


def _response(bucket: str, fields: Mapping[str, str], written: Mapping[str, Any]) -> Response:
    location = f"http://{bucket}.s3.amazonaws.com/{quote(fields['key'])}"
    etag = str(written["ETag"])
    headers = [("etag", etag)]
    if "ServerSideEncryption" in written:
        headers.append(("x-amz-server-side-encryption", str(written["ServerSideEncryption"])))
    if "VersionId" in written:
        headers.append(("x-amz-version-id", str(written["VersionId"])))
    if "Expiration" in written:
        headers.append(("x-amz-expiration", str(written["Expiration"])))
    redirect = fields.get("success_action_redirect") or fields.get("redirect", "")
    parts = urlsplit(redirect)
    if parts.scheme in ("http", "https") and parts.netloc:
        query = [*parse_qsl(parts.query), ("bucket", bucket), ("key", fields["key"]), ("etag", etag)]
        target = urlunsplit(parts._replace(query=urlencode(query)))
        return Response(status=303, headers=[*headers, ("location", target)])
    headers.append(("location", location))
    status = fields.get("success_action_status", "")
    if status != "201":
        # AWS: any other value is answered as if it were not there.
        return Response(status=200 if status == "200" else 204, headers=headers)
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<PostResponse><Location>{escape(location)}</Location><Bucket>{escape(bucket)}</Bucket>"
        f"<Key>{escape(fields['key'])}</Key><ETag>{escape(etag)}</ETag></PostResponse>"
    )
    return Response(status=201, headers=[*headers, ("content-type", "application/xml")], body=body.encode())
