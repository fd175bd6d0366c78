"""Queues over the wire."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

NAMES = itertools.count()


@pytest.fixture
def sqs(cloud: Cloud) -> Any:
    return cloud.client("sqs")


@pytest.fixture
def make(sqs: Any) -> Callable[..., str]:
    """A new queue's URL; keywords are its attributes."""

    def made(**attributes: Any) -> str:
        fifo = attributes.get("FifoQueue") == "true"
        name = f"queue-{next(NAMES)}{'.fifo' if fifo else ''}"
        given = {key: str(value) for key, value in attributes.items()}
        return str(sqs.create_queue(QueueName=name, Attributes=given)["QueueUrl"])

    return made


@pytest.fixture
def queue(make: Callable[..., str]) -> str:
    return make()


@pytest.fixture
def fifo(make: Callable[..., str]) -> str:
    return make(FifoQueue="true", ContentBasedDeduplication="true")


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as failed:
        call(**request)
    error = failed.value.response["Error"]
    return error["Code"], error["Message"]


def bodies(sqs: Any, queue: str, **options: Any) -> list[str]:
    answer = sqs.receive_message(QueueUrl=queue, **{"MaxNumberOfMessages": 10, **options})
    return [message["Body"] for message in answer.get("Messages", [])]


def arn(sqs: Any, queue: str) -> str:
    told = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    return str(told["Attributes"]["QueueArn"])
