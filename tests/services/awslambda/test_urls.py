"""Function URLs: their configuration, and what answers at them."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request
from pilotlight.services.awslambda import url_cors, url_events
from pilotlight.services.awslambda.url_events import BadAnswer
from pilotlight.testing.cloud import Cloud
from tests.services.awslambda import wire
from tests.services.awslambda.surroundings import Bench

APP = """
import base64, json
def handler(event, context):
    what = event["rawPath"]
    if what == "/fail": raise ValueError("secret")
    if what == "/odd": return {"statusCode": "x"}
    if what == "/plain": return "text"
    if what == "/bytes":
        return {"statusCode": 201, "headers": {"Content-Type": "image/png", "X-A": "1"}, "cookies": ["a=1", "b=2"],
                "isBase64Encoded": True, "body": base64.b64encode(b"\\x00\\xff").decode()}
    return event
"""
STREAMS = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event.rawPath === '/early') throw new Error('early')
  stream = awslambda.HttpResponseStream.from(stream,
    { statusCode: 202, headers: { 'x-b': '2', 'content-type': 'text/plain' }, cookies: ['c=3'] })
  stream.write('one ')
  if (event.rawPath === '/midway') { await new Promise(done => setTimeout(done, 20)); throw new Error('midway') }
  stream.end('two')
})
"""


async def test_a_url_is_made_read_changed_and_deleted(bench: Bench) -> None:
    await bench.create()
    made = await bench.call("create_function_url_config", FunctionName="f", AuthType="NONE")
    identity = urlsplit(made["FunctionUrl"]).hostname.split(".")[0]
    assert made["FunctionUrl"] == f"http://{identity}.lambda-url.us-east-1.localhost.localstack.cloud:4566/"
    assert len(identity) == 32
    assert "LastModifiedTime" not in made
    assert (made["AuthType"], made["InvokeMode"]) == ("NONE", "BUFFERED")
    cors = {"AllowOrigins": ["*"]}
    changed = await bench.call("update_function_url_config", FunctionName="f", AuthType="AWS_IAM", Cors=cors)
    assert (changed["AuthType"], changed["Cors"], changed["FunctionUrl"]) == ("AWS_IAM", cors, made["FunctionUrl"])
    assert await bench.call("get_function_url_config", FunctionName="f") == changed
    listed = await bench.call("list_function_url_configs", FunctionName="f")
    assert listed == {"FunctionUrlConfigs": [changed]}
    await bench.call("delete_function_url_config", FunctionName="f")
    assert await bench.call("list_function_url_configs", FunctionName="f") == {"FunctionUrlConfigs": []}


async def test_an_alias_has_a_url_of_its_own_and_takes_it_along(bench: Bench) -> None:
    await bench.create(Tags={"_custom_id_": "mine"}, Publish=True)
    await bench.call("create_alias", FunctionName="f", Name="Live", FunctionVersion="1")
    for qualifier, identity in ((None, "mine"), ("Live", "mine-live")):
        request = {"Qualifier": qualifier} if qualifier else {}
        made = await bench.call("create_function_url_config", FunctionName="f", AuthType="NONE", **request)
        assert made["FunctionUrl"].startswith(f"http://{identity}.lambda-url.")
    await bench.call("delete_alias", FunctionName="f", Name="Live")
    assert len((await bench.call("list_function_url_configs", FunctionName="f"))["FunctionUrlConfigs"]) == 1
    await bench.call("delete_function", FunctionName="f")
    await bench.create()
    assert (await bench.call("list_function_url_configs", FunctionName="f"))["FunctionUrlConfigs"] == []


