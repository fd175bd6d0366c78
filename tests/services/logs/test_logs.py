"""CloudWatch Logs, from a function's line to a search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.observability import logs
from pilotlight.observability.log_store import DAY_MS
from pilotlight.observability.logs import LogBuffer, Retention
from pilotlight.services.logs import make_service
from pilotlight.storage.migrations import schema_files
from pilotlight.storage.sqlite import SqliteDatabase

ACCOUNT = "000000000000"
CALLER = Caller(account=ACCOUNT, region="us-east-1", kind="administrator", arn=f"arn:aws:iam::{ACCOUNT}:root")
GROUP_ARN = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:g"


class Logs:
    def __init__(self, database: SqliteDatabase) -> None:
        self.clock = Clock()
        self.buffer = LogBuffer(database, self.clock)
        self.retention = Retention(database, self.clock)
        self.service = make_service(database, self.clock, self.buffer)

    async def call(self, operation: str, /, **request: Any) -> Any:
        for noun in self.service.nouns:
            method = getattr(noun, operation, None)
            if method is not None:
                return await method(CALLER, request)
        raise AssertionError(operation)

    async def put(self, *messages: str, first_ms: int | None = None) -> Any:
        start = self.clock.wall_ms() - 1000 if first_ms is None else first_ms
        events = [{"timestamp": start + i, "message": message} for i, message in enumerate(messages)]
        return await self.call("put_log_events", logGroupName="g", logStreamName="s", logEvents=events)

    def write(self, stream: str, *messages: str, group: str = "/aws/lambda/f") -> None:
        now = self.clock.wall_ms()
        lines = [(now + i, message) for i, message in enumerate(messages)]
        self.buffer.write(account=ACCOUNT, region="us-east-1", group=group, stream=stream, lines=lines)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Logs]:
    database = SqliteDatabase(
        tmp_path / "logs.db", schema_files(["pilotlight.observability"]), synchronous="NORMAL", cache_kib=2048
    )
    yield Logs(database)
    database.close()


@pytest.fixture
async def made(cloud: Logs) -> Logs:
    await cloud.call("create_log_group", logGroupName="g", tags={"a": "b"})
    await cloud.call("create_log_stream", logGroupName="g", logStreamName="s")
    return cloud


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


async def test_a_functions_first_line_makes_its_group_and_stream(cloud: Logs) -> None:
    cloud.write("2026/11/23/[$LATEST]a", "START", "END")
    found = await cloud.call("filter_log_events", logGroupName="/aws/lambda/f")
    assert messages(found) == ["START\n", "END\n"]
    (group,) = (await cloud.call("describe_log_groups"))["logGroups"]
    assert (group["logGroupName"], group["arn"].rpartition("log-group:")[2]) == ("/aws/lambda/f", "/aws/lambda/f:*")
    (stream,) = (await cloud.call("describe_log_streams", logGroupName="/aws/lambda/f"))["logStreams"]
    assert stream["logStreamName"] == "2026/11/23/[$LATEST]a"
    assert stream["firstEventTimestamp"] + 1 == stream["lastEventTimestamp"]


async def test_lines_that_come_too_fast_are_dropped_and_counted(
    cloud: Logs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "LINES_MAX", 2)
    cloud.write("s", "1", "2")
    cloud.write("s", "3")
    assert cloud.buffer.dropped == 1
    await cloud.buffer.flush()
    assert "1 log lines were dropped" in caplog.text


async def test_long_lines_are_dropped_by_their_size(cloud: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BYTES_MAX", 1000)
    cloud.write("s", "x" * 900)
    cloud.write("s", "y" * 900)
    assert cloud.buffer.dropped == 1
    await cloud.buffer.flush()
    cloud.write("s", "z" * 900)
    await cloud.buffer.flush()
    events = (await cloud.call("get_log_events", logGroupName="/aws/lambda/f", logStreamName="s"))["events"]
    assert [event["message"][0] for event in events] == ["x", "z"]


async def test_events_are_read_forward_and_backward_by_tokens(made: Logs) -> None:
    await made.put("1", "2", "3", "4", "5")
    last = await made.call("get_log_events", logGroupName="g", logStreamName="s", limit=2)
    assert messages(last) == ["4", "5"]
    assert last["nextForwardToken"].startswith("f/")
    assert len(last["nextForwardToken"]) == 58
    before = await made.call(
        "get_log_events", logGroupName="g", logStreamName="s", limit=2, nextToken=last["nextBackwardToken"]
    )
    assert messages(before) == ["2", "3"]
    end = await made.call("get_log_events", logGroupName="g", logStreamName="s", nextToken=last["nextForwardToken"])
    assert (end["events"], end["nextForwardToken"]) == ([], last["nextForwardToken"])
    await made.put("6", first_ms=made.clock.wall_ms() + 60_000)
    more = await made.call("get_log_events", logGroupName="g", logStreamName="s", nextToken=end["nextForwardToken"])
    assert messages(more)[-1:] == ["6"]
    first = await made.call("get_log_events", logGroupName="g", logStreamName="s", limit=1, startFromHead=True)
    assert messages(first) == ["1"]


async def test_a_search_goes_on_where_it_stopped(made: Logs) -> None:
    await made.put(*("hit" if i % 3 == 0 else "miss" for i in range(30)))
    found: list[str] = []
    token: str | None = None
    while True:
        more = {"nextToken": token} if token else {}
        answer = await made.call("filter_log_events", logGroupName="g", filterPattern="hit", limit=4, **more)
        found += messages(answer)
        token = answer.get("nextToken")
        if token is None:
            break
    assert found == ["hit"] * 10


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([(5, "a"), (4, "b")], "must be in chronological order."),
        ([(0, "a"), (DAY_MS + 1, "b")], "cannot span more than 24 hours."),
        ([(0, "x" * 1_048_576)], "Log event too large"),
    ],
)
async def test_batches_that_aws_refuses(made: Logs, events: list[tuple[int, str]], message: str) -> None:
    batch = [{"timestamp": at, "message": text} for at, text in events]
    with pytest.raises(AwsError, match=message) as refusal:
        await made.call("put_log_events", logGroupName="g", logStreamName="s", logEvents=batch)
    assert refusal.value.code == "InvalidParameterException"


async def test_events_too_old_and_too_new_are_rejected_one_by_one(made: Logs) -> None:
    now = made.clock.wall_ms()
    assert (await made.put("old", first_ms=now - 15 * DAY_MS))["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    batch = [{"timestamp": now, "message": "ok"}, {"timestamp": now + 3 * 3_600_000, "message": "new"}]
    answer = await made.call("put_log_events", logGroupName="g", logStreamName="s", logEvents=batch)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert messages(await made.call("filter_log_events", logGroupName="g")) == ["ok"]


async def test_retention_deletes_by_the_clouds_clock(made: Logs) -> None:
    await made.put("1", "2")
    await made.call("put_retention_policy", logGroupName="g", retentionInDays=1)
    due_ms = await made.retention.work()
    assert due_ms is not None
    made.clock.freeze()
    made.clock.advance_to(due_ms + 10)
    assert messages(await made.call("filter_log_events", logGroupName="g")) == []
    assert await made.retention.work() is None
    made.clock.reset()
    assert messages(await made.call("filter_log_events", logGroupName="g")) == []


async def test_tags_by_both_apis(made: Logs) -> None:
    await made.call("tag_log_group", logGroupName="g", tags={"c": "d"})
    await made.call("untag_resource", resourceArn=GROUP_ARN, tagKeys=["a"])
    assert await made.call("list_tags_for_resource", resourceArn=GROUP_ARN) == {"tags": {"c": "d"}}
    assert await made.call("list_tags_log_group", logGroupName="g") == {"tags": {"c": "d"}}


@pytest.mark.parametrize(
    ("operation", "request_", "code", "message"),
    [
        (
            "create_log_group",
            {"logGroupName": "g"},
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ),
        (
            "create_log_stream",
            {"logGroupName": "g", "logStreamName": "s"},
            "ResourceAlreadyExistsException",
            "The specified log stream already exists",
        ),
        (
            "delete_log_group",
            {"logGroupName": "x"},
            "ResourceNotFoundException",
            "The specified log group does not exist.",
        ),
        (
            "get_log_events",
            {"logGroupName": "g", "logStreamName": "x"},
            "ResourceNotFoundException",
            "The specified log stream does not exist.",
        ),
        (
            "get_log_events",
            {"logGroupName": "g", "logStreamName": "s", "nextToken": "x"},
            "InvalidParameterException",
            "The specified nextToken is invalid.",
        ),
        (
            "describe_log_streams",
            {"logGroupName": "g", "logStreamNamePrefix": "s", "orderBy": "LastEventTime"},
            "InvalidParameterException",
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ),
        (
            "filter_log_events",
            {"logGroupName": "g", "filterPattern": "{ $.a"},
            "InvalidParameterException",
            "Invalid filter pattern",
        ),
    ],
)
async def test_refusals(made: Logs, operation: str, request_: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(AwsError) as refusal:
        await made.call(operation, **request_)
    assert (refusal.value.code, refusal.value.message) == (code, message)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("create_log_group", {"logGroupName": "k", "kmsKeyId": "k"}),
        ("filter_log_events", {"logGroupName": "g", "filterPattern": "[a, b]"}),
        ("get_log_events", {"logGroupName": "g", "logStreamName": "s", "unmask": True}),
    ],
)
async def test_what_is_not_here_is_refused_by_name(made: Logs, operation: str, request_: dict[str, Any]) -> None:
    with pytest.raises(AwsError) as refusal:
        await made.call(operation, **request_)
    assert refusal.value.code == "NotImplemented"


async def test_an_unlisted_retention_is_refused(made: Logs) -> None:
    with pytest.raises(AwsError, match="Value '2' at 'retentionInDays'"):
        await made.call("put_retention_policy", logGroupName="g", retentionInDays=2)


async def test_groups_are_described_by_prefix_and_in_pages(cloud: Logs) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1"):
        await cloud.call("create_log_group", logGroupName=name)
    first = await cloud.call("describe_log_groups", logGroupNamePrefix="a/", limit=2)
    second = await cloud.call("describe_log_groups", logGroupNamePrefix="a/", limit=2, nextToken=first["nextToken"])
    assert [g["logGroupName"] for g in first["logGroups"] + second["logGroups"]] == ["a/1", "a/2", "a/3"]


async def test_the_guard_names_groups_and_streams_as_deployed_policies_do(cloud: Logs) -> None:
    guard = cloud.service.guard
    (create,) = guard.accesses("CreateLogGroup", {"logGroupName": "g"}, CALLER)
    (put,) = guard.accesses("PutLogEvents", {"logGroupName": "g", "logStreamName": "s"}, CALLER)
    assert (create.action, create.resource) == ("logs:CreateLogGroup", f"{GROUP_ARN}:*")
    assert (put.action, put.resource) == ("logs:PutLogEvents", f"{GROUP_ARN}:log-stream:s")
