"""Many items in one request: batches, whose parts are independent, and transactions, whose parts are not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pilotlight.errors import AwsError
from tests.services.dynamodb.conftest import Dynamo, n, s

WRONG = "One or more parameter values were invalid: "


@pytest.fixture
async def simple(dynamo: Dynamo) -> Dynamo:
    await dynamo.simple()
    return dynamo


async def test_a_batch_writes_and_a_batch_reads(simple: Dynamo) -> None:
    await simple.table()
    await simple.put("Simple", id=s("old"))
    told = await simple(
        "batch_write_item",
        RequestItems={
            "Simple": [{"PutRequest": {"Item": {"id": s("a")}}}, {"DeleteRequest": {"Key": {"id": s("old")}}}],
            "Things": [{"PutRequest": {"Item": {"pk": s("p"), "sk": n(1), "g": s("G")}}}],
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert told["UnprocessedItems"] == {}
    assert [one["CapacityUnits"] for one in told["ConsumedCapacity"]] == [2.0, 4.0]
    got = await simple(
        "batch_get_item",
        RequestItems={
            "Simple": {"Keys": [{"id": s("a")}, {"id": s("old")}]},
            "Things": {"Keys": [{"pk": s("p"), "sk": n("1.0")}], "ProjectionExpression": "g"},
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert got["Responses"] == {"Simple": [{"id": s("a")}], "Things": [{"g": s("G")}]}
    assert got["UnprocessedKeys"] == {}
    assert [one["CapacityUnits"] for one in got["ConsumedCapacity"]] == [1.0, 0.5]


async def test_a_batch_answers_16_megabytes_and_leaves_the_rest(simple: Dynamo) -> None:
    keys = [{"id": s(f"k{number:02}")} for number in range(45)]
    for key in keys:
        await simple.put("Simple", **key, a=s("x" * 400_000))
    got = await simple("batch_get_item", RequestItems={"Simple": {"Keys": keys}})
    left = got["UnprocessedKeys"]["Simple"]["Keys"]
    assert (len(got["Responses"]["Simple"]), len(left)) == (41, 4)


WRONG_BATCHES: list[tuple[Any, Any]] = [
    ([{"PutRequest": {"Item": {"id": n(1)}}}], "The provided key element does not match the schema"),
    ([{"PutRequest": {"Item": {"a": s("x")}}}], "The provided key element does not match the schema"),
    ([{"DeleteRequest": {"Key": {}}}], "The provided key element does not match the schema"),
    (
        [{"PutRequest": {"Item": {"id": s("a")}}}, {"DeleteRequest": {"Key": {"id": s("a")}}}],
        "Provided list of item keys contains duplicates",
    ),
    (
        [{"PutRequest": {"Item": {"id": s("")}}}],
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
        "empty string value. Key: id",
    ),
    (
        [{"PutRequest": {"Item": {"id": s(str(number))}}} for number in range(26)],
        "Too many items requested for the BatchWriteItem call",
    ),
]


async def test_a_wrong_batch_writes_nothing(simple: Dynamo) -> None:
    for items, message in WRONG_BATCHES:
        good = {"PutRequest": {"Item": {"id": s("good")}}}
        assert await simple.message("batch_write_item", RequestItems={"Simple": [good, *items]}) == message
        assert (await simple("scan", TableName="Simple"))["Count"] == 0


async def test_a_batch_reads_each_item_once(simple: Dynamo) -> None:
    twice = {"Keys": [{"id": s("a")}, {"id": s("a")}]}
    told = await simple.message("batch_get_item", RequestItems={"Simple": twice})
    assert told == "Provided list of item keys contains duplicates"
    told = await simple.message("batch_get_item", RequestItems={"Nope": {"Keys": [{"id": s("a")}]}})
    assert told == "Requested resource not found"


def put(name: str, **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "Simple", "Item": {"id": s(name)}, **more}}


def add(name: str, number: int, **more: Any) -> dict[str, Any]:
    update = {"UpdateExpression": "ADD v :v", "ExpressionAttributeValues": {":v": n(number)}}
    return {"Update": {"TableName": "Simple", "Key": {"id": s(name)}, **update, **more}}


def check(name: str, condition: str, **more: Any) -> dict[str, Any]:
    return {"ConditionCheck": {"TableName": "Simple", "Key": {"id": s(name)}, "ConditionExpression": condition, **more}}


async def reasons(dynamo: Dynamo, *items: dict[str, Any]) -> list[Any]:
    error = await dynamo.refused("transact_write_items", TransactItems=list(items))
    assert error.code == "TransactionCanceledException"
    found: list[Any] = error.members["CancellationReasons"]  # type: ignore[assignment]
    codes = ", ".join(reason["Code"] for reason in found)
    assert error.message == (f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]")
    return found


async def test_a_transaction_happens_whole_or_not_at_all(simple: Dynamo) -> None:
    delete = {"Delete": {"TableName": "Simple", "Key": {"id": s("d")}}}
    await simple.put("Simple", id=s("d"))
    told = await simple(
        "transact_write_items",
        TransactItems=[put("a"), add("b", 2), delete, check("c", "attribute_not_exists(id)")],
        ReturnConsumedCapacity="TOTAL",
    )
    assert told["ConsumedCapacity"] == [{"TableName": "Simple", "CapacityUnits": 8.0, "WriteCapacityUnits": 8.0}]
    found = await reasons(
        simple,
        put("new"),
        add("b", 1, ConditionExpression="v > :v", ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ExpressionAttributeValues={":v": n(2)}),
        check("a", "attribute_not_exists(id)"),
    )  # fmt: skip
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    assert found == [{"Code": "None"}, {**failed, "Item": {"id": s("b"), "v": n(2)}}, failed]
    items = (await simple("scan", TableName="Simple"))["Items"]
    assert sorted(item["id"]["S"] for item in items) == ["a", "b"]


async def test_parts_that_cannot_be_done_cancel_the_rest(simple: Dynamo) -> None:
    found = await reasons(simple, put("a"), {"Put": {"TableName": "Simple", "Item": {"id": n(5)}}})
    message = WRONG + "Type mismatch for key id expected: S actual: N"
    assert found == [{"Code": "None"}, {"Code": "ValidationError", "Message": message}]
    found = await reasons(simple, {"Delete": {"TableName": "Simple", "Key": {"id": n(5)}}})
    assert found[0]["Message"] == "The provided key element does not match the schema"
    await simple.put("Simple", id=s("t"), v=s("text"))
    found = await reasons(simple, add("t", 1))
    assert found[0]["Message"] == "An operand in the update expression has an incorrect data type"


WRONG_TRANSACTIONS: list[tuple[Any, Any]] = [
    ([put("a"), add("a", 1)], "Transaction request cannot include multiple operations on one item"),
    ([{**put("a"), **add("b", 1)}], "TransactItems can only contain one of Check, Put, Update or Delete"),
    (
        [put("")],
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
        "empty string value. Key: id",
    ),
    (
        [check("a", "attribute_not_exists(")],
        'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "("',
    ),
    ([put("x" * 3000)], None),
    ([{"Put": {"TableName": "Nope", "Item": {"id": s("a")}}}], "Requested resource not found"),
]


async def test_transactions_that_are_refused(simple: Dynamo) -> None:
    for items, message in WRONG_TRANSACTIONS:
        error = await simple.refused("transact_write_items", TransactItems=items)
        if message is not None:
            assert error.message == message
        assert (await simple("scan", TableName="Simple"))["Count"] == 0


async def test_a_token_does_a_transaction_once_in_ten_minutes(simple: Dynamo) -> None:
    simple.clock.freeze()
    request = {"TransactItems": [add("a", 1)], "ClientRequestToken": "once"}
    first = await simple("transact_write_items", **request, ReturnConsumedCapacity="TOTAL")
    assert first["ConsumedCapacity"] == [{"TableName": "Simple", "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}]
    for _ in range(2):
        again = await simple("transact_write_items", **request, ReturnConsumedCapacity="TOTAL")
        assert again["ConsumedCapacity"] == [{"TableName": "Simple", "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}]
    got = await simple("get_item", TableName="Simple", Key={"id": s("a")})
    assert got["Item"]["v"] == n(1)
    error = await simple.refused("transact_write_items", TransactItems=[add("a", 2)], ClientRequestToken="once")
    assert error.code == "IdempotentParameterMismatchException"
    simple.clock.advance_to(simple.clock.now_ms() + 600_000)
    await simple("transact_write_items", **request)
    got = await simple("get_item", TableName="Simple", Key={"id": s("a")})
    assert got["Item"]["v"] == n(2)


async def test_transactions_keep_the_sum(simple: Dynamo) -> None:
    """Money moves between accounts in parallel, some of it refused: none is made, none is lost."""
    accounts = [f"account{number}" for number in range(4)]
    for name in accounts:
        await simple.put("Simple", id=s(name), v=n(20))

    async def pay(payer: str, payee: str) -> str:
        enough = {
            "ConditionExpression": "v >= :min",
            "UpdateExpression": "ADD v :v",
            "ExpressionAttributeValues": {":v": n(-7), ":min": n(7)},
        }
        try:
            await simple("transact_write_items", TransactItems=[add(payer, 0, **enough), add(payee, 7)])
        except AwsError as error:
            return error.code
        return "paid"

    turns = [(accounts[turn % 4], accounts[(turn * 3 + 1) % 4]) for turn in range(12)]
    answers = await asyncio.gather(*(pay(payer, payee) for payer, payee in turns if payer != payee))
    assert set(answers) <= {"paid", "TransactionCanceledException"}
    assert "paid" in answers
    balances = [int(item["v"]["N"]) for item in (await simple("scan", TableName="Simple"))["Items"]]
    assert sum(balances) == 80
    assert min(balances) >= 0


async def test_items_are_read_as_of_one_moment(simple: Dynamo) -> None:
    await simple.put("Simple", id=s("a"), v=n(1))
    get = {"TableName": "Simple", "Key": {"id": s("a")}, "ProjectionExpression": "v"}
    told = await simple(
        "transact_get_items",
        TransactItems=[{"Get": get}, {"Get": {"TableName": "Simple", "Key": {"id": s("none")}}}],
        ReturnConsumedCapacity="INDEXES",
    )
    assert told["Responses"] == [{"Item": {"v": n(1)}}, {}]
    assert told["ConsumedCapacity"] == [
        {
            "TableName": "Simple",
            "CapacityUnits": 4.0,
            "ReadCapacityUnits": 4.0,
            "Table": {"CapacityUnits": 4.0, "ReadCapacityUnits": 4.0},
        }
    ]
    told_message = await simple.message("transact_get_items", TransactItems=[{"Get": get}, {"Get": get}])
    assert told_message == "Transaction request cannot include multiple operations on one item"
    error = await simple.refused("transact_get_items", TransactItems=[{"Get": {"TableName": "Simple", "Key": {}}}])
    assert error.code == "TransactionCanceledException"
    assert error.members["CancellationReasons"] == [
        {"Code": "ValidationError", "Message": "The provided key element does not match the schema"}
    ]
