"""Queues that functions read from: over the wire, with real functions, and the clock moved instead of waiting."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud
from tests.services.awslambda.wire import make_function, zipped

pytestmark = pytest.mark.slow

CODE = """
import boto3, json
table = boto3.resource("dynamodb").Table("seen")

def keep(event, context):
    bodies = [record["body"] for record in event["Records"]]
    for record in event["Records"]:
        table.put_item(Item={"id": record["messageId"], "body": record["body"], "batch": bodies,
                             "source": record["eventSourceARN"],
                             "receives": record["attributes"]["ApproximateReceiveCount"]})

def handler(event, context):
    keep(event, context)
    failures = [r["messageId"] for r in event["Records"] if r["body"].startswith("bad")]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failures]}

def poison(event, context):
    keep(event, context)
    raise ValueError("no")
"""
RIGHTS = {"Effect": "Allow", "Action": ["dynamodb:*", "sqs:*", "logs:*"], "Resource": "*"}
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


class World:
    """A table of what was seen, a queue, and functions that read from it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.lambda_ = cloud.client("lambda")
        self.sqs = cloud.client("sqs")
        iam = cloud.client("iam")
        iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps({"Statement": [TRUST]}))
        iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps({"Statement": [RIGHTS]}))
        cloud.client("dynamodb").create_table(
            TableName="seen",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.queue = self.sqs.create_queue(QueueName="orders")["QueueUrl"]
        self.source = "arn:aws:sqs:us-east-1:000000000000:orders"

    def function(self, handler: str = "handler", **options: Any) -> None:
        make_function(self.cloud, "reader", zipped(app_py=CODE), Handler=f"app.{handler}", **options)

    def map(self, **options: Any) -> dict[str, Any]:
        given = {"FunctionName": "reader", "EventSourceArn": self.source, **options}
        made: dict[str, Any] = self.lambda_.create_event_source_mapping(**given)
        return made

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def settle(self, seconds: float = 0) -> None:
        """What is there, and what falls due meanwhile, is done when this returns."""
        self.cloud.clock.advance(seconds=seconds)

    def seen(self) -> list[dict[str, Any]]:
        items = self.cloud.resource("dynamodb").Table("seen").scan()["Items"]
        return sorted(items, key=lambda item: item["body"])

    def wait_seen(self) -> list[dict[str, Any]]:
        """For what goes by wall time."""
        for _ in range(200):
            if self.seen() and not self.left():
                break
            time.sleep(0.05)
        return self.seen()

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return sum(map(int, told.values()))


@pytest.fixture
def world(cloud: Cloud) -> World:
    return World(cloud)


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as failed:
        call(**request)
    error = failed.value.response["Error"]
    return error["Code"], error["Message"]


def test_messages_reach_their_function_and_are_deleted(world: World) -> None:
    world.function()
    made = world.map()
    assert (made["State"], made["BatchSize"]) == ("Creating", 10)
    world.send("a", "b")
    world.settle()
    assert [item["body"] for item in world.seen()] == ["a", "b"]
    assert {item["source"] for item in world.seen()} == {world.source}
    assert world.left() == 0
    told = world.lambda_.get_event_source_mapping(UUID=made["UUID"])
    assert (told["State"], told["LastProcessingResult"]) == ("Enabled", "OK")


def test_what_was_sent_before_the_mapping_is_read_too(world: World) -> None:
    world.function()
    world.send("early")
    world.map()
    world.settle()
    assert [item["body"] for item in world.seen()] == ["early"]


def test_a_window_gathers_a_batch(world: World) -> None:
    world.function()
    world.map(BatchSize=100, MaximumBatchingWindowInSeconds=20)
    world.cloud.clock.freeze()
    world.send(*(str(index) for index in range(15)))
    world.settle(10)
    assert world.seen() == []
    world.settle(11)
    assert {len(item["batch"]) for item in world.seen()} == {15}


def test_only_failed_items_come_again_and_end_in_the_dead_letter_queue(world: World) -> None:
    dead = world.sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 2}
    world.sqs.set_queue_attributes(QueueUrl=world.queue, Attributes={"RedrivePolicy": json.dumps(policy)})
    world.function()
    world.map(FunctionResponseTypes=["ReportBatchItemFailures"])
    world.send("good", "bad")
    world.settle()
    assert world.left() == 1
    world.settle(31)
    world.settle(31)
    assert world.left() == 0
    (message,) = world.sqs.receive_message(QueueUrl=dead)["Messages"]
    assert message["Body"] == "bad"
    receives = {item["body"]: item["receives"] for item in world.seen()}
    assert receives == {"good": "1", "bad": "2"}


