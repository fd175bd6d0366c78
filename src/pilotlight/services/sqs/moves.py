"""Message move tasks: what lies in a dead-letter queue goes back, or elsewhere, at a rate."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.sqs import move_store, store
from pilotlight.services.sqs.errors import invalid, invalid_value
from pilotlight.services.sqs.move_store import Move
from pilotlight.services.sqs.names import read_arn
from pilotlight.services.sqs.surroundings import Surroundings
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
RATE_MAX = 500
LIST_MAX = 10


class Moves:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def start_message_move_task(self, caller: Caller, request: Request) -> dict[str, Any]:
        source_arn, destination_arn = request["SourceArn"], request.get("DestinationArn") or ""
        rate = request.get("MaxNumberOfMessagesPerSecond") or 0
        if request.get("MaxNumberOfMessagesPerSecond") is not None and not 1 <= rate <= RATE_MAX:
            reason = f"Must be an integer from 1 to {RATE_MAX}, if provided."
            raise invalid_value(rate, "MaxNumberOfMessagesPerSecond", reason)
        source_key = read_arn(source_arn)
        destination_key = read_arn(destination_arn) if destination_arn else None
        now_ms = self._around.clock.now_ms()
        handle = _handle(self._around.ids.uuid(), source_arn)

        def start(tx: Transaction) -> None:
            source = store.find(tx, source_key)
            if source is None:
                raise _not_there("SourceArn")
            if not store.sources(tx, source):
                raise invalid("Source queue must be configured as a Dead Letter Queue.")
            if destination_key is not None:
                destination = store.find(tx, destination_key)
                if destination is None:
                    raise _not_there("DestinationArn")
                if destination.fifo != source.fifo:
                    raise invalid("Source and destination queues must be of the same type.")
            if move_store.running(tx, source_arn):
                raise AwsError(
                    "UnsupportedOperation",
                    "There is already a task running. Only one active task is allowed for a source queue arn at a "
                    "given time.",
                )
            total = sum(store.counts(tx, source, now_ms)[:1])
            move_store.save(
                tx,
                Move(
                    handle=handle,
                    account=source.account,
                    region=source.region,
                    source=source_arn,
                    destination=destination_arn,
                    rate=rate,
                    status="RUNNING",
                    moved=0,
                    total=total,
                    started_ms=now_ms,
                    due_ms=now_ms,
                    failure="",
                ),
            )

        await self._around.database.write(start)
        self._around.wake()
        return {"TaskHandle": handle}

    async def cancel_message_move_task(self, caller: Caller, request: Request) -> dict[str, Any]:
        handle = request["TaskHandle"]
        _check_handle(handle)

        def cancel(tx: Transaction) -> int:
            move = move_store.find(tx, handle)
            if move is None:
                raise AwsError("ResourceNotFoundException", "Task does not exist.", status=404)
            if move.status != "RUNNING":
                raise AwsError("ResourceNotFoundException", "Only active tasks can be cancelled.", status=404)
            move_store.change(tx, move, status="CANCELLED")
            return move.moved

        return {"ApproximateNumberOfMessagesMoved": await self._around.database.write(cancel)}

    async def list_message_move_tasks(self, caller: Caller, request: Request) -> dict[str, Any]:
        limit = request.get("MaxResults") or 1
        if not 1 <= limit <= LIST_MAX:
            raise invalid_value(limit, "MaxResults", f"Must be an integer from 1 to {LIST_MAX}.")
        key = read_arn(request["SourceArn"])

        def read(tx: Transaction) -> list[Move]:
            if store.find(tx, key) is None:
                raise _not_there("SourceArn")
            return move_store.list_of(tx, request["SourceArn"], limit)

        return {"Results": [_told(move) for move in await self._around.database.read(read)]}


def _told(move: Move) -> dict[str, Any]:
    told: dict[str, Any] = {
        "Status": move.status,
        "SourceArn": move.source,
        "ApproximateNumberOfMessagesMoved": move.moved,
        "ApproximateNumberOfMessagesToMove": move.total,
        "StartedTimestamp": move.started_ms,
    }
    # AWS: only a task that can still be cancelled has a handle.
    told |= {"TaskHandle": move.handle} if move.status == "RUNNING" else {}
    told |= {"DestinationArn": move.destination} if move.destination else {}
    told |= {"MaxNumberOfMessagesPerSecond": move.rate} if move.rate else {}
    return told | ({"FailureReason": move.failure} if move.failure else {})


def _not_there(parameter: str) -> AwsError:
    message = f"The resource that you specified for the {parameter} parameter doesn't exist."
    return AwsError("ResourceNotFoundException", message, status=404)


def _handle(identity: str, source_arn: str) -> str:
    return base64.b64encode(json.dumps({"taskId": identity, "sourceArn": source_arn}).encode()).decode()


def _check_handle(handle: str) -> None:
    try:
        told = json.loads(base64.b64decode(handle.encode(), validate=True))
        right = isinstance(told, dict) and "taskId" in told
    except ValueError:
        right = False
    if not right:
        raise invalid_value(handle, "TaskHandle", "The specified task handle is invalid.")
