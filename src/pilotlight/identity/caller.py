"""Who asks: the answer of the signature check, and what every operation is handed first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal["administrator", "user", "role", "service", "anonymous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One request's principal and circumstances.

    `administrator` is the account's root, and the people whom loopback admits: nothing is denied to it.
    `service` is a part of this cloud acting for a user, such as `s3.amazonaws.com`.
    """

    account: str
    region: str
    kind: Kind
    arn: str
    """`arn:aws:iam::…:root`, `…:user/NAME`, `arn:aws:sts::…:assumed-role/ROLE/SESSION`, or a service's name."""
    user_id: str = ""
    request_id: str = ""
    access_key_id: str = ""
    service: str = ""
    """For `kind="service"`: `lambda.amazonaws.com` …"""
    source_arn: str = ""
    """For `kind="service"`: the resource on whose behalf it acts; `aws:SourceArn`."""
    role_arn: str = ""
    """For `kind="role"`: the role behind the session."""
    session_policies: tuple[str, ...] = ()
    """JSON documents that narrow a session."""
    source_ip: str = "127.0.0.1"
    secure: bool = True
    """https, or a loopback endpoint of our own."""
    instance: str = ""
    """The function instance that asks through its sandbox's endpoint, or nothing."""
    guest: bool = False
    """A function asks, or what it may have set in motion: the host's own networks are not for it."""
    trace_id: str = ""
    """The trace header that the request came with: which functions its chain of events has passed."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Further condition keys, such as `aws:PrincipalTag/…`."""

    @classmethod
    def of_service(
        cls, service: str, *, account: str, region: str, source_arn: str = "", request_id: str = ""
    ) -> Caller:
        return cls(
            account=account,
            region=region,
            kind="service",
            arn=service,
            service=service,
            source_arn=source_arn,
            request_id=request_id,
        )

    def in_region(self, region: str) -> Caller:
        return replace(self, region=region)
