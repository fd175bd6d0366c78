"""Single items: what is kept, what comes back, what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.services.dynamodb.conftest import Dynamo, n, s

KEY = {"id": s("k")}
WRONG = "One or more parameter values were invalid: "
ONE = "1 validation error detected: "


@pytest.fixture
async def simple(dynamo: Dynamo) -> Dynamo:
    await dynamo.simple()
    return dynamo


async def test_an_item_comes_back_as_it_was_put(simple: Dynamo) -> None:
    item: dict[str, Any] = {
        **KEY,
        "number": n("1.50"),
        "binary": {"B": b"\x00\xff"},
        "flag": {"BOOL": False},
        "nothing": {"NULL": True},
        "list": {"L": [s("a"), {"B": b"x"}, {"M": {"BS": {"BS": [b"q"]}}}]},
        "map": {"M": {"": s("empty name")}},
        "sets": {"NS": ["1", "2.0"]},
    }
    assert await simple.put("Simple", **item) == {}
    got = await simple("get_item", TableName="Simple", Key=KEY, ConsistentRead=True)
    assert got == {"Item": {**item, "number": n("1.5"), "sets": {"NS": ["1", "2"]}}}
    assert await simple("get_item", TableName="Simple", Key={"id": s("other")}) == {}
    part = await simple("get_item", TableName="Simple", Key=KEY, ProjectionExpression="#m, #l[1]",
                        ExpressionAttributeNames={"#m": "map", "#l": "list"})  # fmt: skip
    assert part == {"Item": {"map": item["map"], "list": {"L": [{"B": b"x"}]}}}


async def test_put_replaces_and_tells_the_old(simple: Dynamo) -> None:
    assert await simple("put_item", TableName="Simple", Item={**KEY, "a": n(1)}, ReturnValues="ALL_OLD") == {}
    old = await simple("put_item", TableName="Simple", Item={**KEY, "b": n(2)}, ReturnValues="ALL_OLD")
    assert old == {"Attributes": {**KEY, "a": n(1)}}
    assert (await simple("get_item", TableName="Simple", Key=KEY))["Item"] == {**KEY, "b": n(2)}
    gone = await simple("delete_item", TableName="Simple", Key=KEY, ReturnValues="ALL_OLD")
    assert gone == {"Attributes": {**KEY, "b": n(2)}}
    assert await simple("delete_item", TableName="Simple", Key=KEY, ReturnValues="ALL_OLD") == {}


async def test_conditions_guard_every_write(simple: Dynamo) -> None:
    fresh = {"ConditionExpression": "attribute_not_exists(id)"}
    await simple("put_item", TableName="Simple", Item={**KEY, "v": n(1)}, **fresh)
    error = await simple.refused("put_item", TableName="Simple", Item=KEY, **fresh)
    assert (error.code, error.message) == ("ConditionalCheckFailedException", "The conditional request failed")
    assert error.members == {}
    error = await simple.refused(
        "delete_item", TableName="Simple", Key=KEY, ConditionExpression="v > :v",
        ExpressionAttributeValues={":v": n(1)}, ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )  # fmt: skip
    assert error.members == {"Item": {**KEY, "v": n(1)}}
    error = await simple.refused(
        "update_item", TableName="Simple", Key={"id": s("nobody")}, UpdateExpression="SET v = :v",
        ConditionExpression="v = :v", ExpressionAttributeValues={":v": n(1)},
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )  # fmt: skip
    assert (error.code, error.members) == ("ConditionalCheckFailedException", {})
    assert (await simple("scan", TableName="Simple"))["Count"] == 1


@pytest.mark.parametrize(
    ("asked", "attributes"),
    [
        ("NONE", None),
        ("ALL_OLD", {**KEY, "a": n(1), "m": {"M": {"x": n(1), "y": n(2)}}, "gone": s("")}),
        ("UPDATED_OLD", {"a": n(1), "m": {"M": {"x": n(1)}}, "gone": s("")}),
        ("ALL_NEW", {**KEY, "a": n(2), "m": {"M": {"x": n(5), "y": n(2)}}}),
        ("UPDATED_NEW", {"a": n(2), "m": {"M": {"x": n(5)}}}),
    ],
)
async def test_updates_tell_what_is_asked(simple: Dynamo, asked: str, attributes: Any) -> None:
    await simple.put("Simple", **KEY, a=n(1), m={"M": {"x": n(1), "y": n(2)}}, gone=s(""))
    told = await simple(
        "update_item", TableName="Simple", Key=KEY, UpdateExpression="SET a = a + :one, m.x = :five REMOVE gone",
        ExpressionAttributeValues={":one": n(1), ":five": n(5)}, ReturnValues=asked,
    )  # fmt: skip
    assert told == ({} if attributes is None else {"Attributes": attributes})


async def test_updates_make_items_unless_they_only_take_away(simple: Dynamo) -> None:
    await simple("update_item", TableName="Simple", Key=KEY)
    assert (await simple("get_item", TableName="Simple", Key=KEY))["Item"] == KEY
    other = {"id": s("other")}
    await simple("update_item", TableName="Simple", Key=other, UpdateExpression="REMOVE a")
    assert await simple("get_item", TableName="Simple", Key=other) == {}
    await simple("update_item", TableName="Simple", Key=other, UpdateExpression="ADD c :one",
                 ExpressionAttributeValues={":one": n(1)})  # fmt: skip
    assert (await simple("get_item", TableName="Simple", Key=other))["Item"] == {**other, "c": n(1)}


async def test_counters_lose_nothing_under_contention(simple: Dynamo) -> None:
    async def count() -> None:
        for _ in range(10):
            await simple("update_item", TableName="Simple", Key=KEY, UpdateExpression="ADD c :one",
                         ExpressionAttributeValues={":one": n(1)})  # fmt: skip

    await asyncio.gather(*(count() for _ in range(8)))
    assert (await simple("get_item", TableName="Simple", Key=KEY))["Item"]["c"] == n(80)


async def test_one_of_many_wins_a_conditional_put(simple: Dynamo) -> None:
    async def claim(number: int) -> str:
        try:
            await simple("put_item", TableName="Simple", Item={**KEY, "owner": n(number)},
                         ConditionExpression="attribute_not_exists(id)")  # fmt: skip
        except Exception as error:
            return str(error)
        return ""

    answers = await asyncio.gather(*(claim(number) for number in range(12)))
    assert sorted(answers) == ["", *["ConditionalCheckFailedException: The conditional request failed"] * 11]


NO_ITEMS: list[tuple[Any, Any]] = [
    ({"a": s("x")}, WRONG + "Missing the key id in the item"),
    ({"id": n(1)}, WRONG + "Type mismatch for key id expected: S actual: N"),
    ({"id": {"L": []}}, WRONG + "Type mismatch for key id expected: S actual: L"),
    (
        {"id": s("")},
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
        "empty string value. Key: id",
    ),
    ({"id": s("x" * 2049)}, WRONG + "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
    ({**KEY, "a": s("x" * 409_600)}, "Item size has exceeded the maximum allowed size"),
    ({**KEY, "a": {"NS": ["1", "1"]}}, ONE + "Input collection contains duplicates"),
    ({**KEY, "a": {"SS": ["", ""]}}, ONE + WRONG + "Input collection [, ] contains duplicates."),
    ({**KEY, "a": {"NULL": False}}, ONE + WRONG + "Null attribute value types must have the value of true"),
    ({**KEY, "a": n("")}, ONE + "The parameter cannot be converted to a numeric value: "),
    (
        {**KEY, "a": n("1e126")},
        ONE + "Number overflow. Attempting to store a number with magnitude larger than supported range",
    ),
    ({**KEY, "a": {}}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
]


async def test_items_that_cannot_be_put(simple: Dynamo) -> None:
    for item, message in NO_ITEMS:
        assert await simple.message("put_item", TableName="Simple", Item=item) == message


async def test_an_item_may_have_400_kb_and_no_more(simple: Dynamo) -> None:
    await simple.put("Simple", **KEY, a=s("x" * (409_600 - 4)))
    got = await simple("get_item", TableName="Simple", Key=KEY, ReturnConsumedCapacity="TOTAL")
    assert got["ConsumedCapacity"] == {"TableName": "Simple", "CapacityUnits": 50.0}
    told = await simple.message(
        "update_item", TableName="Simple", Key=KEY, UpdateExpression="SET b = :b",
        ExpressionAttributeValues={":b": s("x")},
    )  # fmt: skip
    assert told == "Item size to update has exceeded the maximum allowed size"


@pytest.mark.parametrize("key", [{}, {"id": n(1)}, {"other": s("x")}, {**KEY, "more": s("x")}])
async def test_keys_that_do_not_fit(simple: Dynamo, key: dict[str, Any]) -> None:
    for operation in ("get_item", "delete_item", "update_item"):
        told = await simple.message(operation, TableName="Simple", Key=key)
        assert told == "The provided key element does not match the schema"


NOT_TOGETHER: list[tuple[Any, Any]] = [
    ({"ReturnValues": "ALL_NEW"}, "ReturnValues can only be ALL_OLD or NONE"),
    ({"ConditionExpression": ""}, "Invalid ConditionExpression: The expression can not be empty;"),
    (
        {"ExpressionAttributeValues": {":v": s("x")}},
        "ExpressionAttributeValues can only be specified when using expressions",
    ),
    (
        {"ExpressionAttributeNames": {"#v": "x"}},
        "ExpressionAttributeNames can only be specified when using expressions",
    ),
    (
        {"ConditionExpression": "a = :v", "ExpressionAttributeNames": {}},
        "ExpressionAttributeNames must not be empty",
    ),
    (
        {"ConditionExpression": "a = :v", "ExpressionAttributeNames": {"a": "b"}},
        'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"',
    ),
    (
        {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {"v": s("b")}},
        'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"',
    ),
    (
        {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {"SS": []}}},
        "One or more parameter values were invalid: An string set  may not be empty",
    ),
    (
        {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {"SS": ["a", "a"]}}},
        "ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: "
        "Input collection [a, a] contains duplicates. for key :v",
    ),
    (
        {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": s("x"), ":w": s("x")}},
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}",
    ),
    (
        {"ConditionExpression": "attribute_exists(id)", "Expected": {"id": {"Exists": False}}},
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
    ),
]


async def test_parameters_that_do_not_go_together(simple: Dynamo) -> None:
    for more, message in NOT_TOGETHER:
        assert await simple.message("put_item", TableName="Simple", Item=KEY, **more) == ONE + message
        assert await simple.message("delete_item", TableName="Simple", Key=KEY, **more) == ONE + message


async def test_an_update_is_refused_in_the_same_words(simple: Dynamo) -> None:
    async def told(**more: Any) -> str:
        return await simple.message("update_item", TableName="Simple", Key=KEY, **more)

    assert await told(UpdateExpression="SET") == (
        ONE + 'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"'
    )
    assert await told(UpdateExpression="SET a = :v") == (
        ONE + "Invalid UpdateExpression: An expression attribute value used in expression is not defined; "
        "attribute value: :v"
    )
    assert await told(ExpressionAttributeValues={":v": s("x")}) == (
        ONE + "ExpressionAttributeValues can only be specified when using expressions: "
        "UpdateExpression and ConditionExpression are null"
    )
    assert await told(AttributeUpdates={"a": {"Action": "PUT"}}) == (
        ONE + WRONG + "Only DELETE action is allowed when no attribute value is specified"
    )
    assert await told(UpdateExpression="SET a = b") == (
        "The provided expression refers to an attribute that does not exist in the item"
    ), "what only the item shows has no count before it"


async def test_other_operations_tell_the_same_without_a_count(simple: Dynamo) -> None:
    wanted = {"TableName": "Simple", "KeyConditionExpression": "id = :v"}
    assert await simple.message("query", **wanted, ExpressionAttributeValues={":v": {"SS": []}}) == (
        "ExpressionAttributeValues contains invalid value: " + WRONG + "An string set  may not be empty for key :v"
    )
    assert await simple.message("get_item", TableName="Simple", Key={"id": {"NULL": False}}) == (
        WRONG + "Null attribute value types must have the value of true"
    )
    deep: dict[str, Any] = {"S": "x"}
    for _ in range(32):
        deep = {"M": {"a": deep}}
    assert await simple.message("query", **wanted, ExpressionAttributeValues={":v": deep}) == (
        "Nesting Levels have exceeded supported limits"
    )


async def test_members_of_sets_may_be_empty(simple: Dynamo) -> None:
    item = {**KEY, "texts": {"SS": ["", "a"]}, "bytes": {"BS": [b"", b"a"]}}
    await simple.put("Simple", **item)
    got = await simple("scan", TableName="Simple", FilterExpression="contains(texts, :e)",
                       ExpressionAttributeValues={":e": s("")})  # fmt: skip
    assert got["Items"] == [item]


async def test_keys_are_not_updated(dynamo: Dynamo) -> None:
    await dynamo.table()
    for name in ("pk", "sk"):
        told = await dynamo.message(
            "update_item", TableName="Things", Key={"pk": s("p"), "sk": n(1)}, UpdateExpression=f"SET {name} = :v",
            ExpressionAttributeValues={":v": s("x")},
        )  # fmt: skip
        assert told == WRONG + f"Cannot update attribute {name}. This attribute is part of the key"


async def test_keys_of_indexes_have_their_type(dynamo: Dynamo) -> None:
    await dynamo.table()
    key = {"pk": s("p"), "sk": n(1)}
    told = await dynamo.message("put_item", TableName="Things", Item={**key, "g": n(1)})
    assert told == WRONG + "Type mismatch for Index Key g Expected: S Actual: N IndexName: all"
    told = await dynamo.message("put_item", TableName="Things", Item={**key, "lsk": s("")})
    assert told == (
        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
        "The AttributeValue for a key attribute cannot contain an empty string value. IndexName: local, IndexKey: lsk"
    )
    told = await dynamo.message(
        "update_item", TableName="Things", Key=key, UpdateExpression="SET g = :v",
        ExpressionAttributeValues={":v": {"L": []}},
    )  # fmt: skip
    assert told == WRONG + "Type mismatch for Index Key g Expected: S Actual: L IndexName: all"


async def test_names_of_tables(simple: Dynamo) -> None:
    told = await simple.message("get_item", TableName="a b!", Key=KEY)
    assert told == (
        "1 validation error detected: Value 'a b!' at 'tableName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    )
    arn = f"arn:aws:dynamodb:us-east-1:{simple.caller.account}:table/Simple"
    await simple.put(arn, **KEY)
    assert (await simple("get_item", TableName=arn, Key=KEY))["Item"] == KEY
    for elsewhere in (arn.replace("us-east-1", "eu-west-1"), arn.replace("000000000000", "111111111111")):
        error = await simple.refused("get_item", TableName=elsewhere, Key=KEY)
        assert error.code == "ResourceNotFoundException"


async def test_capacity_is_counted_with_indexes(dynamo: Dynamo) -> None:
    await dynamo.table()
    item = {"pk": s("p"), "sk": n(1), "g": s("G"), "lsk": s("L"), "a": s("1"), "b": s("1")}
    told = await dynamo("put_item", TableName="Things", Item=item, ReturnConsumedCapacity="INDEXES",
                        ReturnItemCollectionMetrics="SIZE")  # fmt: skip
    one = {"CapacityUnits": 1.0}
    assert told == {
        "ConsumedCapacity": {
            "TableName": "Things",
            "CapacityUnits": 5.0,
            "Table": one,
            "LocalSecondaryIndexes": {"local": one},
            "GlobalSecondaryIndexes": {"all": one, "keys": one, "some": one},
        },
        "ItemCollectionMetrics": {"ItemCollectionKey": {"pk": s("p")}, "SizeEstimateRangeGB": [0.0, 1.0]},
    }

    async def cost(expression: str, **values: Any) -> float:
        answer = await dynamo(
            "update_item", TableName="Things", Key={"pk": s("p"), "sk": n(1)}, UpdateExpression=expression,
            ReturnConsumedCapacity="TOTAL", **({"ExpressionAttributeValues": values} if values else {}),
        )  # fmt: skip
        units: float = answer["ConsumedCapacity"]["CapacityUnits"]
        return units

    assert await cost("SET b = :v", **{":v": s("2")}) == 2.0, "only the index of all attributes has b"
    assert await cost("SET a = :v", **{":v": s("2")}) == 3.0
    assert await cost("SET g = :v", **{":v": s("H")}) == 7.0, "each index of g pays for a delete and a put"
    assert await cost("REMOVE g") == 4.0
    again = await dynamo("put_item", TableName="Things", Item={**item, "c": s("x" * 2000)},
                         ReturnConsumedCapacity="TOTAL")  # fmt: skip
    assert again["ConsumedCapacity"]["CapacityUnits"] == 2.0 + 2.0 + 1.0 + 1.0, "by each index's own size"


async def test_older_parameters_mean_the_same(simple: Dynamo) -> None:
    await simple("put_item", TableName="Simple", Item={**KEY, "a": n(1)}, Expected={"id": {"Exists": False}})
    error = await simple.refused("put_item", TableName="Simple", Item=KEY, Expected={"id": {"Exists": False}})
    assert error.code == "ConditionalCheckFailedException"
    either = {
        "a": {"ComparisonOperator": "GT", "AttributeValueList": [n(5)]},
        "id": {"Value": s("k")},
    }
    await simple("delete_item", TableName="Simple", Key={"id": s("x")}, Expected={"a": {"ComparisonOperator": "NULL"}})
    error = await simple.refused("delete_item", TableName="Simple", Key=KEY, Expected=either)
    assert error.code == "ConditionalCheckFailedException"
    told = await simple(
        "update_item", TableName="Simple", Key=KEY, Expected=either, ConditionalOperator="OR", ReturnValues="ALL_NEW",
        AttributeUpdates={
            "a": {"Action": "ADD", "Value": n(4)},
            "b": {"Value": s("new")},
            "c": {"Action": "ADD", "Value": {"SS": ["x"]}},
            "d": {"Action": "DELETE"},
        },
    )  # fmt: skip
    assert told["Attributes"] == {**KEY, "a": n(5), "b": s("new"), "c": {"SS": ["x"]}}
    got = await simple("get_item", TableName="Simple", Key=KEY, AttributesToGet=["a", "zz"])
    assert got["Item"] == {"a": n(5)}
    told = await simple.message("update_item", TableName="Simple", Key=KEY, AttributeUpdates={"id": {"Value": s("x")}})
    assert told == WRONG + "Cannot update attribute id. This attribute is part of the key"
    told = await simple.message(
        "put_item", TableName="Simple", Item=KEY, Expected={"a": {"ComparisonOperator": "BETWEEN"}}
    )
    assert told == (
        ONE + WRONG + "Value or AttributeValueList must be used with ComparisonOperator: BETWEEN for Attribute: a"
    )
    told = await simple.message(
        "put_item", TableName="Simple", Item=KEY,
        Expected={"a": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [s("x")]}},
    )  # fmt: skip
    assert told == ONE + WRONG + "Invalid number of argument(s) for the BETWEEN ComparisonOperator"
