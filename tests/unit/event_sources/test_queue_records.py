"""Messages as functions see them, which of them a filter wants, and which of them have failed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.event_sources.queue_records import failed_ids, is_wanted, patterns, record

SOURCE = "arn:aws:sqs:us-east-1:000000000000:orders"
RECORDS = [{"messageId": name} for name in "abc"]


def test_a_record_has_everything_of_its_message() -> None:
    message = {
        "MessageId": "1",
        "ReceiptHandle": "h",
        "Body": "b",
        "MD5OfBody": "m",
        "Attributes": {"SentTimestamp": "5"},
        "MessageAttributes": {
            "t": {"DataType": "String", "StringValue": "v"},
            "x": {"DataType": "Binary", "BinaryValue": b"\x00"},
        },
        "MD5OfMessageAttributes": "n",
    }
    assert record(message, SOURCE) == {
        "messageId": "1",
        "receiptHandle": "h",
        "body": "b",
        "attributes": {"SentTimestamp": "5"},
        "messageAttributes": {
            "t": {"stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "x": {"binaryValue": "AA==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        },
        "md5OfBody": "m",
        "md5OfMessageAttributes": "n",
        "eventSource": "aws:sqs",
        "eventSourceARN": SOURCE,
        "awsRegion": "us-east-1",
    }


@pytest.mark.parametrize(
    ("pattern", "body", "wanted"),
    [
        ({"body": {"kind": ["a"]}}, '{"kind": "a"}', True),
        ({"body": {"kind": ["a"]}}, '{"kind": "b"}', False),
        ({"body": {"kind": ["a"]}}, "plain", False),
        ({"body": ["plain"]}, "plain", True),
        ({"body": [{"prefix": "pl"}]}, "plain", True),
        ({"attributes": {"SenderId": ["me"]}}, "{}", True),
    ],
)
def test_a_filter_looks_into_bodies(pattern: Any, body: str, wanted: bool) -> None:
    criteria = {"Filters": [{"Pattern": json.dumps(pattern)}]}
    assert is_wanted({"body": body, "attributes": {"SenderId": "me"}}, patterns(criteria)) is wanted


def test_without_filters_everything_is_wanted() -> None:
    assert is_wanted({"body": "x"}, patterns(None))


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b"null", ""),
        (b"{}", ""),
        (b'{"batchItemFailures": []}', ""),
        (b'{"batchItemFailures": null}', ""),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}]}', "b"),
        (b'{"batchItemFailures": [{"itemIdentifier": "z"}]}', "abc"),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', "abc"),
        (b'{"batchItemFailures": [{"wrong": "b"}]}', "abc"),
        (b'{"batchItemFailures": "b"}', "abc"),
        (b"no json", "abc"),
    ],
)
def test_what_an_answer_says_has_failed(answer: bytes, failed: str) -> None:
    assert failed_ids(answer, RECORDS, partial=True, fifo=False) == set(failed)
    assert failed_ids(answer, RECORDS, partial=False, fifo=False) == set()


def test_in_a_fifo_queue_what_comes_after_a_failure_has_failed() -> None:
    answer = b'{"batchItemFailures": [{"itemIdentifier": "b"}]}'
    assert failed_ids(answer, RECORDS, partial=True, fifo=True) == {"b", "c"}
