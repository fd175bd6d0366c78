"""SQS's permissions: `sqs:SendMessage` on the queue's ARN, and so on, and the queue's own policy."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params
from pilotlight.services.sqs import store
from pilotlight.services.sqs.names import QueueName, read_arn, read_url
from pilotlight.storage import Database


class SqsGuard:
    def __init__(self, database: Database) -> None:
        self._database = database

    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        # AWS: a batch needs the permission of its single operation.
        action = f"sqs:{operation.removesuffix('Batch')}"
        key = self._key(params, caller)
        if key is None:
            return [Access(action, f"arn:aws:sqs:{caller.region}:{caller.account}:*")]
        accesses = [Access(action, key.arn)]
        if operation == "CreateQueue" and params.get("tags"):
            context = {f"aws:RequestTag/{name}": value for name, value in params["tags"].items()}
            accesses.append(Access("sqs:TagQueue", key.arn, context))
        return accesses

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        key = self._key(params, caller)
        if key is None:
            return None
        queue = await self._database.read(store.find, key)
        return queue.attributes.get("Policy") if queue is not None else None

    def _key(self, params: Params, caller: Caller) -> QueueName | None:
        try:
            if "QueueUrl" in params:
                return read_url(params["QueueUrl"], caller)
            if "SourceArn" in params:
                return read_arn(params["SourceArn"])
        except AwsError:
            return None
        if "QueueName" in params:
            return QueueName(params.get("QueueOwnerAWSAccountId") or caller.account, caller.region, params["QueueName"])
        return None
