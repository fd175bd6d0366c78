"""IAM and STS on both databases, called as the gateway calls them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import Credentials
from pilotlight.ids import Ids
from pilotlight.services.iam.principals import Principals
from pilotlight.services.iam.service import iam_service
from pilotlight.services.sts.service import sts_service
from pilotlight.settings import ACCOUNT, REGION, Settings
from pilotlight.storage.database import Database

LAMBDA_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def document(*actions: str, resource: str = "*", effect: str = "Allow") -> str:
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass
class Account:
    """The operations of IAM and STS by boto3's names."""

    caller: Caller
    nouns: tuple[object, ...]
    principals: Principals
    policies: Policies
    credentials: Credentials

    async def __call__(self, operation: str, caller: Caller | None = None, **request: Any) -> dict[str, Any]:
        noun = next(noun for noun in self.nouns if hasattr(noun, operation))
        result: dict[str, Any] = await getattr(noun, operation)(caller or self.caller, request)
        return result

    async def refused(self, operation: str, caller: Caller | None = None, **request: Any) -> AwsError:
        with pytest.raises(AwsError) as caught:
            await self(operation, caller, **request)
        return caught.value


@pytest.fixture
def components() -> list[str]:
    return ["pilotlight.identity", "pilotlight.services.iam"]


@pytest.fixture
async def account(database: Database) -> Account:
    clock, ids, settings = Clock(), Ids(), Settings()
    principals = Principals(database)
    credentials = Credentials(database=database, clock=clock, ids=ids, settings=settings, keys=principals)
    await credentials.start()
    policies = Policies(principals=principals, clock=clock, settings=settings)
    iam = iam_service(database=database, principals=principals, credentials=credentials, clock=clock, ids=ids)
    sts = sts_service(credentials=credentials, policies=policies, roles=principals)
    root = Caller(
        account=ACCOUNT, region=REGION, kind="administrator", arn=f"arn:aws:iam::{ACCOUNT}:root", user_id=ACCOUNT
    )
    return Account(root, (*iam.nouns, *sts.nouns), principals, policies, credentials)
