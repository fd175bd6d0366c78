"""State machines over the wire: their API, real functions, waits on the cloud's clock, and a kill in between."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/machine"
ACTIONS = ("lambda:*", "dynamodb:*", "s3:*", "states:*")
PIPELINE = Path(__file__).parents[4] / "shared" / "acceptance" / "image-pipeline" / "state-machine.asl.json"
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
Machine = Callable[..., str]


@pytest.fixture
def sfn(cloud: Cloud) -> Any:
    make_role(cloud)
    # The SDK puts "sync-" before the endpoint's name for StartSyncExecution; an address has none.
    return cloud.client("stepfunctions", config=Config(inject_host_prefix=False))


def make_role(cloud: Cloud, actions: Sequence[str] = ACTIONS, **options: Any) -> None:
    trusted = {"Effect": "Allow", "Principal": {"Service": ["states.amazonaws.com", "lambda.amazonaws.com"]}}
    allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    iam = cloud.client("iam", **options)
    trust = {"Version": "2012-10-17", "Statement": [{**trusted, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName="machine", AssumeRolePolicyDocument=json.dumps(trust))
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_role_policy(RoleName="machine", PolicyName="all", PolicyDocument=json.dumps(policy))


def machine(sfn: Any, definition: Any, name: str = "m", **options: Any) -> str:
    made = sfn.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE, **options)
    return str(made["stateMachineArn"])


def ended(sfn: Any, arn: str) -> dict[str, Any]:
    for _ in range(1000):
        told: dict[str, Any] = sfn.describe_execution(executionArn=arn)
        if told["status"] != "RUNNING":
            return told
        time.sleep(0.01)
    raise AssertionError(sfn.get_execution_history(executionArn=arn))


def function(client: Any, name: str, body: str, role: str = ROLE) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", body)
    client.create_function(
        FunctionName=name, Runtime="python3.11", Role=role, Handler="app.handler", Code={"ZipFile": packed.getvalue()}
    )


def kinds(sfn: Any, arn: str) -> list[str]:
    pages = sfn.get_paginator("get_execution_history").paginate(executionArn=arn, PaginationConfig={"PageSize": 7})
    return [one["type"] for page in pages for one in page["events"]]


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as failed:
        call(**request)
    error = failed.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_machine_is_made_described_changed_and_deleted(sfn: Any) -> None:
    arn = machine(sfn, PASS)
    assert arn == f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"
    assert machine(sfn, PASS) == arn
    told = sfn.describe_state_machine(stateMachineArn=arn)
    assert (told["status"], told["type"], told["roleArn"]) == ("ACTIVE", "STANDARD", ROLE)
    assert json.loads(told["definition"]) == PASS
    assert refused(
        sfn.create_state_machine, name="m", definition=json.dumps({**PASS, "Comment": "c"}), roleArn=ROLE
    ) == (
        "StateMachineAlreadyExists",
        f"State Machine Already Exists: '{arn}'",
    )
    assert sfn.update_state_machine(stateMachineArn=arn, definition=json.dumps({**PASS, "Comment": "c"}))["revisionId"]
    assert [one["name"] for one in sfn.list_state_machines()["stateMachines"]] == ["m"]
    sfn.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    assert sfn.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]
    sfn.delete_state_machine(stateMachineArn=arn)
    assert refused(sfn.describe_state_machine, stateMachineArn=arn)[0] == "StateMachineDoesNotExist"


def test_what_is_refused(sfn: Any) -> None:
    code, message = refused(sfn.create_state_machine, name="m", definition='{"StartAt": "A"}', roleArn=ROLE)
    assert code == "InvalidDefinition"
    assert message.startswith("Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: ")
    assert refused(sfn.create_state_machine, name="m m", definition=json.dumps(PASS), roleArn=ROLE)[0] == "InvalidName"
    assert refused(sfn.create_state_machine, name="m", definition=json.dumps(PASS), roleArn="me")[0] == "InvalidArn"
    assert refused(sfn.start_execution, stateMachineArn="x")[0] == "InvalidArn"
    arn = machine(sfn, PASS)
    assert refused(sfn.start_execution, stateMachineArn=arn + "x")[0] == "StateMachineDoesNotExist"
    assert refused(sfn.start_execution, stateMachineArn=arn, input="{")[0] == "InvalidExecutionInput"
    assert refused(sfn.start_sync_execution, stateMachineArn=arn)[0] == "StateMachineTypeNotSupported"
    assert refused(sfn.describe_execution, executionArn=arn.replace("stateMachine", "execution") + ":e")[0] == (
        "ExecutionDoesNotExist"
    )
    assert refused(sfn.send_task_success, taskToken="t", output="{}")[0] == "InvalidToken"


def test_an_execution_and_its_history(sfn: Any) -> None:
    arn = machine(sfn, PASS)
    begun = sfn.start_execution(stateMachineArn=arn, name="e", input='{"a": 1}')["executionArn"]
    told = ended(sfn, begun)
    assert (told["status"], told["output"], told["name"]) == ("SUCCEEDED", '{"a":1}', "e")
    assert kinds(sfn, begun) == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    backwards = sfn.get_execution_history(executionArn=begun, reverseOrder=True, maxResults=1)
    assert [one["id"] for one in backwards["events"]] == [4]
    assert refused(sfn.start_execution, stateMachineArn=arn, name="e", input='{"a": 2}')[0] == "ExecutionAlreadyExists"
    listed = sfn.list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")["executions"]
    assert [one["executionArn"] for one in listed] == [begun]
    assert sfn.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"] == []


def test_a_year_passes(cloud: Cloud, sfn: Any) -> None:
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 365 * 86_400, "End": True}}}
    arn = machine(sfn, wait)
    begun = sfn.start_execution(stateMachineArn=arn, name="e")["executionArn"]
    assert sfn.start_execution(stateMachineArn=arn, name="e")["executionArn"] == begun
    cloud.clock.advance(days=364)
    assert sfn.describe_execution(executionArn=begun)["status"] == "RUNNING"
    cloud.clock.advance(days=1, seconds=1)
    assert ended(sfn, begun)["status"] == "SUCCEEDED"


def test_an_execution_is_stopped(sfn: Any) -> None:
    arn = machine(sfn, {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 100, "End": True}}})
    begun = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    sfn.stop_execution(executionArn=begun, error="E", cause="because")
    told = ended(sfn, begun)
    assert (told["status"], told["error"], told["cause"]) == ("ABORTED", "E", "because")
    assert kinds(sfn, begun)[-1] == "ExecutionAborted"


def test_an_express_execution_answers_at_once(sfn: Any) -> None:
    arn = machine(sfn, PASS, type="EXPRESS")
    told = sfn.start_sync_execution(stateMachineArn=arn, input='{"a": 1}')
    assert (told["status"], told["output"]) == ("SUCCEEDED", '{"a":1}')
    assert ":express:m:" in told["executionArn"]


def test_services_are_called_as_the_role(cloud: Cloud, sfn: Any) -> None:
    cloud.client("dynamodb").create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"TableName": "table", "Item": {"k": {"S.$": "$.id"}}},
        "ResultPath": None,
        "Next": "Get",
    }
    get = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem",
        "Parameters": {"TableName": "table", "Key": {"k": {"S.$": "$.id"}}},
        "ResultSelector": {"found.$": "$.Item.k.S"},
        "Next": "Bad",
    }
    bad = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": f"http://localhost/{ACCOUNT}/q", "MessageBody": "x"},
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "End"}],
        "Next": "End",
    }
    states = {"Put": put, "Get": get, "Bad": bad, "End": {"Type": "Succeed"}}
    begun = sfn.start_execution(stateMachineArn=machine(sfn, {"StartAt": "Put", "States": states}), input='{"id":"i"}')
    told = ended(sfn, begun["executionArn"])
    assert told["status"] == "SUCCEEDED", told
    output = json.loads(told["output"])
    assert output["found"] == "i"
    assert output["error"]["Error"].startswith(("SQS.", "States.Runtime"))


@pytest.mark.parametrize("first", ["sqs:*", "s3:*"])
def test_what_a_role_was_allowed_is_forgotten_with_it(cloud: Cloud, first: str) -> None:
    """A role of the same name, made in as many steps after a reset, is another role."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": f"http://localhost/{ACCOUNT}/q", "MessageBody": "x"},
        "End": True,
    }
    for action in (first, "s3:*" if first == "sqs:*" else "sqs:*"):
        cloud.reset()
        make_role(cloud, [action])
        cloud.client("sqs").create_queue(QueueName="q")
        sfn = cloud.client("stepfunctions")
        arn = machine(sfn, {"StartAt": "T", "States": {"T": task}})
        told = ended(sfn, sfn.start_execution(stateMachineArn=arn)["executionArn"])
        assert told["status"] == ("SUCCEEDED" if action == "sqs:*" else "FAILED"), told


