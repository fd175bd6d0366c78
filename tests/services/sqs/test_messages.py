"""Messages of standard queues: sent, received, hidden, deleted, dead-lettered and moved back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pilotlight.testing.cloud import Cloud
from tests.services.sqs.conftest import arn, bodies, refused


def test_a_message_is_sent_received_and_deleted(sqs: Any, queue: str) -> None:
    sent = sqs.send_message(QueueUrl=queue, MessageBody="hello")
    assert sent["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hello")
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert (counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


def test_a_received_message_returns_after_its_visibility_timeout(sqs: Any, queue: str, cloud: Cloud) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    assert bodies(sqs, queue) == ["hello"]
    cloud.clock.advance(seconds=29)
    assert bodies(sqs, queue) == []
    cloud.clock.advance(seconds=1)
    (message,) = sqs.receive_message(QueueUrl=queue, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


def test_what_a_receiver_hides_for_no_time_stays(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="peek")
    assert bodies(sqs, queue, VisibilityTimeout=0) == ["peek"]
    assert bodies(sqs, queue, VisibilityTimeout=0) == ["peek"]


def test_a_delayed_message_comes_late(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    queue = make(DelaySeconds=10)
    sqs.send_message(QueueUrl=queue, MessageBody="queue's")
    sqs.send_message(QueueUrl=queue, MessageBody="own", DelaySeconds=0)
    assert bodies(sqs, queue) == ["own"]
    cloud.clock.advance(seconds=10)
    assert bodies(sqs, queue) == ["queue's"]


def test_attributes_travel_with_their_digest(sqs: Any, queue: str) -> None:
    attributes = {
        "text": {"DataType": "String.custom", "StringValue": "é"},
        "count": {"DataType": "Number", "StringValue": "1.5"},
        "blob": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=attributes)
    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


def test_a_receiver_picks_attributes(sqs: Any, queue: str) -> None:
    attributes = {name: {"DataType": "String", "StringValue": "v"} for name in ("a.one", "a.two", "b")}
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=attributes)
    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["a.*"], VisibilityTimeout=0)["Messages"]
    assert set(message["MessageAttributes"]) == {"a.one", "a.two"}
    (message,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
    assert "MessageAttributes" not in message
    assert "Attributes" not in message


def test_the_trace_header_and_the_sender_are_attributes_of_the_system(sqs: Any, queue: str) -> None:
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageSystemAttributes=trace)
    (message,) = sqs.receive_message(
        QueueUrl=queue, MessageSystemAttributeNames=["AWSTraceHeader", "SenderId", "SentTimestamp"]
    )["Messages"]
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1-2-3"
    assert set(message["Attributes"]) == {"AWSTraceHeader", "SenderId", "SentTimestamp"}


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"MessageBody": ""}, "MissingParameter", "The request must contain the parameter MessageBody."),
        ({"MessageBody": "\x00"}, "InvalidMessageContents", "Invalid characters found."),
        ({"MessageBody": "x" * 1_048_577}, "InvalidParameterValue", "must be shorter than 1048576 bytes."),
        ({"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue", "DelaySeconds must be >= 0 and <= 900."),
        ({"MessageBody": "x", "MessageDeduplicationId": "d"}, "InvalidParameterValue", "not valid for this queue type"),
        ({"MessageBody": "x", "MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}},
         "InvalidParameterValue", "non-empty message attribute value"),
        ({"MessageBody": "x", "MessageAttributes": {"a": {"DataType": "Odd", "StringValue": "1"}}},
         "InvalidParameterValue", "supported type prefixes"),
        ({"MessageBody": "x", "MessageAttributes": {"a": {"DataType": "Number", "StringValue": "one"}}},
         "InvalidParameterValue", "to a number"),
        ({"MessageBody": "x", "MessageAttributes": {"AWS.a": {"DataType": "String", "StringValue": "1"}}},
         "InvalidParameterValue", "is invalid"),
        ({"MessageBody": "x", "MessageAttributes":
          {f"n{i}": {"DataType": "String", "StringValue": "1"} for i in range(11)}},
         "InvalidParameterValue", "exceeds the allowed maximum [10]"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(sqs: Any, queue: str, request_: Any, code: str, message: str) -> None:
    told = refused(sqs.send_message, QueueUrl=queue, **request_)
    assert told[0] == code
    assert message in told[1]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"MaxNumberOfMessages": 11}, "Must be between 1 and 10, if provided."),
        ({"MaxNumberOfMessages": 0}, "Must be between 1 and 10, if provided."),
        ({"WaitTimeSeconds": 21}, "Must be >= 0 and <= 20, if provided."),
        ({"VisibilityTimeout": 43_201}, "between 0 and 43200"),
    ],
)
def test_what_cannot_be_received_is_refused(sqs: Any, queue: str, request_: dict[str, int], reason: str) -> None:
    code, message = refused(sqs.receive_message, QueueUrl=queue, **request_)
    assert code == "InvalidParameterValue"
    assert reason in message


def test_visibility_is_changed_and_ended(sqs: Any, queue: str, cloud: Cloud) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    handle = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
    sqs.change_message_visibility(**handle, VisibilityTimeout=100)
    cloud.clock.advance(seconds=60)
    assert bodies(sqs, queue) == []
    sqs.change_message_visibility(**handle, VisibilityTimeout=0)
    assert bodies(sqs, queue) == ["x"]
    assert refused(sqs.change_message_visibility, **handle, VisibilityTimeout=1)[0].endswith("MessageNotInflight")
    assert refused(sqs.change_message_visibility, **handle, VisibilityTimeout=50_000)[0] == "InvalidParameterValue"


def test_twelve_hours_are_the_most_that_a_message_is_hidden(sqs: Any, queue: str, cloud: Cloud) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=43_200)["Messages"]
    cloud.clock.advance(hours=1)
    code, told = refused(
        sqs.change_message_visibility,
        QueueUrl=queue,
        ReceiptHandle=message["ReceiptHandle"],
        VisibilityTimeout=43_200,
    )
    assert code == "InvalidParameterValue"
    assert "beyond the limit" in told


def test_an_older_receipt_deletes_nothing(sqs: Any, queue: str, cloud: Cloud) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    (old,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    cloud.clock.advance(seconds=31)
    assert bodies(sqs, queue, VisibilityTimeout=0) == ["x"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=old["ReceiptHandle"])
    assert bodies(sqs, queue) == ["x"]


def test_no_receipt_at_all_is_refused(sqs: Any, queue: str) -> None:
    assert refused(sqs.delete_message, QueueUrl=queue, ReceiptHandle="nonsense")[0] == "ReceiptHandleIsInvalid"
    code, _ = refused(sqs.change_message_visibility, QueueUrl=queue, ReceiptHandle="x", VisibilityTimeout=1)
    assert code == "ReceiptHandleIsInvalid"


def test_a_batch_tells_of_each(sqs: Any, queue: str) -> None:
    entries = [{"Id": "a", "MessageBody": "1"}, {"Id": "b", "MessageBody": "2", "DelaySeconds": 1000}]
    told = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [one["Id"] for one in told["Successful"]] == ["a"]
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in told["Failed"]] == [
        ("b", "InvalidParameterValue", True)
    ]
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    handle = message["ReceiptHandle"]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": "x", "ReceiptHandle": handle, "VisibilityTimeout": 5},
            {"Id": "y", "ReceiptHandle": "bad", "VisibilityTimeout": 5},
        ],
    )
    assert ([one["Id"] for one in changed["Successful"]], changed["Failed"][0]["Code"]) == (
        ["x"],
        "ReceiptHandleIsInvalid",
    )
    gone = sqs.delete_message_batch(QueueUrl=queue, Entries=[{"Id": "z", "ReceiptHandle": handle}])
    assert [one["Id"] for one in gone["Successful"]] == ["z"]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": "a", "MessageBody": "1"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "1"}], "InvalidBatchEntryId"),
        ([{"Id": str(i), "MessageBody": "1"} for i in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": str(i), "MessageBody": "x" * 600_000} for i in range(2)], "BatchRequestTooLong"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(sqs: Any, queue: str, entries: list[Any], code: str) -> None:
    told = refused(sqs.send_message_batch, QueueUrl=queue, Entries=entries)[0]
    assert told == f"AWS.SimpleQueueService.{code}"


def test_old_messages_expire(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    queue = make(MessageRetentionPeriod=60)
    sqs.send_message(QueueUrl=queue, MessageBody="old")
    cloud.clock.advance(seconds=40)
    sqs.send_message(QueueUrl=queue, MessageBody="young")
    cloud.clock.advance(seconds=21)
    assert bodies(sqs, queue) == ["young"]


def test_a_receiver_that_waits_is_woken(sqs: Any, queue: str, cloud: Cloud) -> None:
    found: list[str] = []
    waiting = threading.Thread(
        target=lambda: found.extend(bodies(cloud.client("sqs"), queue, WaitTimeSeconds=20)), daemon=True
    )
    waiting.start()
    sqs.send_message(QueueUrl=queue, MessageBody="now")
    waiting.join(10)
    assert found == ["now"]


def test_a_receiver_that_waits_sees_what_the_clock_brings(sqs: Any, queue: str, cloud: Cloud) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="later", DelaySeconds=900)
    found: list[str] = []
    waiting = threading.Thread(
        target=lambda: found.extend(bodies(cloud.client("sqs"), queue, WaitTimeSeconds=20)), daemon=True
    )
    waiting.start()
    cloud.clock.advance(seconds=901)
    waiting.join(10)
    assert found == ["later"]


def receive_and_forget(sqs: Any, queue: str, cloud: Cloud) -> list[str]:
    found = bodies(sqs, queue)
    cloud.clock.advance(seconds=31)
    return found


def dead_lettering(sqs: Any, make: Callable[..., str], receives: int = 2, **attributes: Any) -> tuple[str, str]:
    dead = make(**attributes)
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": receives})
    return make(RedrivePolicy=policy, **attributes), dead


def test_what_is_received_too_often_is_dead_lettered(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    queue, dead = dead_lettering(sqs, make)
    sent = sqs.send_message(QueueUrl=queue, MessageBody="poison")
    assert receive_and_forget(sqs, queue, cloud) == ["poison"]
    assert receive_and_forget(sqs, queue, cloud) == ["poison"]
    assert bodies(sqs, dead) == []
    sqs.send_message(QueueUrl=queue, MessageBody="fine")
    assert bodies(sqs, queue) == ["fine"]
    (message,) = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn(sqs, queue)
    assert message["Attributes"]["ApproximateReceiveCount"] == "3"


def test_a_move_task_brings_them_back(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    queue, dead = dead_lettering(sqs, make, receives=1)
    for index in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody=str(index))
    receive_and_forget(sqs, queue, cloud)
    assert bodies(sqs, queue) == []
    sqs.start_message_move_task(SourceArn=arn(sqs, dead))
    cloud.clock.advance(seconds=1)
    (task,) = sqs.list_message_move_tasks(SourceArn=arn(sqs, dead))["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 3)
    assert sorted(bodies(sqs, queue)) == ["0", "1", "2"]


def test_a_move_task_has_a_rate_and_can_be_cancelled(sqs: Any, make: Callable[..., str], cloud: Cloud) -> None:
    _, dead = dead_lettering(sqs, make)
    elsewhere = make()
    for index in range(5):
        sqs.send_message(QueueUrl=dead, MessageBody=str(index))
    cloud.clock.freeze()
    started = sqs.start_message_move_task(
        SourceArn=arn(sqs, dead), DestinationArn=arn(sqs, elsewhere), MaxNumberOfMessagesPerSecond=1
    )
    code, _ = refused(sqs.start_message_move_task, SourceArn=arn(sqs, dead))
    assert code == "AWS.SimpleQueueService.UnsupportedOperation"
    cloud.clock.advance(seconds=2)
    told = sqs.cancel_message_move_task(TaskHandle=started["TaskHandle"])
    assert told["ApproximateNumberOfMessagesMoved"] == 3
    cloud.clock.advance(seconds=5)
    assert len(bodies(sqs, elsewhere)) == 3
    assert refused(sqs.cancel_message_move_task, TaskHandle=started["TaskHandle"])[0] == "ResourceNotFoundException"


def test_move_tasks_that_cannot_be_are_refused(sqs: Any, queue: str) -> None:
    assert refused(sqs.start_message_move_task, SourceArn=arn(sqs, queue))[0] == "InvalidParameterValue"
    none = arn(sqs, queue) + "-none"
    assert refused(sqs.start_message_move_task, SourceArn=none)[0] == "ResourceNotFoundException"
    assert refused(sqs.cancel_message_move_task, TaskHandle="x")[0] == "InvalidParameterValue"
