"""Query and Scan: order, ranges, pages, indexes, filters; and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.dynamodb.conftest import Dynamo, n, s

NUMBERS = [-100, -2.5, -1, 0, 0.1, 1, 2, 10, 11, 100]


@pytest.fixture
async def things(dynamo: Dynamo) -> Dynamo:
    """Ten items in one partition, each with an LSI key that sorts the other way, five with a GSI key."""
    await dynamo.table()
    for place, number in enumerate(NUMBERS):
        more = {"g": s("G")} if place % 2 else {}
        await dynamo.put("Things", pk=s("p"), sk=n(number), lsk=s(f"{9 - place}"), a=n(place), b=s("x"), **more)
    await dynamo.put("Things", pk=s("other"), sk=n(1))
    return dynamo


async def query(dynamo: Dynamo, condition: str, values: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return await dynamo(
        "query", TableName="Things", KeyConditionExpression=condition,
        ExpressionAttributeValues={":p": s("p"), **(values or {})}, **more,
    )  # fmt: skip


def numbers(answer: dict[str, Any]) -> list[float]:
    return [float(item["sk"]["N"]) for item in answer["Items"]]


@pytest.mark.parametrize(
    ("condition", "values", "kept"),
    [
        ("pk = :p", {}, lambda number: True),
        ("pk = :p and sk = :v", {":v": n("1.0")}, lambda number: number == 1),
        ("pk = :p and sk < :v", {":v": n(1)}, lambda number: number < 1),
        ("pk = :p and sk <= :v", {":v": n(1)}, lambda number: number <= 1),
        ("pk = :p and sk > :v", {":v": n(-1)}, lambda number: number > -1),
        ("pk = :p and :v <= sk", {":v": n(-1)}, lambda number: number >= -1),
        ("pk = :p and sk between :v and :w", {":v": n(-3), ":w": n(10)}, lambda number: -3 <= number <= 10),
    ],
)
async def test_a_partition_is_in_the_order_of_its_numbers(
    things: Dynamo, condition: str, values: dict[str, Any], kept: Any
) -> None:
    wanted = [number for number in NUMBERS if kept(number)]
    answer = await query(things, condition, values)
    assert numbers(answer) == wanted
    assert (answer["Count"], answer["ScannedCount"]) == (len(wanted), len(wanted))
    assert "LastEvaluatedKey" not in answer
    assert numbers(await query(things, condition, values, ScanIndexForward=False)) == wanted[::-1]


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("index", [None, "local"])
async def test_pages_follow_one_another(things: Dynamo, forward: bool, index: str | None) -> None:
    more: dict[str, Any] = {"ScanIndexForward": forward, **({"IndexName": index} if index else {})}
    whole = numbers(await query(things, "pk = :p", **more))
    seen: list[float] = []
    pages = 0
    while True:
        answer = await query(things, "pk = :p", Limit=3, **more)
        seen += numbers(answer)
        pages += 1
        if "LastEvaluatedKey" not in answer:
            break
        more["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    assert (seen, pages) == (whole, 4)
    assert whole == (NUMBERS if forward == (index is None) else NUMBERS[::-1])


async def test_a_page_that_ends_at_its_limit_names_a_key(things: Dynamo) -> None:
    answer = await query(things, "pk = :p", Limit=10)
    assert answer["LastEvaluatedKey"] == {"pk": s("p"), "sk": n(100)}
    assert (await query(things, "pk = :p", ExclusiveStartKey=answer["LastEvaluatedKey"]))["Items"] == []


async def test_strings_have_prefixes(things: Dynamo) -> None:
    for number, name in enumerate(("ab", "ab\U0010ffff", "abc", "ac")):
        await things.put("Things", pk=s("w"), sk=n(number), lsk=s(name))
    answer = await things(
        "query", TableName="Things", IndexName="local", KeyConditionExpression="pk = :p and begins_with(lsk, :w)",
        ExpressionAttributeValues={":p": s("w"), ":w": s("ab")},
    )  # fmt: skip
    assert [item["lsk"]["S"] for item in answer["Items"]] == ["ab", "abc", "ab\U0010ffff"]


async def test_filters_take_away_after_counting(things: Dynamo) -> None:
    answer = await query(things, "pk = :p", {":a": n(4)}, FilterExpression="a > :a", Limit=6,
                         ReturnConsumedCapacity="TOTAL")  # fmt: skip
    assert (answer["Count"], answer["ScannedCount"]) == (1, 6)
    assert answer["LastEvaluatedKey"] == {"pk": s("p"), "sk": n(1)}
    assert answer["ConsumedCapacity"] == {"TableName": "Things", "CapacityUnits": 0.5}
    count = await query(things, "pk = :p", {":a": n(4)}, FilterExpression="a > :a", Select="COUNT",
                        ConsistentRead=True, ReturnConsumedCapacity="INDEXES")  # fmt: skip
    assert count == {
        "Count": 5,
        "ScannedCount": 10,
        "ConsumedCapacity": {"TableName": "Things", "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}},
    }


@pytest.mark.parametrize(
    ("index", "attributes"),
    [("all", {"pk", "sk", "lsk", "g", "a", "b"}), ("keys", {"pk", "sk", "g"}), ("some", {"pk", "sk", "g", "a"})],
)
async def test_global_indexes_hold_what_they_project(things: Dynamo, index: str, attributes: set[str]) -> None:
    answer = await things(
        "query", TableName="Things", IndexName=index, KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": s("G")},
    )  # fmt: skip
    assert answer["Count"] == 5
    assert all(set(item) == attributes for item in answer["Items"])
    scanned = await things("scan", TableName="Things", IndexName=index)
    assert scanned["Items"] == answer["Items"]


async def test_local_indexes_fetch_what_they_lack(things: Dynamo) -> None:
    answer = await query(things, "pk = :p", IndexName="local", Limit=1)
    assert answer["Items"] == [{"pk": s("p"), "sk": n(100), "lsk": s("0")}]
    assert answer["LastEvaluatedKey"] == {"pk": s("p"), "sk": n(100), "lsk": s("0")}
    answer = await query(things, "pk = :p", IndexName="local", Limit=1, Select="ALL_ATTRIBUTES")
    assert answer["Items"][0]["a"] == n(9)
    answer = await query(things, "pk = :p", IndexName="local", Limit=1, ProjectionExpression="a", ConsistentRead=True)
    assert answer["Items"] == [{"a": n(9)}]


async def test_pages_go_on_where_a_key_repeats(dynamo: Dynamo) -> None:
    await dynamo.table()
    for number in range(40):
        await dynamo.put("Things", pk=s(f"p{number}"), sk=n(number), g=s("G"))
    seen: list[str] = []
    more: dict[str, Any] = {}
    while True:
        answer = await dynamo(
            "query", TableName="Things", IndexName="keys", KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": s("G")}, Limit=7, **more,
        )  # fmt: skip
        seen += [item["pk"]["S"] for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        assert set(answer["LastEvaluatedKey"]) == {"pk", "sk", "g"}
        more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert sorted(seen) == sorted(f"p{number}" for number in range(40))


async def test_a_scan_sees_everything_once_in_parts_and_pages(dynamo: Dynamo) -> None:
    await dynamo.simple()
    for number in range(60):
        await dynamo.put("Simple", id=s(f"k{number}"))
    seen: list[str] = []
    for segment in range(4):
        more: dict[str, Any] = {}
        while True:
            answer = await dynamo("scan", TableName="Simple", Segment=segment, TotalSegments=4, Limit=5, **more)
            seen += [item["id"]["S"] for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                break
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
            wrong = {**more, "Segment": (segment + 1) % 4, "TotalSegments": 4}
            assert "correct Segment" in await dynamo.message("scan", TableName="Simple", **wrong)
    assert sorted(seen) == sorted(f"k{number}" for number in range(60))


async def test_a_page_ends_before_a_megabyte(dynamo: Dynamo) -> None:
    await dynamo.table()
    for number in range(30):
        await dynamo.put("Things", pk=s("p"), sk=n(number), a=s("x" * 60_000))
    first = await query(dynamo, "pk = :p", ReturnConsumedCapacity="TOTAL")
    assert first["Count"] == 17
    assert first["LastEvaluatedKey"] == {"pk": s("p"), "sk": n(16)}
    assert first["ConsumedCapacity"]["CapacityUnits"] == 125.0
    second = await query(dynamo, "pk = :p", ExclusiveStartKey=first["LastEvaluatedKey"])
    assert second["Count"] == 13
    assert "LastEvaluatedKey" not in second
    none = await query(dynamo, "pk = :p", FilterExpression="attribute_exists(zz)")
    assert (none["Count"], none["ScannedCount"]) == (0, 17)
    assert none["LastEvaluatedKey"] == first["LastEvaluatedKey"]


async def test_older_parameters_mean_the_same(things: Dynamo) -> None:
    answer = await things(
        "query", TableName="Things",
        KeyConditions={
            "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [s("p")]},
            "sk": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [n(-1), n(2)]},
        },
        QueryFilter={"a": {"ComparisonOperator": "IN", "AttributeValueList": [n(2), n(4)]}},
        AttributesToGet=["sk"],
    )  # fmt: skip
    assert answer["Items"] == [{"sk": n(-1)}, {"sk": n("0.1")}]
    answer = await things(
        "scan", TableName="Things", ConditionalOperator="OR",
        ScanFilter={
            "a": {"ComparisonOperator": "GE", "AttributeValueList": [n(9)]},
            "b": {"ComparisonOperator": "NULL"},
        },
    )  # fmt: skip
    assert answer["Count"] == 2


NO_QUERIES: list[tuple[Any, Any]] = [
    ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
    ({"KeyConditionExpression": "sk = :n"}, "Query condition missed key schema element: pk"),
    ({"KeyConditionExpression": "pk = :s and a = :n"}, "Query condition missed key schema element: sk"),
    ({"KeyConditionExpression": "pk > :s"}, "Query key condition not supported"),
    (
        {"KeyConditionExpression": "pk = :n"},
        "One or more parameter values were invalid: Condition parameter type does not match schema type",
    ),
    (
        {"KeyConditionExpression": "pk = :e"},
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
        "empty string value. Key: pk",
    ),
    ({"KeyConditionExpression": "pk = :s", "IndexName": "no"}, "The table does not have the specified index: no"),
    (
        {"KeyConditionExpression": "g = :s", "IndexName": "all", "ConsistentRead": True},
        "Consistent reads are not supported on global secondary indexes",
    ),
    (
        {"KeyConditionExpression": "g = :s", "IndexName": "keys", "Select": "ALL_ATTRIBUTES"},
        "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global "
        "secondary index keys because its projection type is not ALL",
    ),
    (
        {"KeyConditionExpression": "g = :s", "IndexName": "keys", "ProjectionExpression": "a, pk"},
        "One or more parameter values were invalid: Global secondary index keys does not project [a]",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "FilterExpression": "sk > :n"},
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "Select": "SPECIFIC_ATTRIBUTES"},
        "1 validation error detected: Must specify the AttributesToGet or ProjectionExpression when choosing to "
        "get SPECIFIC_ATTRIBUTES",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "Select": "ALL_ATTRIBUTES", "ProjectionExpression": "a"},
        "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "Select": "ALL_PROJECTED_ATTRIBUTES"},
        "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "ExclusiveStartKey": {"bad": s("p")}},
        "The provided starting key is invalid",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "ExclusiveStartKey": {"pk": s("p"), "sk": s("p")}},
        "The provided starting key is invalid: The provided key element does not match the schema",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "ExclusiveStartKey": {"pk": s("q"), "sk": n(1)}},
        "The provided starting key is outside query boundaries based on provided conditions",
    ),
    (
        {"KeyConditionExpression": "pk = :s and sk > :n", "ExclusiveStartKey": {"pk": s("p"), "sk": n(-5)}},
        "The provided starting key does not match the range key predicate",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "ExclusiveStartKey": {"pk": {}}},
        "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the "
        "supported datatypes",
    ),
    (
        {"KeyConditionExpression": "pk = :s", "AttributesToGet": ["a"]},
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributesToGet} Expression parameters: {KeyConditionExpression}",
    ),
]


async def test_queries_that_are_refused(things: Dynamo) -> None:
    for request_, message in NO_QUERIES:
        text = " ".join(str(value) for value in request_.values())
        values = {name: value for name, value in {":s": s("p"), ":n": n(0), ":e": s("")}.items() if name in text}
        given = {"ExpressionAttributeValues": values} if values else {}
        assert await things.message("query", TableName="Things", **given, **request_) == message


NO_SCANS: list[tuple[Any, Any]] = [
    (
        {"Segment": 0},
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
    ),
    (
        {"TotalSegments": 4},
        "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
    ),
    (
        {"Segment": 5, "TotalSegments": 5},
        "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
        "Segment: 5 is not less than TotalSegments: 5",
    ),
    (
        {"Select": "SPECIFIC_ATTRIBUTES"},
        "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
    ),
    (
        {"ExclusiveStartKey": {"bad": s("p")}},
        "The provided starting key is invalid: The provided key element does not match the schema",
    ),
    ({"TableName": "Nope"}, "Requested resource not found"),
]


async def test_scans_that_are_refused(things: Dynamo) -> None:
    for request_, message in NO_SCANS:
        assert await things.message("scan", **{"TableName": "Things", **request_}) == message
