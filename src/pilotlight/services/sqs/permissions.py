"""AddPermission and RemovePermission: statements of a queue's policy, written for the caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.sqs import store
from pilotlight.services.sqs.errors import invalid_value, missing
from pilotlight.services.sqs.names import NAME, read_url
from pilotlight.services.sqs.surroundings import Surroundings
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
ACTIONS_MAX = 7
STATEMENTS_MAX = 20
ACTIONS = (
    "*",
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
)


class Permissions:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def add_permission(self, caller: Caller, request: Request) -> None:
        key, label = read_url(request["QueueUrl"], caller), request["Label"]
        accounts, actions = request["AWSAccountIds"], request["Actions"]
        if not NAME.match(label):
            reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
            raise invalid_value(label, "Label", reason)
        if not accounts:
            raise missing("PrincipalId")
        if not actions:
            raise missing("Actions")
        if len(actions) > ACTIONS_MAX:
            message = f"{len(actions)} Actions were found, maximum allowed is {ACTIONS_MAX}."
            raise AwsError("OverLimit", message, status=403)
        for action in actions:
            if action not in ACTIONS:
                reason = f"Only the queue owner is allowed to invoke this action: {action}."
                raise invalid_value(f"SQS:{action}", "ActionName", reason)

        def add(tx: Transaction) -> None:
            queue = store.require(tx, key)
            policy = _policy(queue)
            if any(statement.get("Sid") == label for statement in policy["Statement"]):
                raise invalid_value(label, "Label", "Already exists.")
            if len(policy["Statement"]) >= STATEMENTS_MAX:
                message = f"{STATEMENTS_MAX + 1} Statements were found, maximum allowed is {STATEMENTS_MAX}."
                raise AwsError("OverLimit", message, status=403)
            policy["Statement"].append(
                {
                    "Sid": label,
                    "Effect": "Allow",
                    "Principal": {"AWS": _one_or_many([f"arn:aws:iam::{account}:root" for account in accounts])},
                    "Action": _one_or_many([f"SQS:{action}" for action in actions]),
                    "Resource": queue.key.arn,
                }
            )
            store.save(tx, replace(queue, attributes={**queue.attributes, "Policy": json.dumps(policy)}))

        await self._around.database.write(add)

    async def remove_permission(self, caller: Caller, request: Request) -> None:
        key, label = read_url(request["QueueUrl"], caller), request["Label"]

        def remove(tx: Transaction) -> None:
            queue = store.require(tx, key)
            policy = _policy(queue)
            left = [statement for statement in policy["Statement"] if statement.get("Sid") != label]
            if len(left) == len(policy["Statement"]):
                raise invalid_value(label, "Label", "can't find label on existing policy.")
            attributes = {name: value for name, value in queue.attributes.items() if name != "Policy"}
            if left:
                attributes["Policy"] = json.dumps({**policy, "Statement": left})
            store.save(tx, replace(queue, attributes=attributes))

        await self._around.database.write(remove)


def _policy(queue: store.Queue) -> dict[str, Any]:
    text = queue.attributes.get("Policy")
    if not text:
        return {"Version": "2012-10-17", "Id": f"{queue.key.arn}/SQSDefaultPolicy", "Statement": []}
    policy: dict[str, Any] = json.loads(text)
    statements = policy.get("Statement", [])
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


def _one_or_many(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
