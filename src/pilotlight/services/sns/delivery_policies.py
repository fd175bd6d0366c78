"""`DeliveryPolicy`: how web servers are posted to. Pure.

AWS: "SetTopicAttributes delivery policy JSON format" and its like for subscriptions. A subscription's members come
before the topic's, but where the topic says `disableSubscriptionOverrides`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.services.sns.errors import invalid

RETRIES = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "backoffFunction": "linear",
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "numMaxDelayRetries": 0,
}
CONTENT_TYPE = "text/plain; charset=UTF-8"
LIMITS: Mapping[str, tuple[int, int]] = {
    "minDelayTarget": (1, 3600),
    "maxDelayTarget": (1, 3600),
    "numRetries": (0, 100),
    "numNoDelayRetries": (0, 100),
    "numMinDelayRetries": (0, 100),
    "numMaxDelayRetries": (0, 100),
}
OF_TOPIC = {"defaultHealthyRetryPolicy", "defaultRequestPolicy", "disableSubscriptionOverrides"}
OF_SUBSCRIPTION = {"healthyRetryPolicy", "requestPolicy"}
UNBUILT = ("sicklyRetryPolicy", "defaultSicklyRetryPolicy", "throttlePolicy", "defaultThrottlePolicy", "guaranteed")
"""Accepted where they say nothing."""
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[\w-]+=[\w.-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    retries: Mapping[str, Any]
    content_type: str


def effective(subscription: Mapping[str, str], topic: Mapping[str, str]) -> DeliveryPolicy:
    """Of both attributes' texts."""
    shared = _of_web_servers(topic)
    own = {} if overrides_subscriptions(topic) else json.loads(subscription.get("DeliveryPolicy") or "{}")
    retries = own.get("healthyRetryPolicy") or shared.get("defaultHealthyRetryPolicy") or {}
    request = own.get("requestPolicy") or shared.get("defaultRequestPolicy") or {}
    return DeliveryPolicy({**RETRIES, **retries}, request.get("headerContentType") or CONTENT_TYPE)


def overrides_subscriptions(topic: Mapping[str, str]) -> bool:
    return bool(_of_web_servers(topic).get("disableSubscriptionOverrides"))


def _of_web_servers(topic: Mapping[str, str]) -> Mapping[str, Any]:
    return json.loads(topic.get("DeliveryPolicy") or "{}").get("http") or {}


def check_topic(text: str) -> None:
    """Raises AwsError."""
    policy = _object(_parsed(text).get("http"), "http")
    _check(policy, OF_TOPIC)
    if policy.get("disableSubscriptionOverrides") not in (None, True, False):
        raise invalid("DeliveryPolicy: http.disableSubscriptionOverrides must be a boolean")
    _check_retries(_object(policy.get("defaultHealthyRetryPolicy"), "http.defaultHealthyRetryPolicy"))
    _check_request(_object(policy.get("defaultRequestPolicy"), "http.defaultRequestPolicy"))


def check_subscription(text: str) -> None:
    """Raises AwsError."""
    policy = _parsed(text)
    _check(policy, OF_SUBSCRIPTION)
    _check_retries(_object(policy.get("healthyRetryPolicy"), "healthyRetryPolicy"))
    _check_request(_object(policy.get("requestPolicy"), "requestPolicy"))


def _check(policy: Mapping[str, Any], known: set[str]) -> None:
    for name, value in policy.items():
        if name in UNBUILT:
            if value and value != {"maxReceivesPerSecond": None}:
                raise NotImplementedHere(f"{name} in DeliveryPolicy")
        elif name not in known:
            raise invalid(f"DeliveryPolicy: unknown member {name}")


def _check_retries(policy: Mapping[str, Any]) -> None:
    for name, value in policy.items():
        if name == "backoffFunction":
            if value not in ("linear", "arithmetic", "geometric", "exponential"):
                raise invalid(f"DeliveryPolicy: {name} is invalid")
        elif name not in LIMITS:
            raise invalid(f"DeliveryPolicy: unknown member {name}")
        elif not isinstance(value, int) or not LIMITS[name][0] <= value <= LIMITS[name][1]:
            least, most = LIMITS[name]
            raise invalid(f"DeliveryPolicy: {name} must be between {least} and {most}")
    if policy.get("maxDelayTarget", 20) < policy.get("minDelayTarget", 20):
        raise invalid("DeliveryPolicy: minDelayTarget must be less than or equal to maxDelayTarget")


def _check_request(policy: Mapping[str, Any]) -> None:
    for name, value in policy.items():
        if name != "headerContentType":
            raise invalid(f"DeliveryPolicy: unknown member {name}")
        if value is not None and not (isinstance(value, str) and MEDIA_TYPE.fullmatch(value)):
            raise invalid(f"DeliveryPolicy: {name} is invalid")


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise invalid("DeliveryPolicy: failed to parse JSON.")
    return value


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"DeliveryPolicy: {name} must be an object")
    return value
