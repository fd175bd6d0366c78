"""Which roles Lambda may assume."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pilotlight.clock import Clock
from pilotlight.identity.authorise import Grants, Policies
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.trust import RoleTrust, Trusted
from pilotlight.settings import Settings

ROLE = "arn:aws:iam::000000000000:role/r"


class Nobody:
    async def grants_of(self, caller: Caller) -> Grants | None:
        return None


class OneRole:
    def __init__(self, service: str) -> None:
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        self._trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    async def role(self, arn: str) -> Trusted | None:
        return SimpleNamespace(trust=self._trust) if arn == ROLE else None


@pytest.mark.parametrize(
    ("service", "arn", "trusted"),
    [
        ("lambda.amazonaws.com", ROLE, True),
        ("ec2.amazonaws.com", ROLE, False),
        ("lambda.amazonaws.com", ROLE + "x", False),
    ],
)
async def test_a_role_is_there_and_trusts_lambda(service: str, arn: str, trusted: bool) -> None:
    policies = Policies(principals=Nobody(), clock=Clock(), settings=Settings())
    roles = RoleTrust(OneRole(service), policies, "us-east-1")
    assert await roles.may_assume(arn, "lambda.amazonaws.com") is trusted
