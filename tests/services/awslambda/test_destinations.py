"""Dead-letter queues and destinations: what may be set, what is sent, and that it arrives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.delivery.dispatcher import Dispatcher
from pilotlight.delivery.targets.lambda_async import LambdaAsync
from pilotlight.delivery.targets.lambda_invoke import LambdaInvoke
from pilotlight.delivery.targets.publishing import Publishing
from pilotlight.delivery.targets.storing import Storing
from pilotlight.engine.contract import Outcome
from pilotlight.errors import AwsError
from pilotlight.ids import Ids
from pilotlight.testing.cloud import Cloud
from tests.services.awslambda import wire
from tests.services.awslambda.surroundings import ACCOUNT, Bench

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
BUCKET = "arn:aws:s3:::b"
ERROR = Outcome(payload=b'{"errorMessage":"no\\u0000 way","errorType":"E"}', function_error="Unhandled")
PUT = "put_function_event_invoke_config"


async def refused(bench: Bench, operation: str, **request: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as refusal:
        await bench.call(operation, **request)
    return refusal.value.code, refusal.value.message


async def deliver(bench: Bench) -> None:
    targets = {
        "lambda_async": LambdaAsync(bench.parts.asynchronous),
        "lambda_invoke": LambdaInvoke(bench.shelf, bench.clock),
        "publish": Publishing(bench.shelf, bench.clock),
        "put_object": Storing(bench.shelf, bench.clock),
    }
    dispatcher = Dispatcher(bench.database, targets, bench.clock, Ids())
    due_ms = await dispatcher.work()
    while due_ms is not None:
        bench.clock.advance_to(due_ms)
        due_ms = await dispatcher.work()


async def test_a_dead_letter_queue_is_kept_shown_and_taken_away(bench: Bench) -> None:
    config = {"TargetArn": QUEUE}
    assert (await bench.create(DeadLetterConfig=config))["DeadLetterConfig"] == config
    version = await bench.call("publish_version", FunctionName="f")
    bare = await bench.call("update_function_configuration", FunctionName="f", DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in bare
    assert version["DeadLetterConfig"] == config


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        (f"arn:aws:sns:us-east-1:{ACCOUNT}:t", "NotImplemented", "topics of SNS"),
        (f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:g", "InvalidParameterValueException", "DeadLetterConfig(target"),
        (f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q", "InvalidParameterValueException", "is invalid."),
    ],
)
async def test_what_is_no_dead_letter_queue(bench: Bench, target: str, code: str, message: str) -> None:
    with pytest.raises(AwsError) as refusal:
        await bench.create(DeadLetterConfig={"TargetArn": target})
    assert refusal.value.code == code
    assert message in refusal.value.message


async def test_the_role_must_be_allowed_to_send(bench: Bench) -> None:
    await bench.create("dead", DeadLetterConfig={"TargetArn": QUEUE})
    await bench.create()
    await bench.create("g")
    bench.shelf.denied = {"sqs:SendMessage", "s3:ListBucket", "lambda:InvokeFunction"}
    expected = (
        "InvalidParameterValueException",
        "The provided execution role does not have permissions to call SendMessage on SQS",
    )
    update = "update_function_configuration"
    assert await refused(bench, update, FunctionName="f", DeadLetterConfig={"TargetArn": QUEUE}) == expected
    role = f"arn:aws:iam::{ACCOUNT}:role/other"
    assert await refused(bench, update, FunctionName="dead", Role=role) == expected
    await bench.call(update, FunctionName="dead", MemorySize=256)  # what was there before is not looked at again
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:g"
    for target, action in ((QUEUE, "SendMessage"), (BUCKET, "ListBucket"), (function, "InvokeFunction")):
        config = {"OnFailure": {"Destination": target}}
        assert await refused(bench, PUT, FunctionName="f", DestinationConfig=config) == (
            "InvalidParameterValueException",
            f"The function's execution role does not have permissions to call {action} on {target}",
        )


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ({"OnSuccess": {"Destination": BUCKET}}, "", f"OnSuccess(destination={BUCKET}), onFailure=null) is invalid."),
        ({"OnFailure": {"Destination": "arn:aws:ec2:us-east-1:0:x"}}, "", "onSuccess=null, onFailure=OnFailure(desti"),
        ({"OnFailure": {"Destination": f"arn:aws:sns:us-east-1:{ACCOUNT}:t"}}, "NotImplemented", "topics of SNS"),
        ({"OnSuccess": {"Destination": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/b"}}, "NotImplemented", "event"),
        (
            {"OnSuccess": {"Destination": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f:live"}},
            "",
            "You can't specify the function as a destination for itself.",
        ),
        (
            {"OnSuccess": {"Destination": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:nobody"}},
            "",
            f"The destination ARN arn:aws:lambda:us-east-1:{ACCOUNT}:function:nobody is invalid.",
        ),
        ({"OnFailure": {"Destination": QUEUE.replace("us-east", "eu-west")}}, "", "The destination ARN"),
    ],
)
async def test_what_is_no_destination(bench: Bench, config: dict[str, Any], code: str, message: str) -> None:
    await bench.create()
    told = await refused(bench, PUT, FunctionName="f", DestinationConfig=config)
    assert told[0] == (code or "InvalidParameterValueException")
    assert message in told[1]


@pytest.mark.parametrize(("target", "code"), [(QUEUE, "QueueDoesNotExist"), (BUCKET, "NoSuchBucket")])
async def test_a_destination_that_is_not_there(bench: Bench, target: str, code: str) -> None:
    await bench.create()

    def missing(params: object) -> dict[str, Any]:
        raise AwsError(code, "gone")

    bench.shelf.answer = missing
    config = {"OnFailure": {"Destination": target}}
    assert await refused(bench, PUT, FunctionName="f", DestinationConfig=config) == (
        "InvalidParameterValueException",
        f"The destination ARN {target} is invalid.",
    )


async def test_executions_of_durable_functions_have_neither(bench: Bench) -> None:
    durable = {"DurableConfig": {"ExecutionTimeout": 60}}
    with pytest.raises(AwsError, match="dead-letter queue of a durable function"):
        await bench.create(DeadLetterConfig={"TargetArn": QUEUE}, **durable)
    await bench.create(**durable)
    update = "update_function_configuration"
    assert (await refused(bench, update, FunctionName="f", DeadLetterConfig={"TargetArn": QUEUE}))[
        0
    ] == "NotImplemented"
    assert (await refused(bench, PUT, FunctionName="f", MaximumRetryAttempts=1))[0] == "NotImplemented"


async def test_a_failed_event_becomes_a_dead_letter_beside_its_record(bench: Bench) -> None:
    await bench.create(DeadLetterConfig={"TargetArn": QUEUE})
    await bench.call(
        PUT, FunctionName="f", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": QUEUE}}
    )
    bench.shelf.calls.clear()
    bench.engine.answers = [ERROR]
    await bench.call("invoke", FunctionName="f", InvocationType="Event", Payload=b'{"a":1}')
    await deliver(bench)
    letter, record = sorted(
        (params for _, _, params, _ in bench.shelf.calls), key=lambda params: len(params["MessageBody"])
    )
    assert {caller.kind for *_, caller in bench.shelf.calls} == {"role"}
    assert letter["MessageBody"] == '{"a":1}'
    told = json.loads(record["MessageBody"])
    assert told["requestContext"]["condition"] == "RetriesExhausted"
    assert letter["MessageAttributes"] == {
        "RequestID": {"DataType": "String", "StringValue": told["requestContext"]["requestId"]},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "no way"},
    }
    assert "MessageAttributes" not in record


async def test_a_function_without_concurrency_hands_its_events_on_at_once(bench: Bench) -> None:
    await bench.create(DeadLetterConfig={"TargetArn": QUEUE})
    await bench.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=0)
    await bench.call("invoke", FunctionName="f", InvocationType="Event", Payload=b"1")
    await deliver(bench)
    ((_, _, letter, _),) = bench.shelf.calls
    assert letter["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"
    assert bench.engine.invocations == []


@pytest.mark.parametrize(("code", "tries"), [("AccessDenied", 1), ("SlowDown", 3)])
async def test_a_record_is_stored_under_one_key_whatever_happens(bench: Bench, code: str, tries: int) -> None:
    await bench.create()
    await bench.call(
        PUT, FunctionName="f", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": BUCKET}}
    )
    bench.shelf.calls.clear()
    bench.shelf.objects = {}
    stored: list[str] = []
    real = bench.shelf.call

    async def call(service: str, operation: str, params: Any, caller: Any) -> dict[str, Any]:
        if operation != "PutObject":
            return await real(service, operation, params, caller)
        stored.append(params["Key"])
        if len(stored) < 3:
            raise AwsError(code, "no")
        return {}

    bench.shelf.call = call  # type: ignore[method-assign]
    bench.engine.answers = [ERROR]
    await bench.call("invoke", FunctionName="f", InvocationType="Event", Payload=b"1")
    await deliver(bench)
    assert len(stored) == tries
    (key,) = set(stored)
    prefix, name, year, *_, last = key.rsplit("/", 5)
    assert (prefix, name, len(year)) == ("aws/lambda/async", "f", 4)
    assert last.startswith(year)


HANDLER = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("told to")
    return {"seen": event}
"""
MAY = [
    ("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{ACCOUNT}:*"),
    ("s3:PutObject", "arn:aws:s3:::records/*"),
    ("s3:ListBucket", "arn:aws:s3:::records"),
]


