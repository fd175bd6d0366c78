"""FIFO queues: order within groups, one batch of a group at a time, and nothing twice within five minutes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pilotlight.testing.cloud import Cloud
from tests.services.sqs.conftest import arn, bodies, refused


def send(sqs: Any, queue: str, body: str, group: str = "g", **options: Any) -> dict[str, Any]:
    told: dict[str, Any] = sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId=group, **options)
    return told


def test_messages_come_in_order_and_block_their_group(sqs: Any, fifo: str) -> None:
    for body in "abc":
        send(sqs, fifo, body)
    send(sqs, fifo, "x", group="other")
    (first,) = sqs.receive_message(QueueUrl=fifo)["Messages"]
    assert first["Body"] == "a"
    assert bodies(sqs, fifo) == ["x"]
    assert bodies(sqs, fifo) == []
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=first["ReceiptHandle"])
    assert bodies(sqs, fifo) == ["b", "c"]


def test_a_group_is_free_again_after_the_visibility_timeout(sqs: Any, fifo: str, cloud: Cloud) -> None:
    for body in "abc":
        send(sqs, fifo, body)
    assert bodies(sqs, fifo, MaxNumberOfMessages=2) == ["a", "b"]
    cloud.clock.advance(seconds=31)
    assert bodies(sqs, fifo) == ["a", "b", "c"]


def test_showing_one_again_waits_for_the_other_in_flight(sqs: Any, fifo: str) -> None:
    for body in "ab":
        send(sqs, fifo, body)
    first, second = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=2)["Messages"]
    sqs.change_message_visibility(QueueUrl=fifo, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    assert bodies(sqs, fifo) == []
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=second["ReceiptHandle"])
    assert bodies(sqs, fifo) == ["a"]


def test_the_same_body_within_five_minutes_is_one_message(sqs: Any, fifo: str, cloud: Cloud) -> None:
    first = send(sqs, fifo, "same")
    again = send(sqs, fifo, "same")
    assert (first["MessageId"], first["SequenceNumber"]) == (again["MessageId"], again["SequenceNumber"])
    (message,) = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=10)["Messages"]
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])
    send(sqs, fifo, "same")
    assert bodies(sqs, fifo) == []
    cloud.clock.advance(seconds=301)
    send(sqs, fifo, "same")
    assert bodies(sqs, fifo) == ["same"]


def test_an_id_decides_before_the_body_does(sqs: Any, fifo: str) -> None:
    send(sqs, fifo, "one", MessageDeduplicationId="x")
    send(sqs, fifo, "two", MessageDeduplicationId="x")
    send(sqs, fifo, "one", MessageDeduplicationId="y")
    assert bodies(sqs, fifo) == ["one", "one"]


def test_groups_may_deduplicate_apart(sqs: Any, make: Callable[..., str]) -> None:
    queue = make(FifoQueue="true", DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in "ab":
        send(sqs, queue, group, group=group, MessageDeduplicationId="same")
    assert sorted(bodies(sqs, queue)) == ["a", "b"]


def test_sequence_numbers_rise(sqs: Any, fifo: str) -> None:
    numbers = [send(sqs, fifo, str(index))["SequenceNumber"] for index in range(5)]
    assert numbers == sorted(set(numbers))
    assert {len(number) for number in numbers} == {20}
    (message,) = sqs.receive_message(QueueUrl=fifo, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["SequenceNumber"] == numbers[0]
    assert message["Attributes"]["MessageGroupId"] == "g"
    assert len(message["Attributes"]["MessageDeduplicationId"]) == 64


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "MissingParameter"),
        ({"MessageGroupId": "g h"}, "InvalidParameterValue"),
        ({"MessageGroupId": "g", "MessageDeduplicationId": "d" * 129}, "InvalidParameterValue"),
        ({"MessageGroupId": "g", "DelaySeconds": 1}, "InvalidParameterValue"),
    ],
)
def test_what_a_fifo_queue_refuses(sqs: Any, fifo: str, request_: dict[str, Any], code: str) -> None:
    assert refused(sqs.send_message, QueueUrl=fifo, MessageBody="x", **request_)[0] == code


def test_without_content_based_deduplication_an_id_is_needed(sqs: Any, make: Callable[..., str]) -> None:
    queue = make(FifoQueue="true")
    code, message = refused(sqs.send_message, QueueUrl=queue, MessageBody="x", MessageGroupId="g")
    assert code == "InvalidParameterValue"
    assert "ContentBasedDeduplication" in message


def test_a_repeated_attempt_gets_the_same_messages(sqs: Any, fifo: str) -> None:
    for body in "ab":
        send(sqs, fifo, body)
    first = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=2, ReceiveRequestAttemptId="one")["Messages"]
    again = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=2, ReceiveRequestAttemptId="one")["Messages"]
    assert [message["ReceiptHandle"] for message in again] == [message["ReceiptHandle"] for message in first]
    assert bodies(sqs, fifo, ReceiveRequestAttemptId="two") == []


def test_an_expired_receipt_is_refused(sqs: Any, fifo: str, cloud: Cloud) -> None:
    send(sqs, fifo, "x")
    (message,) = sqs.receive_message(QueueUrl=fifo)["Messages"]
    cloud.clock.advance(seconds=31)
    code, told = refused(sqs.delete_message, QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"])
    assert code == "InvalidParameterValue"
    assert "has expired" in told


def test_poison_leaves_its_group_in_order(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    dead = make(**kind)
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": 1})
    queue = make(RedrivePolicy=policy, **kind)
    for body in ("poison", "fine"):
        send(sqs, queue, body)
    assert bodies(sqs, queue, MaxNumberOfMessages=1) == ["poison"]
    cloud.clock.advance(seconds=31)
    assert bodies(sqs, queue) == ["fine"]
    assert bodies(sqs, dead) == ["poison"]


def test_a_delay_of_the_queue_holds_the_group(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    queue = make(FifoQueue="true", ContentBasedDeduplication="true", DelaySeconds=10)
    send(sqs, queue, "a")
    assert bodies(sqs, queue) == []
    cloud.clock.advance(seconds=10)
    assert bodies(sqs, queue) == ["a"]


def test_expired_heads_free_their_group(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    queue = make(FifoQueue="true", ContentBasedDeduplication="true", MessageRetentionPeriod=60)
    send(sqs, queue, "old")
    cloud.clock.advance(seconds=40)
    send(sqs, queue, "young")
    cloud.clock.advance(seconds=21)
    assert bodies(sqs, queue) == ["young"]