def test_a_failing_function_leaves_the_batch_to_its_visibility_timeout(world: World) -> None:
    world.function("poison")
    made = world.map()
    world.send("x")
    world.settle()
    assert world.left() == 1
    told = world.lambda_.get_event_source_mapping(UUID=made["UUID"])
    assert told["LastProcessingResult"] == "PROBLEM: Function call failed"
    world.settle(31)
    assert world.seen()[0]["receives"] == "2"


def test_throttled_messages_wait_and_are_not_burnt(world: World) -> None:
    world.function()
    world.lambda_.put_function_concurrency(FunctionName="reader", ReservedConcurrentExecutions=0)
    world.map()
    world.send("patient")
    world.settle()  # whoever moves the clock does not wait for a function that cannot run
    assert (world.seen(), world.left()) == ([], 1)
    world.settle(20)
    world.lambda_.put_function_concurrency(FunctionName="reader", ReservedConcurrentExecutions=1)
    (item,) = world.wait_seen()
    assert (item["body"], item["receives"]) == ("patient", "1")
    assert world.left() == 0


def test_filters_delete_what_they_do_not_want(world: World) -> None:
    world.function()
    world.map(FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"kind": ["order"]}})}]})
    world.send('{"kind": "order"}', '{"kind": "noise"}', "text")
    world.settle()
    assert [item["body"] for item in world.seen()] == ['{"kind": "order"}']
    assert world.left() == 0


def test_a_mapping_is_switched_off_and_on(world: World) -> None:
    world.function()
    uuid = world.map(Enabled=False)["UUID"]
    world.send("later")
    world.settle()
    assert world.seen() == []
    assert world.lambda_.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    assert world.lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)["State"] == "Enabling"
    world.settle()
    assert [item["body"] for item in world.seen()] == ["later"]
    assert world.lambda_.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    assert refused(world.lambda_.get_event_source_mapping, UUID=uuid)[0] == "ResourceNotFoundException"


def test_fifo_groups_keep_their_order(world: World) -> None:
    kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    queue = world.sqs.create_queue(QueueName="line.fifo", Attributes=kind)["QueueUrl"]
    world.function()
    world.map(EventSourceArn=world.source.replace("orders", "line.fifo"), BatchSize=2)
    for index in range(5):
        world.sqs.send_message(QueueUrl=queue, MessageBody=str(index), MessageGroupId="g")
    world.settle()
    assert [item["body"] for item in world.seen()] == ["0", "1", "2", "3", "4"]
    for item in world.seen():
        assert item["batch"] == sorted(item["batch"])


def test_the_role_must_be_allowed_to_read(world: World) -> None:
    world.function()
    only = {"Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    world.cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps(only))
    code, message = refused(world.map)
    assert code == "InvalidParameterValueException"
    assert message == "The provided execution role does not have permissions to call ReceiveMessage on SQS"


@pytest.mark.parametrize(
    ("request_", "code", "part"),
    [
        ({"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:none"}, "InvalidParameterValueException",
         "AWS.SimpleQueueService.NonExistentQueue"),
        ({"FunctionName": "none"}, "ResourceNotFoundException", "Function not found"),
        ({"EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/x"}, "NotImplemented", "kinesis"),
        ({"StartingPosition": "LATEST"}, "InvalidParameterValueException", "StartingPosition"),
        ({"BatchSize": 11}, "InvalidParameterValueException", "Maximum batch window in seconds must be greater than 0"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "InvalidParameterValueException",
         "Invalid filter pattern definition"),
        ({"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/x"}, "NotImplemented", "KMSKeyArn"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_is_refused(world: World, request_: dict[str, Any], code: str, part: str) -> None:
    world.function()
    told = refused(world.map, **request_)
    assert told[0] == code
    assert part in told[1]


def test_a_queue_must_hide_messages_for_as_long_as_the_function_runs(world: World) -> None:
    world.function(Timeout=60)
    code, message = refused(world.map)
    assert code == "InvalidParameterValueException"
    assert message == "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"


def test_the_same_pair_is_mapped_once(world: World) -> None:
    world.function()
    uuid = world.map()["UUID"]
    code, message = refused(world.map)
    assert code == "ResourceConflictException"
    assert message.endswith(uuid)
    listed = world.lambda_.list_event_source_mappings(FunctionName="reader")["EventSourceMappings"]
    assert [one["UUID"] for one in listed] == [uuid]
    assert world.lambda_.list_event_source_mappings(EventSourceArn=world.source + "-x")["EventSourceMappings"] == []


def test_a_role_that_may_no_longer_read_is_told_and_holds_up_nobody(world: World) -> None:
    world.function()
    uuid = world.map()["UUID"]
    only = {"Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    world.cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps(only))
    world.send("unread")
    world.settle(3600)
    told = world.lambda_.get_event_source_mapping(UUID=uuid)["LastProcessingResult"]
    assert told.startswith("PROBLEM: ")
    assert "sqs:ReceiveMessage" in told
    assert world.left() == 1
