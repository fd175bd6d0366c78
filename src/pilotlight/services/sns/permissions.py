"""AddPermission and RemovePermission: statements of a topic's policy, written for the caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.sns import store
from pilotlight.services.sns.errors import invalid
from pilotlight.services.sns.names import check_arn
from pilotlight.services.sns.surroundings import Surroundings
from pilotlight.services.sns.topics import OWNER_ACTIONS, default_policy
from pilotlight.storage import Transaction

Request = Mapping[str, Any]


class Permissions:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def add_permission(self, caller: Caller, request: Request) -> None:
        check_arn(request["TopicArn"], "TopicArn")
        accounts = [f"arn:aws:iam::{account}:root" for account in request["AWSAccountId"]]
        for action in request["ActionName"]:
            if action not in OWNER_ACTIONS:
                raise invalid("Policy statement action out of service scope!")

        def add(tx: Transaction) -> None:
            topic = store.require(tx, request["TopicArn"])
            policy = _policy(topic)
            if any(one.get("Sid") == request["Label"] for one in policy["Statement"]):
                raise invalid("Statement already exists")
            actions = [f"SNS:{action}" for action in request["ActionName"]]
            policy["Statement"].append(
                {
                    "Sid": request["Label"],
                    "Effect": "Allow",
                    "Principal": {"AWS": accounts[0] if len(accounts) == 1 else accounts},
                    "Action": actions[0] if len(actions) == 1 else actions,
                    "Resource": topic.arn,
                }
            )
            store.save(tx, replace(topic, attributes={**topic.attributes, "Policy": json.dumps(policy)}))

        await self._around.database.write(add)

    async def remove_permission(self, caller: Caller, request: Request) -> None:
        check_arn(request["TopicArn"], "TopicArn")

        def remove(tx: Transaction) -> None:
            topic = store.require(tx, request["TopicArn"])
            policy = _policy(topic)
            left = [one for one in policy["Statement"] if one.get("Sid") != request["Label"]]
            text = json.dumps({**policy, "Statement": left})
            store.save(tx, replace(topic, attributes={**topic.attributes, "Policy": text}))

        await self._around.database.write(remove)


def _policy(topic: store.Topic) -> dict[str, Any]:
    text = topic.attributes.get("Policy")
    policy: dict[str, Any] = json.loads(text) if text else default_policy(topic)
    statements = policy.get("Statement", [])
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}