def test_a_token_is_answered_once(cloud: Cloud, sfn: Any) -> None:
    function(cloud.client("lambda"), "keeper", KEEPER)
    cloud.client("s3").create_bucket(Bucket="tokens")
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "keeper", "Payload": {"token.$": "$$.Task.Token"}},
        "HeartbeatSeconds": 60,
        "End": True,
    }
    begun = sfn.start_execution(stateMachineArn=machine(sfn, {"StartAt": "Ask", "States": {"Ask": ask}}))
    s3 = cloud.client("s3")
    for _ in range(1000):
        if "TaskSubmitted" in kinds(sfn, begun["executionArn"]):
            break
        time.sleep(0.01)
    token = s3.get_object(Bucket="tokens", Key="token")["Body"].read().decode()
    sfn.send_task_heartbeat(taskToken=token)
    assert refused(sfn.send_task_success, taskToken=token[:-8] + "AAAAAAAA", output="1")[0] == "InvalidToken"
    sfn.send_task_success(taskToken=token, output='{"yes": true}')
    assert ended(sfn, begun["executionArn"])["output"] == '{"yes":true}'
    assert refused(sfn.send_task_success, taskToken=token, output="1")[0] == "TaskTimedOut"


KEEPER = """
import boto3
def handler(event, context):
    boto3.client('s3').put_object(Bucket='tokens', Key='token', Body=event['token'])
"""
WORKER = """
def handler(event, context):
    if event.get('bad') == context.function_name:
        raise ValidationError('not an image')
    return {**event, context.function_name.replace('-', '_'): True}

class ValidationError(Exception):
    pass
"""


