"""What a service is to the rest: noun objects with operations, what each operation needs permission for,
and how one asks another.

The gateway matches a service's public methods with AWS's model; `app.py` builds the services and hands
each what it needs. A service never imports another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotlight.identity.caller import Caller

Params = Mapping[str, Any]


class Cloud(Protocol):
    """The cloud as a service sees it: the road of a request from the wire, without the wire."""

    async def call(self, service: str, operation: str, params: Params, caller: Caller) -> dict[str, Any]:
        """`await cloud.call("sqs", "SendMessage", {...}, caller)`: validated and authorised like any request.

        Parameters and result have boto3's shapes; a refusal raises the other service's `AwsError`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """One permission that an operation needs: an IAM action on a resource, with its condition keys."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)


class Guard(Protocol):
    """What a service tells the policy evaluation about its operations."""

    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        """The permissions that this call needs; all must be granted."""
        ...

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        """The JSON policy attached to the resource, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as `app.py` registers it."""

    name: str
    """botocore's name of the service's model: `lambda`, `s3`, `dynamodb` …"""
    nouns: Sequence[object]
    """Objects whose public async methods are the operations, spelled as boto3 spells them."""
    guard: Guard
    signing_names: Sequence[str] = ()
    """Credential-scope names beside the model's own."""
