"""How web servers are posted to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.errors import AwsError
from pilotlight.services.sns import delivery_policies

TEN = {"numRetries": 10}
PLAIN = "text/plain; charset=UTF-8"
JSON = {"headerContentType": "application/json"}


def attributes(policy: Any) -> dict[str, str]:
    return {"DeliveryPolicy": json.dumps(policy)} if policy else {}


@pytest.mark.parametrize(
    ("subscription", "topic", "retries", "content_type"),
    [
        ({}, {}, 3, PLAIN),
        ({}, {"defaultHealthyRetryPolicy": TEN, "defaultRequestPolicy": JSON}, 10, "application/json"),
        ({"healthyRetryPolicy": {"numRetries": 5}}, {"defaultHealthyRetryPolicy": TEN}, 5, PLAIN),
        ({"requestPolicy": JSON}, {}, 3, "application/json"),
        ({"requestPolicy": JSON, "healthyRetryPolicy": TEN}, {"disableSubscriptionOverrides": True}, 3, PLAIN),
        ({"requestPolicy": None, "healthyRetryPolicy": None}, {}, 3, PLAIN),
    ],
)
def test_what_is_in_force(subscription: Any, topic: Any, retries: int, content_type: str) -> None:
    delivery_policies.check_subscription(json.dumps(subscription))
    delivery_policies.check_topic(json.dumps({"http": topic}))
    found = delivery_policies.effective(attributes(subscription), attributes({"http": topic}))
    assert (found.retries["numRetries"], found.content_type) == (retries, content_type)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"throttlePolicy": {"maxReceivesPerSecond": 1}}, "NotImplemented"),
        ({"sicklyRetryPolicy": {"numRetries": 1}}, "NotImplemented"),
        ({"guaranteed": True}, "NotImplemented"),
        ({"surprise": 1}, "InvalidParameter"),
        ({"healthyRetryPolicy": 1}, "InvalidParameter"),
        ({"healthyRetryPolicy": {"numRetries": 101}}, "InvalidParameter"),
        ({"healthyRetryPolicy": {"backoffFunction": "none"}}, "InvalidParameter"),
        ({"healthyRetryPolicy": {"minDelayTarget": 21}}, "InvalidParameter"),
        ({"requestPolicy": {"headerContentType": "text/plain\r\nX: y"}}, "InvalidParameter"),
        ({"requestPolicy": {"headerContentType": 1}}, "InvalidParameter"),
        ({"requestPolicy": {"surprise": 1}}, "InvalidParameter"),
        ([], "InvalidParameter"),
    ],
)
def test_what_is_refused(policy: Any, code: str) -> None:
    with pytest.raises(AwsError) as refused:
        delivery_policies.check_subscription(json.dumps(policy))
    assert refused.value.code.startswith(code)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"http": {"defaultThrottlePolicy": {"maxReceivesPerSecond": 1}}}, "NotImplemented"),
        ({"http": {"disableSubscriptionOverrides": "yes"}}, "InvalidParameter"),
        ({"http": {"healthyRetryPolicy": {}}}, "InvalidParameter"),
        ({"http": []}, "InvalidParameter"),
    ],
)
def test_what_is_refused_of_topics(policy: Any, code: str) -> None:
    with pytest.raises(AwsError) as refused:
        delivery_policies.check_topic(json.dumps(policy))
    assert refused.value.code.startswith(code)


def test_what_says_nothing_is_taken() -> None:
    """As AWS itself shows a policy that is in force."""
    told = {"sicklyRetryPolicy": None, "throttlePolicy": {"maxReceivesPerSecond": None}, "guaranteed": False}
    delivery_policies.check_subscription(json.dumps(told))