@pytest.mark.slow
def test_results_arrive_in_queues_and_buckets(sqlite_only_cloud: Cloud) -> None:
    cloud = sqlite_only_cloud
    wire.make_role(cloud)
    client, sqs, s3 = cloud.client("lambda"), cloud.client("sqs"), cloud.client("s3")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "done")}
    s3.create_bucket(Bucket="records")
    code = wire.zipped(app_py=HANDLER)
    dead = {"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"}
    with pytest.raises(ClientError, match="call SendMessage on SQS"):
        wire.make_function(cloud, "f", code, DeadLetterConfig=dead)
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in MAY]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=document)
    wire.make_function(cloud, "f", code, DeadLetterConfig=dead)
    config = {
        "OnSuccess": {"Destination": f"arn:aws:sqs:us-east-1:{ACCOUNT}:done"},
        "OnFailure": {"Destination": "arn:aws:s3:::records"},
    }
    told = client.put_function_event_invoke_config(FunctionName="f", DestinationConfig=config)
    assert told["DestinationConfig"] == config
    cloud.clock.freeze()
    client.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"fail": true}')
    client.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"fine": true}')
    cloud.clock.advance(minutes=4)
    (success,) = sqs.receive_message(QueueUrl=urls["done"], WaitTimeSeconds=5)["Messages"]
    record = json.loads(success["Body"])
    assert record["responsePayload"] == {"seen": {"fine": True}}
    assert record["requestContext"]["condition"] == "Success"
    (letter,) = sqs.receive_message(QueueUrl=urls["dead"], WaitTimeSeconds=5, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(letter["Body"]) == {"fail": True}
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "told to"
    (stored,) = s3.list_objects_v2(Bucket="records")["Contents"]
    failure = json.load(s3.get_object(Bucket="records", Key=stored["Key"])["Body"])
    assert failure["requestContext"]["approximateInvokeCount"] == 3
    assert failure["responsePayload"]["errorType"] == "ValueError"


STACK = {
    "Resources": {
        "Q": {"Type": "AWS::SQS::Queue"},
        "R": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": wire.TRUST,
                "Policies": [
                    {
                        "PolicyName": "p",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Action": "sqs:SendMessage",
                                    "Resource": {"Fn::GetAtt": ["Q", "Arn"]},
                                }
                            ],
                        },
                    }
                ],
            },
        },
        "F": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "f",
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["R", "Arn"]},
                "Code": {"ZipFile": "handler = None"},
                "MemorySize": 256,
                "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["Q", "Arn"]}},
            },
        },
        "E": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": "F"},
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": "1",
                "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Q", "Arn"]}}},
            },
        },
    }
}


