"""`onError`, `destinations`, retries and durability in a serverless.yml, as the Serverless Framework compiles them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilotlight.deploy.serverless import service, template
from pilotlight.deploy.serverless.service import ServiceError

HEAD = """service: s
provider:
  name: aws
  runtime: python3.12
functions:
  g:
    handler: a.g
  f:
    handler: a.f
"""


def compiled(folder: Path, lines: str) -> dict[str, Any]:
    (folder / "serverless.yml").write_text(HEAD + "".join(f"    {line}\n" for line in lines.splitlines()))
    made = service.load(folder, options={}, environment={})
    resources: dict[str, Any] = template.full_template(made, {"f": "k", "g": "k"}, {"f": "d", "g": "d"})["Resources"]
    return resources


def granted(resources: dict[str, Any]) -> list[Any]:
    (policy,) = resources["IamRoleLambdaExecution"]["Properties"]["Policies"]
    return [one["Resource"] for one in policy["PolicyDocument"]["Statement"] if "logs" not in one["Action"][0]]


def test_destinations_and_their_permissions(tmp_path: Path) -> None:
    resources = compiled(
        tmp_path,
        "maximumRetryAttempts: 0\nmaximumEventAge: 60\ndestinations:\n  onSuccess: g\n"
        "  onFailure:\n    type: sqs\n    arn: {'Fn::GetAtt': [Q, Arn]}",
    )
    assert resources["FLambdaEvConf"] == {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "FunctionName": {"Ref": "FLambdaFunction"},
            "Qualifier": "$LATEST",
            "DestinationConfig": {
                "OnSuccess": {"Destination": {"Fn::GetAtt": ["GLambdaFunction", "Arn"]}},
                "OnFailure": {"Destination": {"Fn::GetAtt": ["Q", "Arn"]}},
            },
            "MaximumEventAgeInSeconds": 60,
            "MaximumRetryAttempts": 0,
        },
    }
    name = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:s-dev-g"
    assert granted(resources) == [{"Fn::Sub": name}, {"Fn::GetAtt": ["Q", "Arn"]}]
    assert "GLambdaEvConf" not in resources


def test_a_role_of_the_functions_own_is_left_alone(tmp_path: Path) -> None:
    role = "arn:aws:iam::000000000000:role/own"
    queue = "arn:aws:sqs:us-east-1:000000000000:q"
    resources = compiled(tmp_path, f"role: {role}\ndestinations:\n  onFailure: {queue}")
    assert granted(resources) == []


def test_a_dead_letter_queue_is_a_reference(tmp_path: Path) -> None:
    resources = compiled(tmp_path, "onError: {'Fn::GetAtt': [Q, Arn]}")
    assert resources["FLambdaFunction"]["Properties"]["DeadLetterConfig"] == {"TargetArn": {"Fn::GetAtt": ["Q", "Arn"]}}


def test_a_durable_function_may_write_its_checkpoints(tmp_path: Path) -> None:
    resources = compiled(tmp_path, "durableConfig:\n  executionTimeout: 3600\n  retentionPeriodInDays: 7")
    durable = {"ExecutionTimeout": 3600, "RetentionPeriodInDays": 7}
    assert resources["FLambdaFunction"]["Properties"]["DurableConfig"] == durable
    assert "DurableConfig" not in resources["GLambdaFunction"]["Properties"]
    (policy,) = resources["IamRoleLambdaExecution"]["Properties"]["ManagedPolicyArns"]
    assert policy["Fn::Sub"].endswith("AWSLambdaBasicDurableExecutionRolePolicy")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("durableConfig: {retentionPeriodInDays: 1}", "durableConfig: executionTimeout missing"),
        ("durableConfig: {executionTimeout: 1, x: 1}", "durableConfig: x"),
        ("onError: q", "functions.f.onError must be an ARN"),
        ("onError: arn:aws:sqs:us-east-1:000000000000:q", "takes a queue as Fn::GetAtt"),
        ("destinations:\n  onFailure: nobody", "there is no function nobody"),
        ("destinations:\n  onAnything: g", "onAnything is not supported"),
        ("destinations:\n  onFailure: {arn: {Ref: Q}}", "type missing is not supported"),
    ],
)
def test_what_is_refused(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(ServiceError, match=words):
        compiled(tmp_path, lines)
