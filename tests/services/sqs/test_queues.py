"""Queues: made, found, described, changed, purged and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config

from pilotlight.testing.cloud import Cloud
from tests.services.sqs.conftest import arn, bodies, refused


def test_a_queue_is_made_and_found(sqs: Any, cloud: Cloud) -> None:
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    assert url == f"{cloud.endpoint}/000000000000/orders"
    assert sqs.get_queue_url(QueueName="orders")["QueueUrl"] == url
    assert sqs.list_queues()["QueueUrls"] == [url]
    assert arn(sqs, url) == "arn:aws:sqs:us-east-1:000000000000:orders"


def test_a_queue_has_its_defaults(sqs: Any, queue: str) -> None:
    told = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert told["VisibilityTimeout"] == "30"
    assert told["MessageRetentionPeriod"] == "345600"
    assert told["MaximumMessageSize"] == "1048576"
    assert told["SqsManagedSseEnabled"] == "true"
    assert "FifoQueue" not in told
    assert told["ApproximateNumberOfMessages"] == "0"


def test_only_what_is_asked_for_is_told(sqs: Any, queue: str) -> None:
    told = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["DelaySeconds", "Policy"])
    assert told["Attributes"] == {"DelaySeconds": "0"}
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue)


def test_a_fifo_queue_has_its_own(sqs: Any, fifo: str) -> None:
    told = sqs.get_queue_attributes(QueueUrl=fifo, AttributeNames=["All"])["Attributes"]
    assert (told["FifoQueue"], told["DeduplicationScope"], told["FifoThroughputLimit"]) == (
        "true",
        "queue",
        "perQueue",
    )
    assert told["ContentBasedDeduplication"] == "true"


def test_making_it_again_answers_the_same(sqs: Any) -> None:
    first = sqs.create_queue(QueueName="again", Attributes={"DelaySeconds": "5"})
    assert sqs.create_queue(QueueName="again")["QueueUrl"] == first["QueueUrl"]
    assert sqs.create_queue(QueueName="again", Attributes={"DelaySeconds": "5"})["QueueUrl"] == first["QueueUrl"]


def test_making_it_again_otherwise_is_refused(sqs: Any) -> None:
    sqs.create_queue(QueueName="again")
    code, message = refused(sqs.create_queue, QueueName="again", Attributes={"VisibilityTimeout": "7"})
    assert code == "QueueAlreadyExists"
    assert message.endswith("a different value for attribute VisibilityTimeout")


@pytest.mark.parametrize(
    ("name", "attributes", "code"),
    [
        ("a b", {}, "InvalidParameterValue"),
        ("a" * 81, {}, "InvalidParameterValue"),
        ("a.fifo", {}, "InvalidParameterValue"),
        ("a", {"FifoQueue": "true"}, "InvalidParameterValue"),
        ("a", {"FifoQueue": "false"}, "InvalidAttributeName"),
        ("a", {"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ("a", {"DelaySeconds": "-1"}, "InvalidAttributeValue"),
        ("a", {"MessageRetentionPeriod": "59"}, "InvalidAttributeValue"),
        ("a", {"MaximumMessageSize": "1048577"}, "InvalidAttributeValue"),
        ("a", {"Policy": "no json"}, "InvalidAttributeValue"),
        ("a", {"Unknown": "1"}, "InvalidAttributeName"),
        ("a", {"ContentBasedDeduplication": "true"}, "InvalidAttributeName"),
        ("a", {"RedrivePolicy": "{}"}, "InvalidParameterValue"),
        ("a", {"RedriveAllowPolicy": '{"redrivePermission": "byQueue"}'}, "InvalidParameterValue"),
    ],
)
def test_what_no_queue_can_have_is_refused(sqs: Any, name: str, attributes: dict[str, str], code: str) -> None:
    assert refused(sqs.create_queue, QueueName=name, Attributes=attributes)[0] == code


def test_what_is_not_there_is_told_by_both_its_names(sqs: Any, cloud: Cloud) -> None:
    url = f"{cloud.endpoint}/000000000000/none"
    code, message = refused(sqs.send_message, QueueUrl=url, MessageBody="x")
    assert (code, message) == ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="none")


def test_lists_are_paged(sqs: Any) -> None:
    for name in ("a-1", "a-2", "a-3", "b-1"):
        sqs.create_queue(QueueName=name)
    page = sqs.list_queues(QueueNamePrefix="a-", MaxResults=2)
    assert [url.rsplit("/", 1)[1] for url in page["QueueUrls"]] == ["a-1", "a-2"]
    rest = sqs.list_queues(QueueNamePrefix="a-", MaxResults=2, NextToken=page["NextToken"])
    assert [url.rsplit("/", 1)[1] for url in rest["QueueUrls"]] == ["a-3"]
    assert "NextToken" not in rest


def test_attributes_are_changed_and_removed(sqs: Any, queue: str) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "3", "Policy": policy})
    told = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert (told["VisibilityTimeout"], told["Policy"]) == ("3", policy)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": ""})
    assert "Policy" not in sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]


def test_a_standard_queue_never_becomes_fifo(sqs: Any, queue: str) -> None:
    code, _ = refused(sqs.set_queue_attributes, QueueUrl=queue, Attributes={"FifoQueue": "true"})
    assert code == "InvalidAttributeValue"


def test_a_name_is_free_a_minute_after_its_queue_was_deleted(sqs: Any, cloud: Cloud) -> None:
    url = sqs.create_queue(QueueName="gone")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="old")
    sqs.delete_queue(QueueUrl=url)
    assert refused(sqs.create_queue, QueueName="gone")[0] == "AWS.SimpleQueueService.QueueDeletedRecently"
    cloud.clock.advance(seconds=61)
    assert bodies(sqs, sqs.create_queue(QueueName="gone")["QueueUrl"]) == []


def test_purging_leaves_nothing_and_may_be_done_once_a_minute(sqs: Any, queue: str, cloud: Cloud) -> None:
    for index in range(5):
        sqs.send_message(QueueUrl=queue, MessageBody=str(index))
    sqs.purge_queue(QueueUrl=queue)
    assert bodies(sqs, queue) == []
    assert refused(sqs.purge_queue, QueueUrl=queue)[0] == "AWS.SimpleQueueService.PurgeQueueInProgress"
    sqs.send_message(QueueUrl=queue, MessageBody="after")
    assert bodies(sqs, queue) == ["after"]
    cloud.clock.advance(seconds=61)
    sqs.purge_queue(QueueUrl=queue)


def test_tags_come_and_go(sqs: Any, queue: str) -> None:
    sqs.tag_queue(QueueUrl=queue, Tags={"a": "1", "b": "2"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["a"])
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"b": "2"}
    assert refused(sqs.tag_queue, QueueUrl=queue, Tags={"aws:x": "1"})[0] == "InvalidParameterValue"


def test_permissions_are_statements_of_the_policy(sqs: Any, queue: str) -> None:
    sqs.add_permission(QueueUrl=queue, Label="one", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    told = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]
    (statement,) = json.loads(told["Policy"])["Statement"]
    assert (statement["Sid"], statement["Action"], statement["Resource"]) == ("one", "SQS:SendMessage", arn(sqs, queue))
    again = {"QueueUrl": queue, "Label": "one", "AWSAccountIds": ["111111111111"], "Actions": ["SendMessage"]}
    assert refused(sqs.add_permission, **again)[0] == "InvalidParameterValue"
    assert refused(sqs.add_permission, **{**again, "Label": "two", "Actions": ["CreateQueue"]})[0] == (
        "InvalidParameterValue"
    )
    sqs.remove_permission(QueueUrl=queue, Label="one")
    assert refused(sqs.remove_permission, QueueUrl=queue, Label="one")[0] == "InvalidParameterValue"


def test_accounts_have_queues_of_their_own(sqs: Any, queue: str, cloud: Cloud) -> None:
    stranger = cloud.client("sqs", aws_access_key_id="222222222222")
    own = stranger.create_queue(QueueName=queue.rsplit("/", 1)[1])["QueueUrl"]
    assert own.split("/")[-2] == "222222222222"
    assert sqs.list_queues()["QueueUrls"] == [queue]
    assert stranger.list_queues()["QueueUrls"] == [own]


def test_what_is_missing_is_named(cloud: Cloud) -> None:
    lenient = cloud.client("sqs", config=Config(parameter_validation=False))
    code, message = refused(lenient.send_message, MessageBody="x")
    assert (code, message) == ("MissingParameter", "The request must contain the parameter QueueUrl.")


def test_the_queues_of_a_dead_letter_queue_are_listed(sqs: Any, make: Callable[..., str]) -> None:
    dead = make()
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": "2"})
    source = make(RedrivePolicy=policy)
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [source]
    sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": ""})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == []


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"maxReceiveCount": 1}, "mandatory attribute: deadLetterTargetArn"),
        ({"deadLetterTargetArn": "D"}, "mandatory attribute: maxReceiveCount"),
        ({"deadLetterTargetArn": "D", "maxReceiveCount": 0}, "Invalid value for maxReceiveCount: 0"),
        ({"deadLetterTargetArn": "D", "maxReceiveCount": 1001}, "Invalid value for maxReceiveCount: 1001"),
        ({"deadLetterTargetArn": "D-none", "maxReceiveCount": 1}, "Dead letter target does not exist."),
    ],
)
def test_a_redrive_policy_that_cannot_hold_is_refused(
    sqs: Any, queue: str, policy: dict[str, Any], reason: str
) -> None:
    if "deadLetterTargetArn" in policy:
        policy["deadLetterTargetArn"] = policy["deadLetterTargetArn"].replace("D", arn(sqs, queue))
    code, message = refused(sqs.create_queue, QueueName="s", Attributes={"RedrivePolicy": json.dumps(policy)})
    assert code == "InvalidParameterValue"
    assert reason in message


def test_a_dead_letter_queue_may_say_whose_it_is(sqs: Any, make: Callable[..., str]) -> None:
    closed = make(RedriveAllowPolicy=json.dumps({"redrivePermission": "denyAll"}))
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, closed), "maxReceiveCount": 1})
    assert refused(sqs.create_queue, QueueName="s", Attributes={"RedrivePolicy": policy})[0] == "InvalidParameterValue"


def test_fifo_and_standard_do_not_mix(sqs: Any, fifo: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, fifo), "maxReceiveCount": 1})
    assert "same type" in refused(sqs.create_queue, QueueName="s", Attributes={"RedrivePolicy": policy})[1]