@pytest.mark.parametrize(
    ("operation", "request_", "code", "message"),
    [
        ("create", {"FunctionName": "g"}, "ResourceNotFoundException", "Function does not exist"),
        ("create", {"FunctionName": "f"}, "ResourceConflictException", "FunctionUrlConfig exists"),
        ("create", {"FunctionName": "f", "Qualifier": "no"}, "ResourceNotFoundException", "Function does not exist"),
        ("create", {"FunctionName": "f", "Qualifier": "$LATEST"}, "ValidationException", "at 'qualifier'"),
        ("create", {"FunctionName": "f:1"}, "ValidationException", "at 'qualifier'"),
        ("get", {"FunctionName": "g"}, "ResourceNotFoundException", "The resource you requested does not exist."),
        ("update", {"FunctionName": "g"}, "ResourceNotFoundException", "Function does not exist"),
        ("delete", {"FunctionName": "f:no"}, "ResourceNotFoundException", "The resource you requested does not exist."),
        ("list", {"FunctionName": "g"}, "ResourceNotFoundException", "Function does not exist"),
    ],
)
async def test_refusals(bench: Bench, operation: str, request_: Any, code: str, message: str) -> None:
    await bench.create()
    await bench.call("create_function_url_config", FunctionName="f", AuthType="NONE")
    if operation == "create":
        request_ = {"AuthType": "NONE", **request_}
    name = "list_function_url_configs" if operation == "list" else f"{operation}_function_url_config"
    with pytest.raises(AwsError) as refused:
        await bench.call(name, **request_)
    assert refused.value.code == code
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("answer", "status", "headers", "body"),
    [
        (b'"hello"', 200, [("content-type", "application/json")], b'"hello"'),
        (b'{"a":1}', 200, [("content-type", "application/json")], b'{"a":1}'),
        (b'{"statusCode":204}', 204, [("content-type", "application/json")], b""),
        (
            b'{"statusCode":"200","headers":{"X":[1,true]},"body":{"a":1}}',
            200,
            [("x", "1"), ("x", "true"), ("content-type", "application/json")],
            b'{"a": 1}',
        ),
    ],
)
def test_answers(answer: bytes, status: int, headers: Any, body: bytes) -> None:
    made = url_events.response(answer)
    assert (made.status, made.headers, made.body) == (status, headers, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        b'{"statusCode":true}',
        b'{"statusCode":99}',
        b'{"statusCode":200,"headers":{"a":"b\\r\\nc: d"}}',
        b'{"statusCode":200,"headers":[1]}',
        b'{"statusCode":200,"isBase64Encoded":true,"body":"?"}',
        b'{"statusCode":200,"cookies":["a\\n"]}',
    ],
)
def test_answers_that_are_none(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        url_events.response(answer)


def test_a_preflight_names_what_is_allowed_to_whom() -> None:
    cors = {"AllowOrigins": ["https://a"], "AllowMethods": ["GET", "PUT"], "AllowHeaders": ["x"], "MaxAge": 5}
    headers = {"origin": "https://a", "access-control-request-method": "PUT"}
    request = Request(method="OPTIONS", path="/", query="", headers=headers)
    assert url_cors.is_preflight(request)
    assert dict(url_cors.preflight(request, cors).headers) == {
        "content-type": "application/json",
        "access-control-allow-origin": "https://a",
        "vary": "Origin",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x",
        "access-control-max-age": "5",
    }
    stranger = Request(method="OPTIONS", path="/", query="", headers=headers | {"origin": "https://b"})
    assert url_cors.preflight(stranger, cors).headers == [("content-type", "application/json")]


# Over the wire.


class Caller:
    """Plain HTTP to a URL, by its host name or by its path."""

    def __init__(self, cloud: Cloud, url: str) -> None:
        self.host = urlsplit(url).hostname or ""
        self._address = urlsplit(cloud.endpoint).netloc

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[Any, bytes]:
        given = {"Host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection = http.client.HTTPConnection(self._address, timeout=20)
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def signed(self, path: str, region: str = "us-east-1", key: str = "test", secret: str = "test") -> Any:
        request = AWSRequest("GET", f"http://{self.host}{path}", headers={"Host": self.host})
        SigV4Auth(Credentials(key, secret), "lambda", region).add_auth(request)  # type: ignore[no-untyped-call]
        return self.ask("GET", path, **dict(request.headers.items()))


def allow_everyone(client: Any, name: str) -> None:
    client.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
        FunctionUrlAuthType="NONE",
    )  # fmt: skip
    client.add_permission(
        FunctionName=name, StatementId="invoke", Action="lambda:InvokeFunction", Principal="*",
        InvokedViaFunctionUrl=True,
    )  # fmt: skip


@pytest.mark.slow
def test_an_open_url(sqlite_only_cloud: Cloud) -> None:
    wire.make_role(sqlite_only_cloud)
    wire.make_function(sqlite_only_cloud, "f", wire.zipped(app_py=APP))
    client = sqlite_only_cloud.client("lambda")
    cors = {"AllowOrigins": ["https://a"], "AllowMethods": ["GET"]}
    url = client.create_function_url_config(FunctionName="f", AuthType="NONE", Cors=cors)["FunctionUrl"]
    caller = Caller(sqlite_only_cloud, url)
    # AWS: the resource policy has to say so, twice.
    response, body = caller.ask("GET", "/")
    assert (response.status, response.getheader("x-amzn-errortype")) == (403, "AccessDeniedException")
    assert json.loads(body)["Message"].startswith("Forbidden. For troubleshooting")
    allow_everyone(client, "f")

    response, body = caller.ask("POST", "/a%20b/c?x=1&x=2&y", b"form=1", Cookie="k=v; l=w", X_Up="Q",
                                Content_Type="application/x-www-form-urlencoded")  # fmt: skip
    event = json.loads(body)
    assert (response.status, response.getheader("content-type")) == (200, "application/json")
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a b/c")
    assert (event["rawQueryString"], event["queryStringParameters"]) == ("x=1&x=2&y", {"x": "1,2", "y": ""})
    assert (event["cookies"], event["headers"]["x-up"]) == (["k=v", "l=w"], "Q")
    assert (event["body"], event["isBase64Encoded"]) == (base64.b64encode(b"form=1").decode(), True)
    context = event["requestContext"]
    identity = caller.host.split(".")[0]
    assert (context["accountId"], context["apiId"], context["domainName"]) == ("anonymous", identity, caller.host)
    assert context["http"]["method"] == "POST"
    assert "authorizer" not in context

    response, body = caller.ask("GET", "/bytes", Origin="https://a")
    assert (response.status, body) == (201, b"\x00\xff")
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert response.getheader("access-control-allow-origin") == "https://a"
    response, _ = caller.ask("OPTIONS", "/", Origin="https://a", Access_Control_Request_Method="GET")
    assert (response.status, response.getheader("access-control-allow-methods")) == (200, "GET")

    assert caller.ask("GET", "/plain")[1] == b'"text"'
    for path in ("/fail", "/odd"):
        response, body = caller.ask("GET", path)
        assert (response.status, body) == (502, b"Internal Server Error")
    assert caller.ask("POST", "/", b"x" * (6 * 1024 * 1024 + 1))[0].status == 413
    by_path = Caller(sqlite_only_cloud, sqlite_only_cloud.endpoint)
    assert json.loads(by_path.ask("GET", f"/_aws/lambda-url/{identity}/p")[1])["rawPath"] == "/p"
    assert by_path.ask("GET", "/_aws/lambda-url/nobody/")[0].status == 404

    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    response, body = caller.ask("GET", "/")
    assert (response.status, json.loads(body)) == (
        429,
        {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."},
    )


@pytest.mark.slow
def test_a_signed_url(sqlite_only_cloud: Cloud) -> None:
    cloud = sqlite_only_cloud
    wire.make_role(cloud)
    wire.make_function(cloud, "f", wire.zipped(app_py=APP))
    url = cloud.client("lambda").create_function_url_config(FunctionName="f", AuthType="AWS_IAM")["FunctionUrl"]
    caller = Caller(cloud, url)
    assert caller.ask("GET", "/")[0].status == 403
    response, body = caller.signed("/x")
    assert response.status == 200, body
    context = json.loads(body)["requestContext"]
    assert (context["accountId"], context["authorizer"]["iam"]["accessKey"]) == ("000000000000", "test")
    assert caller.signed("/x", region="eu-west-1")[0].status == 403

    iam = cloud.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    keys = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    statement = {"Effect": "Allow", "Action": ["lambda:InvokeFunctionUrl"], "Resource": "*"}
    for actions, status in (
        (["lambda:InvokeFunctionUrl"], 403),
        (["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"], 200),
    ):
        statement["Action"] = actions
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
        assert caller.signed("/x", **keys)[0].status == status
    assert caller.signed("/x", key=key["AccessKeyId"], secret="wrong")[0].status == 403


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_a_url_that_streams(sqlite_only_cloud: Cloud) -> None:
    cloud = sqlite_only_cloud
    wire.make_role(cloud)
    client = cloud.client("lambda")
    for name, code, runtime, handler in (
        ("s", wire.zipped(index_js=STREAMS), "nodejs20.x", "index.handler"),
        ("p", wire.zipped(app_py=APP), "python3.11", "app.handler"),
    ):
        wire.make_function(cloud, name, code, Runtime=runtime, Handler=handler)
        allow_everyone(client, name)
    made = client.create_function_url_config(FunctionName="s", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    caller = Caller(cloud, made["FunctionUrl"])
    response, body = caller.ask("GET", "/")
    assert (response.status, body) == (202, b"one two")
    assert (response.getheader("x-b"), response.getheader("set-cookie")) == ("2", "c=3")
    assert response.getheader("content-type") == "text/plain"
    assert caller.ask("GET", "/early")[0].status == 502
    with pytest.raises(http.client.IncompleteRead):
        caller.ask("GET", "/midway")
    made = client.create_function_url_config(FunctionName="p", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    response, body = Caller(cloud, made["FunctionUrl"]).ask("GET", "/bytes")
    assert (response.status, json.loads(body)["statusCode"]) == (200, 201)
