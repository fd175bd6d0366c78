"""The article's image processor, as it is: deployed from its serverless.yml, with its layer, its role and its alias."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from pilotlight.testing.cloud import Cloud
from tests.clouds import has_python
from tests.journeys.commands import SAMPLES, attempt, pilotlight

BUCKET = "my-image-bucket-dev"
SAMPLE = str(SAMPLES / "image-processor")
WAIT_SECONDS = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason="the article's samples are not beside this checkout"),
    pytest.mark.skipif(not has_python(12), reason="the sample asks for Python 3.12"),
]


def wait_for(what: Callable[[], Any]) -> Any:
    """Real work in a real sandbox takes its time; what is waited for ends the wait."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def jpeg(width: int = 800, height: int = 600) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(data, "JPEG")
    return data.getvalue()


def get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture
def deployed(cloud: Cloud) -> Cloud:
    cloud.client("dynamodb").create_table(
        TableName="image-metadata-dev",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "image_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "image_id", "KeyType": "HASH"}],
    )
    pilotlight(cloud, "deploy", SAMPLE)
    return cloud


def upload(cloud: Cloud, key: str) -> None:
    cloud.client("s3").put_object(Bucket=BUCKET, Key=key, Body=jpeg(), ContentType="image/jpeg")


def thumbnail(cloud: Cloud, key: str) -> bytes:
    def found() -> bytes | None:
        try:
            body: bytes = cloud.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError:
            return None
        return body

    return bytes(wait_for(found))


def log_of(cloud: Cloud, function: str) -> str:
    return pilotlight(cloud, "logs", f"image-processor-dev-{function}")


def test_an_upload_becomes_a_thumbnail_and_an_item(deployed: Cloud) -> None:
    upload(deployed, "uploads/cat.jpg")
    assert Image.open(io.BytesIO(thumbnail(deployed, "thumbnails/cat.jpg"))).size == (320, 240)
    routes = deployed.client("apigatewayv2")
    api = routes.get_apis()["Items"][0]["ApiId"]
    url = f"{deployed.endpoint}/_aws/execute-api/{api}/images/"
    status, item = wait_for(lambda: (answer := get(url + "cat"))[0] == 200 and answer)
    assert status == 200
    assert (item["width"], item["height"], item["thumbnail_key"]) == ("320", "240", "thumbnails/cat.jpg")
    assert get(url + "none") == (404, {"error": "not found"})
    log = log_of(deployed, "processImage")
    assert "Cold start: initializing clients and dependencies" in log
    assert "INIT_START" in log


def test_the_provisioned_alias_takes_the_uploads(deployed: Cloud) -> None:
    functions = deployed.client("lambda")
    name = "image-processor-dev-processImage"
    config = functions.get_provisioned_concurrency_config(FunctionName=name, Qualifier="provisioned")
    assert (config["Status"], config["AllocatedProvisionedConcurrentExecutions"]) == ("READY", 5)
    upload(deployed, "uploads/dog.jpg")
    thumbnail(deployed, "thumbnails/dog.jpg")
    reports = wait_for(lambda: [line for line in log_of(deployed, "processImage").splitlines() if "REPORT" in line])
    assert len(reports) == 1
    assert log_of(deployed, "processImage").count("INIT_START") == 5
    cost = json.loads(pilotlight(deployed, "cost", "--json"))
    assert any("provisioned concurrency, arm64" in line["what"] for line in cost["lines"])


def test_what_the_filter_does_not_name_triggers_nothing(deployed: Cloud) -> None:
    upload(deployed, "uploads/cat.png")
    upload(deployed, "elsewhere/cat.jpg")
    upload(deployed, "uploads/last.jpg")
    thumbnail(deployed, "thumbnails/last.jpg")
    assert log_of(deployed, "processImage").count("START RequestId") == 1


def test_a_key_with_a_space_fails_as_on_aws(deployed: Cloud) -> None:
    upload(deployed, "uploads/my photo.jpg")
    # AWS: who may not list a bucket is not told that a key is missing, but that access is denied.
    wait_for(lambda: "AccessDenied" in log_of(deployed, "processImage"))
    deployed.clock.advance(minutes=4)
    assert log_of(deployed, "processImage").count("START RequestId") == 3


def test_without_its_permission_the_handler_is_refused_in_aws_words(deployed: Cloud) -> None:
    role = "image-processor-dev-us-east-1-lambdaRole"
    iam = deployed.client("iam")
    policy = iam.get_role_policy(RoleName=role, PolicyName="image-processor-dev-lambda")["PolicyDocument"]
    for statement in policy["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != "dynamodb:PutItem"]
    iam.put_role_policy(RoleName=role, PolicyName="image-processor-dev-lambda", PolicyDocument=json.dumps(policy))
    upload(deployed, "uploads/cat.jpg")
    expected = (
        f"User: arn:aws:sts::000000000000:assumed-role/{role}/image-processor-dev-processImage is not authorized to "
        "perform: dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/image-metadata-dev "
        "because no identity-based policy allows the dynamodb:PutItem action"
    )
    log = wait_for(lambda: (text := log_of(deployed, "processImage")) and "AccessDenied" in text and text)
    assert expected in log


def test_the_hundred_and_first_invocation_is_throttled(deployed: Cloud) -> None:
    functions = deployed.client("lambda")
    name = "image-processor-dev-processImage"
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)

    def invoke(number: int) -> str:
        try:
            functions.invoke(FunctionName=name, Qualifier="provisioned", Payload=b"{}")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "answered"

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(invoke, range(200)))
    assert set(answers) == {"answered", "TooManyRequestsException"}


def test_removing_is_refused_while_the_bucket_holds_objects(deployed: Cloud) -> None:
    upload(deployed, "elsewhere/kept.txt")
    refused = attempt(deployed, "remove", SAMPLE)
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    pilotlight(deployed, "remove", SAMPLE, "--empty-buckets")
    assert deployed.client("s3").list_buckets()["Buckets"] == []
    assert attempt(deployed, "remove", SAMPLE).returncode == 1