@pytest.mark.slow
def test_a_stack_sets_them_and_takes_them_away(sqlite_only_cloud: Cloud) -> None:
    stacks, client = sqlite_only_cloud.client("cloudformation"), sqlite_only_cloud.client("lambda")
    names = {"StackName": "s", "Capabilities": ["CAPABILITY_IAM"]}
    stacks.create_stack(TemplateBody=json.dumps(STACK), **names)
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    shown = client.get_function_configuration(FunctionName="f")
    queue = shown["DeadLetterConfig"]["TargetArn"]
    config = client.get_function_event_invoke_config(FunctionName="f")
    assert (config["MaximumRetryAttempts"], config["DestinationConfig"]["OnFailure"]) == (1, {"Destination": queue})

    changed = json.loads(json.dumps(STACK))
    for gone in ("DeadLetterConfig", "MemorySize"):
        del changed["Resources"]["F"]["Properties"][gone]
    del changed["Resources"]["E"]
    stacks.update_stack(TemplateBody=json.dumps(changed), **names)
    stacks.get_waiter("stack_update_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    shown = client.get_function_configuration(FunctionName="f")
    assert "DeadLetterConfig" not in shown
    assert shown["MemorySize"] == 128
    with pytest.raises(ClientError, match="doesn't have an EventInvokeConfig"):
        client.get_function_event_invoke_config(FunctionName="f")
