"""What LocalStack's users expect at once, and what no web page may do."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.clouds import ISOLATION

from pilotlight.testing.cloud import Cloud, start


def fetch(url: str, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(
        url, data=data, method=method, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, context=context) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
            return error.code, json.loads(body) if body.startswith(b"{") else body


def test_health_is_told_on_both_pages(sqlite_only_cloud: Cloud) -> None:
    status, ours = fetch(sqlite_only_cloud.endpoint + "/_pilotlight/health")
    assert (status, ours["status"]) == (200, "ready")
    status, theirs = fetch(sqlite_only_cloud.endpoint + "/_localstack/health")
    assert status == 200
    assert theirs["services"]["s3"] == "running"
    assert fetch(sqlite_only_cloud.endpoint + "/_localstack/init")[1]["completed"]["READY"] is True


def test_http_and_https_share_the_port(sqlite_only_cloud: Cloud) -> None:
    secure = sqlite_only_cloud.endpoint.replace("http:", "https:")
    assert fetch(secure + "/_pilotlight/health")[0] == 200
    client = boto3.client(
        "s3",
        endpoint_url=secure,
        verify=False,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with pytest.warns(Warning, match="Unverified HTTPS"):
        client.create_bucket(Bucket="secure")


def test_a_reset_forgets_everything(sqlite_only_cloud: Cloud) -> None:
    sqlite_only_cloud.client("s3").create_bucket(Bucket="forgotten")
    assert fetch(sqlite_only_cloud.endpoint + "/_localstack/state/reset", "POST")[0] == 200
    assert sqlite_only_cloud.client("s3").list_buckets()["Buckets"] == []


def test_a_twelve_digit_key_is_an_account(sqlite_only_cloud: Cloud) -> None:
    other = sqlite_only_cloud.client("sts", aws_access_key_id="111122223333")
    assert other.get_caller_identity()["Account"] == "111122223333"
    assert sqlite_only_cloud.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_an_api_takes_its_id_from_a_tag(sqlite_only_cloud: Cloud) -> None:
    api = sqlite_only_cloud.client("apigatewayv2").create_api(
        Name="a", ProtocolType="HTTP", Tags={"_custom_id_": "myapi"}
    )
    assert api["ApiId"] == "myapi"
    status, body = fetch(sqlite_only_cloud.endpoint + "/_aws/execute-api/myapi/x")
    assert (status, body) == (404, {"message": "Not Found"})
    assert fetch(sqlite_only_cloud.endpoint + "/x", Host="myapi.execute-api.localhost.localstack.cloud")[0] == 404


def test_an_api_made_anew_under_its_old_id_is_the_new_one(sqlite_only_cloud: Cloud) -> None:
    apis = sqlite_only_cloud.client("apigatewayv2")
    request = {"Name": "a", "ProtocolType": "HTTP", "Tags": {"_custom_id_": "myapi"}}
    url = sqlite_only_cloud.endpoint + "/_aws/execute-api/myapi/x"
    target = "arn:aws:lambda:us-east-1:000000000000:function:gone"
    for origin in ("https://old.example", "https://new.example"):
        apis.create_api(**request, Target=target, CorsConfiguration={"AllowOrigins": [origin]})
        asking = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        with urllib.request.urlopen(urllib.request.Request(url, method="OPTIONS", headers=asking)) as answer:
            assert answer.headers["access-control-allow-origin"] == origin
        apis.delete_api(ApiId="myapi")


def test_what_is_not_there_is_refused_by_name(sqlite_only_cloud: Cloud) -> None:
    with pytest.raises(ClientError) as error:
        sqlite_only_cloud.client("kinesis").list_streams()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "kinesis" in str(error.value)
    with pytest.raises(ClientError, match="s3:GetBucketInventoryConfiguration"):
        sqlite_only_cloud.client("s3").get_bucket_inventory_configuration(Bucket="b", Id="i")


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Host": "evil.example"}]
)
def test_a_web_page_reaches_nothing(sqlite_only_cloud: Cloud, headers: dict[str, str]) -> None:
    for path in ("/_pilotlight/health", "/_pilotlight/reset", "/"):
        assert fetch(sqlite_only_cloud.endpoint + path, "POST", b"{}", **headers)[0] == 403


def test_wrong_secrets_of_issued_keys_are_refused(sqlite_only_cloud: Cloud) -> None:
    iam = sqlite_only_cloud.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    for service, operation, code in (
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
        ("dynamodb", "list_tables", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
    ):
        client = sqlite_only_cloud.client(
            service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key="wrong" * 8
        )
        with pytest.raises(ClientError) as error:
            getattr(client, operation)()
        assert error.value.response["Error"]["Code"] == code


@pytest.mark.slow
def test_scripts_run_when_the_cloud_is_ready(tmp_path: Path) -> None:
    script = tmp_path / "10-bucket.py"
    script.write_text("import boto3\nboto3.client('s3').create_bucket(Bucket='from-a-script')\n")
    with start(options=ISOLATION, environment={"PILOTLIGHT_READY_DIR": str(tmp_path)}) as cloud:
        assert [one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]] == ["from-a-script"]
        assert fetch(cloud.endpoint + "/_localstack/init")[1]["scripts"][0]["state"] == "SUCCESSFUL"


@pytest.mark.slow
def test_data_outlive_the_process_unless_told_otherwise(tmp_path: Path) -> None:
    for expected in ([], ["kept"]):
        with start(options=ISOLATION, directory=tmp_path) as cloud:
            assert [one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]] == expected
            if not expected:
                cloud.client("s3").create_bucket(Bucket="kept")
    with start(options=ISOLATION, directory=tmp_path, environment={"PERSISTENCE": "0"}) as cloud:
        assert cloud.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.slow
def test_a_second_cloud_in_one_directory_says_who_has_it(sqlite_only_cloud: Cloud) -> None:
    command = [sys.executable, "-m", "pilotlight", "up", "--port", "0", "--data"]
    command += [str(sqlite_only_cloud.directory / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 1
    assert sqlite_only_cloud.process is not None
    assert f"in use by process {sqlite_only_cloud.process.pid}" in done.stderr


@pytest.mark.slow
def test_the_aws_cli_finds_the_cloud_by_its_environment(sqlite_only_cloud: Cloud) -> None:
    aws = [str(Path(sys.executable).parent / "aws")]
    environment = {**os.environ, **sqlite_only_cloud.environment}

    def run(*arguments: str) -> Any:
        done = subprocess.run([*aws, *arguments], capture_output=True, text=True, check=True, env=environment)
        return json.loads(done.stdout or "null")

    run("s3api", "create-bucket", "--bucket", "by-cli")
    assert run("s3api", "list-buckets", "--query", "Buckets[].Name") == ["by-cli"]
    assert run("sts", "get-caller-identity")["Account"] == "000000000000"


def test_virtual_host_buckets_are_found(sqlite_only_cloud: Cloud) -> None:
    sqlite_only_cloud.client("s3").create_bucket(Bucket="virtual")
    client = boto3.client(
        "s3",
        endpoint_url=sqlite_only_cloud.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )
    client.put_object(Bucket="virtual", Key="k", Body=b"x")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "virtual", "Key": "k"})
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"x"


@pytest.mark.parametrize("service", ["iam", "dynamodb"])
def test_what_is_larger_than_any_operation_takes_is_refused_in_the_services_words(
    sqlite_only_cloud: Cloud, service: str
) -> None:
    """Before it is sent: by what it says of itself."""
    host, port = sqlite_only_cloud.endpoint.removeprefix("http://").split(":")
    scope = (
        f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
    head = [
        "POST / HTTP/1.1", f"host: {host}:{port}", f"authorization: {scope}", "x-amz-target: DynamoDB_20120810.GetItem",
        "content-length: 200000000", "", "",
    ]  # fmt: skip
    if service == "iam":
        del head[3]
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall("\r\n".join(head).encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"RequestEntityTooLarge" in answer
