"""The article's handlers, analysed and tuned by the commands."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from pilotlight.testing.cloud import Cloud
from tests.journeys.commands import SAMPLES, attempt, pilotlight

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason="the article's samples are not beside this checkout"),
]
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


@pytest.fixture
def functions(sqlite_only_cloud: Cloud) -> Any:
    """The article's smaller handlers, with their table."""
    cloud = sqlite_only_cloud
    cloud.client("dynamodb").create_table(
        TableName="my-table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="any", AssumeRolePolicyDocument=json.dumps({"Statement": [TRUST]}))["Role"]["Arn"]
    allow = {"Statement": [{"Effect": "Allow", "Action": ["dynamodb:*", "logs:*"], "Resource": "*"}]}
    iam.put_role_policy(RoleName="any", PolicyName="any", PolicyDocument=json.dumps(allow))
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(SAMPLES / "snippets" / "handlers.py", "handlers.py")
        archive.writestr("tests/test_it.py", "x = 1\n" * 1000)
    client = cloud.client("lambda")
    for name in ("handler", "handler_bad", "defensive"):
        client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=role,
            Handler=f"handlers.{name}",
            Code={"ZipFile": package.getvalue()},
            MemorySize=512,
            Timeout=10,
        )
    return client


def test_the_slower_handler_is_told_why(functions: Any, sqlite_only_cloud: Cloud) -> None:
    arguments = ["analyze", "handler_bad", "--payload", '{"id": "1"}', "--rounds", "1", "--json"]
    told = json.loads(pilotlight(sqlite_only_cloud, *arguments))
    (made,) = told["invocation"]["made"]
    assert (made["call"], made["at"].split(":")[0]) == ("boto3.resource('dynamodb')", "handlers.py")
    assert "made in every invocation (handlers.py:" in told["advice"][0]
    assert told["imports"][0]["module"] == "boto3"
    assert [cure["name"] for cure in told["cures"]][1] == "a slimmer package"
    assert told["weight"]["needless"] == 6000
    assert [one["FunctionName"] for one in functions.list_functions()["Functions"]] == [
        "defensive",
        "handler",
        "handler_bad",
    ]


def test_a_handler_that_makes_its_client_once_is_not_blamed(functions: Any, sqlite_only_cloud: Cloud) -> None:
    text = pilotlight(sqlite_only_cloud, "analyze", "handler", "--payload", '{"id": "1"}', "--rounds", "1")
    assert "in every invocation" not in text
    assert "start            cold" in text


def test_without_a_payload_the_handler_is_not_called(functions: Any, sqlite_only_cloud: Cloud) -> None:
    told = json.loads(pilotlight(sqlite_only_cloud, "analyze", "defensive", "--rounds", "1", "--json"))
    assert told["invocation"] is None


def test_sizes_are_tuned(functions: Any, sqlite_only_cloud: Cloud) -> None:
    arguments = ["tune", "defensive", "--payload", '{"items": [1, 2]}', "--sizes", "512,128", "--runs", "2", "--json"]
    told = json.loads(pilotlight(sqlite_only_cloud, *arguments))
    assert [point["memory_mb"] for point in told["points"]] == [128, 512]
    assert told["cheapest"] in (128, 512)
    assert told["points"][0]["dollars"] < 1


def test_the_third_handler_answers_shortly_before_its_time_is_up(functions: Any) -> None:
    functions.update_function_configuration(FunctionName="defensive", Timeout=4)
    answer = functions.invoke(FunctionName="defensive", Payload=json.dumps({"items": [1, 2]}).encode())
    assert json.load(answer["Payload"])["statusCode"] == 202


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("analyze", "nobody"), "Function not found"),
        (("tune", "nobody"), "Function not found"),
        (("tune", "handler", "--sizes", "64"), "memory is between 128 and 10240 MB"),
        (("tune", "handler", "--sizes", "big"), "sizes in MB"),
        (("tune", "defensive", "--payload", "{}", "--sizes", "128"), "it failed at every size"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    functions: Any, sqlite_only_cloud: Cloud, arguments: tuple[str, ...], said: str
) -> None:
    done = attempt(sqlite_only_cloud, *arguments)
    assert done.returncode != 0
    assert said in done.stderr
