"""rest-xml, which is S3's: members travel in the path, the query string, headers and an XML body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.errors import AwsError
from pilotlight.protocols.aws_json import error_status
from pilotlight.protocols.messages import Request, Response
from pilotlight.protocols.query import error_document, error_members
from pilotlight.protocols.rest import OutputBindings, RestBindings
from pilotlight.protocols.shapes import Member
from pilotlight.protocols.xml_codec import attributes, escape, read_document, xmlns

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class RestXml:
    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._bindings = RestBindings(operation)
        self._xml = operation.model.xml
        self._s3 = operation.model.name == "s3"
        self._namespace = operation.model.xml_namespace or (S3_NAMESPACE if self._s3 else "")
        self._body = self._xml.body_parser(operation.input) if operation.input else None
        self._content = self._xml.content(operation.output) if operation.output else None
        self._attributes = attributes(operation.output) if operation.output else None

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        result = self._bindings.parse(request, labels)
        if self._bindings.payload is not None:
            result |= self._bindings.parse_payload(request, self._structure)
        elif self._bindings.body and self._body is not None and request.body:
            result |= self._body(read_document(request.body))
        return result

    def _structure(self, member: Member, body: bytes) -> Any:
        return self._xml.parser(member)(read_document(body))

    def render(self, result: Mapping[str, Any], request_id: str) -> Response:
        out = self._bindings.out
        response = out.start(result)
        if self._s3 and result.get("ContentRange"):
            response.status = 206
        elif self._s3 and "HttpStatus" in result:
            # AWS: statuses that S3's model does not know, such as a restore's 202.
            response.status = result["HttpStatus"]
        response.headers += request_headers(request_id, s3=self._s3)
        if out.raw_payload(result, response):
            return response
        if out.payload is not None:
            self._render_payload(out.payload, result, response)
        elif out.has_body and self._content is not None:
            response.body = self._document(result)
            response.headers.append(("content-type", "application/xml"))
        return response

    def _render_payload(self, payload: tuple[str, Member], result: Mapping[str, Any], response: Response) -> None:
        name, member = payload
        value = result.get(name)
        if value is None:
            return
        parts = [HEAD]
        self._xml.renderer(member)(member.wire_name or member.shape.traits.get("locationName") or name, value, parts)
        if self._s3 and "xmlns" not in parts[1]:
            parts[1] = parts[1].replace(">", f"{xmlns(S3_NAMESPACE)}>", 1) if not parts[1].endswith("/>") else parts[1]
        response.body = "".join(parts).encode()
        response.headers.append(("content-type", "application/xml"))

    def _document(self, result: Mapping[str, Any]) -> bytes:
        output = self._operation.output
        assert output is not None
        assert self._content is not None
        if self._operation.name == "GetBucketLocation" and self._s3:
            # AWS: the one answer whose root element is the value itself, empty for us-east-1.
            text = escape(str(result.get("LocationConstraint") or ""))
            inside = f">{text}</LocationConstraint>" if text else "/>"
            return f"{HEAD}<LocationConstraint{xmlns(S3_NAMESPACE)}{inside}".encode()
        name = output.traits.get("locationName") or output.name.removesuffix("Output").removesuffix("Request")
        space = xmlns(output.traits.get("xmlNamespace") or self._namespace)
        written = self._attributes(result) if self._attributes else ""
        parts = [HEAD, f"<{_root(name)}{space}{written}>"]
        self._content(result, parts)
        parts.append(f"</{_root(name)}>")
        return "".join(parts).encode()


# AWS: the root element of these answers is not the output shape's name.
_ROOTS = {
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListParts": "ListPartsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketTagging": "Tagging",
    "GetObjectTagging": "Tagging",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetObjectAttributes": "GetObjectAttributesResponse",
}


def _root(name: str) -> str:
    return _ROOTS.get(name, name)


def request_headers(request_id: str, *, s3: bool) -> list[tuple[str, str]]:
    if not s3:
        return [("x-amzn-requestid", request_id)]
    short = request_id.replace("-", "").upper()
    return [("x-amz-request-id", short[:16]), ("x-amz-id-2", request_id.replace("-", "") * 2)]


def error_renderer(model: ServiceModel) -> Callable[[AwsError, str], Response]:
    s3 = model.name == "s3"

    def render(error: AwsError, request_id: str) -> Response:
        shape = model.exception(error.code)
        bound = OutputBindings(shape, 400).start(error.members).headers if shape else []
        headers = [*request_headers(request_id, s3=s3), *bound, *error.headers.items()]
        # AWS: S3's model gives few statuses, and not those that S3 answers with; the service's own word wins.
        status = error.status if s3 else error_status(model, error)
        if status == 304:
            return Response(status=304, headers=headers)
        if s3:
            ids = dict(request_headers(request_id, s3=True))
            text = (
                f"{HEAD}<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
                f"{error_members(model, error)}<RequestId>{ids['x-amz-request-id']}</RequestId>"
                f"<HostId>{ids['x-amz-id-2']}</HostId></Error>"
            )
        else:
            text = HEAD + error_document(model, error, status, request_id)
        headers.append(("content-type", "application/xml"))
        return Response(status=status, headers=headers, body=text.encode())

    return render