@pytest.mark.slow
@pytest.mark.skipif(not PIPELINE.exists(), reason="the article's samples are not beside this checkout")
def test_the_articles_pipeline(sqlite_only_cloud: Cloud) -> None:
    cloud = sqlite_only_cloud
    keys = {"aws_access_key_id": "000000000123", "aws_secret_access_key": "test"}
    make_role(cloud, **keys)
    role = ROLE.replace(ACCOUNT, "000000000123")
    definition = json.loads(PIPELINE.read_text())
    names = ("validate-image", "convert-to-jpeg", "thumbnail", "metadata", "moderate", "store-results", "reject-image")
    for name in names:
        function(cloud.client("lambda", **keys), name, WORKER, role)
    sfn = cloud.client("stepfunctions", **keys)
    made = sfn.create_state_machine(name="pipeline", definition=json.dumps(definition), roleArn=role)
    raw = sfn.start_execution(stateMachineArn=made["stateMachineArn"], input='{"format": "RAW"}')["executionArn"]
    jpeg = sfn.start_execution(stateMachineArn=made["stateMachineArn"], input='{"format": "JPEG"}')["executionArn"]
    bad = sfn.start_execution(stateMachineArn=made["stateMachineArn"], input='{"bad": "validate-image"}')[
        "executionArn"
    ]
    for _ in range(300):
        if kinds(sfn, bad).count("LambdaFunctionFailed") == 1 and "ParallelStateExited" in kinds(sfn, raw):
            break
        time.sleep(0.05)
    assert ("ConvertToJPEG" in entered(sfn, raw), "ConvertToJPEG" in entered(sfn, jpeg)) == (True, False)
    cloud.clock.advance(seconds=15)
    # AWS: States.TaskFailed is every task's error, so it is tried three times more before it is caught.
    assert kinds(sfn, bad).count("LambdaFunctionFailed") == 4
    assert "RejectImage" in entered(sfn, bad)


def entered(sfn: Any, arn: str) -> list[str]:
    events = sfn.get_execution_history(executionArn=arn, maxResults=1000)["events"]
    return [one["stateEnteredEventDetails"]["name"] for one in events if "stateEnteredEventDetails" in one]


def test_a_template_makes_a_machine(cloud: Cloud, sfn: Any) -> None:
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "${word}", "End": True}}})
    properties = {
        "DefinitionString": definition,
        "DefinitionSubstitutions": {"word": "yes"},
        "RoleArn": ROLE,
        "LoggingConfiguration": {"Level": "OFF"},
    }
    template = {"Resources": {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}
    formation = cloud.client("cloudformation")
    formation.create_stack(StackName="s", TemplateBody=json.dumps(template))
    formation.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    [made] = sfn.list_state_machines()["stateMachines"]
    begun = sfn.start_execution(stateMachineArn=made["stateMachineArn"])["executionArn"]
    assert ended(sfn, begun)["output"] == '"yes"'
    formation.delete_stack(StackName="s")
    formation.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    assert sfn.list_state_machines()["stateMachines"] == []
