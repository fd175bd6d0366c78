"""A function's logs are written where its role permits, as on AWS."""

from __future__ import annotations

import json

import pytest

from pilotlight.identity.authorise import Grants, Policies
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.log_gate import LogGate
from pilotlight.settings import Settings
from tests.services.awslambda.surroundings import ACCOUNT, Bench


class Granted:
    def __init__(self, *actions: str) -> None:
        statement = {
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/f*:*:*",
        }
        self._policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    async def grants_of(self, caller: Caller) -> Grants | None:
        return Grants(policies=(self._policy,))


@pytest.mark.parametrize(
    ("action", "group", "written"),
    [
        ("logs:PutLogEvents", "/aws/lambda/f", True),
        ("s3:GetObject", "/aws/lambda/f", False),
        ("logs:PutLogEvents", "/mine", False),
        ("s3:GetObject", "/aws/lambda/deleted", True),
    ],
)
async def test_the_role_decides(bench: Bench, action: str, group: str, written: bool) -> None:
    await bench.create()
    await bench.create("g", LoggingConfig={"LogGroup": "/mine"})
    policies = Policies(principals=Granted(action), clock=bench.clock, settings=Settings())
    gate = LogGate(bench.database, policies, bench.clock)
    assert await gate(ACCOUNT, "us-east-1", group) is written
    assert await gate(ACCOUNT, "us-east-1", group) is written
