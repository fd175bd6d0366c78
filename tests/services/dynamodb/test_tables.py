"""Tables: what they are made of, how they change, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.storage.reset import forget_everything
from tests.services.dynamodb.conftest import CALLER, Dynamo, n, s

HASH = [{"AttributeName": "id", "KeyType": "HASH"}]
DEFINED = [{"AttributeName": "id", "AttributeType": "S"}]
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
BASE: dict[str, Any] = {
    "TableName": "New",
    "AttributeDefinitions": DEFINED,
    "KeySchema": HASH,
    "BillingMode": "PAY_PER_REQUEST",
}


async def test_a_table_is_told_as_it_was_made(dynamo: Dynamo) -> None:
    made = (
        await dynamo(
            "create_table",
            **{**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS},
            Tags=[{"Key": "team", "Value": "a"}],
            DeletionProtectionEnabled=True,
            TableClass="STANDARD_INFREQUENT_ACCESS",
        )
    )["TableDescription"]
    assert made["TableStatus"] == "CREATING"
    told = (await dynamo("describe_table", TableName="New"))["Table"]
    assert told == {**made, "TableStatus": "ACTIVE"}
    assert told["TableArn"] == f"arn:aws:dynamodb:us-east-1:{CALLER.account}:table/New"
    assert told["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **UNITS}
    assert told["TableClassSummary"] == {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
    assert "BillingModeSummary" not in told
    assert (await dynamo("describe_table", TableName=told["TableArn"]))["Table"] == told
    assert await dynamo("list_tags_of_resource", ResourceArn=told["TableArn"]) == {
        "Tags": [{"Key": "team", "Value": "a"}]
    }


async def test_counts_and_sizes_are_real(dynamo: Dynamo) -> None:
    await dynamo.simple()
    for number in range(5):
        await dynamo.put("Simple", id=s(f"k{number}"), a=s("x" * 10))
    await dynamo.put("Simple", id=s("k0"), a=s(""))
    await dynamo("delete_item", TableName="Simple", Key={"id": s("k1")})
    await dynamo("delete_item", TableName="Simple", Key={"id": s("never")})
    told = (await dynamo("describe_table", TableName="Simple"))["Table"]
    assert (told["ItemCount"], told["TableSizeBytes"]) == (4, 3 * 15 + 5)


async def test_a_name_is_taken_once_in_a_region(dynamo: Dynamo) -> None:
    await dynamo("create_table", **BASE)
    error = await dynamo.refused("create_table", **BASE)
    assert (error.code, error.message) == ("ResourceInUseException", "Table already exists: New")
    dynamo.caller = CALLER.in_region("eu-west-1")
    await dynamo("create_table", **BASE)


async def test_tables_are_listed_in_pages(dynamo: Dynamo) -> None:
    for name in ("Bee", "Ant", "Cow"):
        await dynamo.simple(name)
    first = await dynamo("list_tables", Limit=2)
    assert first == {"TableNames": ["Ant", "Bee"], "LastEvaluatedTableName": "Bee"}
    assert await dynamo("list_tables", ExclusiveStartTableName="Bee") == {"TableNames": ["Cow"]}


async def test_a_deleted_table_is_gone_and_its_items_are_swept(dynamo: Dynamo) -> None:
    await dynamo.table()
    for number in range(3):
        await dynamo.put("Things", pk=s("p"), sk=n(number), g=s("G"))
    gone = (await dynamo("delete_table", TableName="Things"))["TableDescription"]
    assert (gone["TableStatus"], gone["ItemCount"]) == ("DELETING", 3)
    error = await dynamo.refused("describe_table", TableName="Things")
    assert error.code == "ResourceNotFoundException"
    assert error.message == "Requested resource not found: Table: Things not found"
    assert await dynamo.message("get_item", TableName="Things", Key={"pk": s("p")}) == "Requested resource not found"
    await dynamo.reconcile("dynamodb-tidy")
    for table in ("item", "entry", "sweep", "tally"):
        assert await dynamo.database.read(lambda tx, name=table: tx.all(f"select * from dynamodb_{name}")) == []
    await dynamo.table()
    assert (await dynamo("scan", TableName="Things"))["Count"] == 0


async def test_protected_tables_are_not_deleted(dynamo: Dynamo) -> None:
    await dynamo.simple(DeletionProtectionEnabled=True)
    assert await dynamo.message("delete_table", TableName="Simple") == (
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
    )
    await dynamo("update_table", TableName="Simple", DeletionProtectionEnabled=False)
    await dynamo("delete_table", TableName="Simple")


def local(**more: Any) -> dict[str, Any]:
    return {
        "IndexName": "local",
        "KeySchema": [*HASH, {"AttributeName": "x", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
        **more,
    }


def globally(**more: Any) -> dict[str, Any]:
    return {
        "IndexName": "glob",
        "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        **more,
    }


X = [*DEFINED, {"AttributeName": "x", "AttributeType": "S"}]
SORTED = [*HASH, {"AttributeName": "r", "KeyType": "RANGE"}]
XR = [*X, {"AttributeName": "r", "AttributeType": "S"}]
WRONG = "One or more parameter values were invalid: "


REFUSED: list[tuple[Any, Any]] = [
    (
        {"TableName": "ab"},
        "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: "
        "Member must have length greater than or equal to 3",
    ),
    (
        {"BillingMode": "PROVISIONED"},
        WRONG + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
    ),
    (
        {"ProvisionedThroughput": UNITS},
        WRONG + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
    ),
    (
        {"KeySchema": [*HASH, {"AttributeName": "id", "KeyType": "RANGE"}]},
        "Invalid KeySchema: Some index key attribute have no definition",
    ),
    (
        {"AttributeDefinitions": XR, "KeySchema": [*SORTED, {"AttributeName": "x", "KeyType": "RANGE"}]},
        "1 validation error detected: Value '[KeySchemaElement(attributeName=id, keyType=HASH), "
        "KeySchemaElement(attributeName=r, keyType=RANGE), KeySchemaElement(attributeName=x, keyType=RANGE)]' at "
        "'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2",
    ),
    (
        {
            "AttributeDefinitions": XR,
            "GlobalSecondaryIndexes": [
                globally(KeySchema=[{"AttributeName": name, "KeyType": "HASH"} for name in ("x", "r")])
            ],
        },
        "Pilotlight does not support a global secondary index with several attributes in a key. See the coverage "
        "table.",
    ),
    (
        {"KeySchema": [{"AttributeName": "other", "KeyType": "HASH"}]},
        WRONG + "Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [other], AttributeDefinitions: [id]",
    ),
    (
        {"KeySchema": [{"AttributeName": "id", "KeyType": "RANGE"}]},
        "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
    ),
    (
        {"AttributeDefinitions": X},
        WRONG + "Number of attributes in KeySchema does not exactly match number of attributes defined in "
        "AttributeDefinitions",
    ),
    (
        {"AttributeDefinitions": X, "LocalSecondaryIndexes": [local()]},
        WRONG + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
    ),
    (
        {"AttributeDefinitions": XR, "KeySchema": SORTED, "LocalSecondaryIndexes": [local(KeySchema=HASH)]},
        WRONG + "Index KeySchema does not have a range key for index: local",
    ),
    (
        {
            "AttributeDefinitions": XR,
            "KeySchema": SORTED,
            "LocalSecondaryIndexes": [
                local(
                    KeySchema=[
                        {"AttributeName": "x", "KeyType": "HASH"},
                        {"AttributeName": "r", "KeyType": "RANGE"},
                    ]
                )
            ],
        },
        WRONG + "Index KeySchema does not have the same leading hash key as table KeySchema for index: local. "
        "index hash key: x, table hash key: id",
    ),
    (
        {"AttributeDefinitions": X, "GlobalSecondaryIndexes": [globally(Projection={})]},
        WRONG + "Unknown ProjectionType: null",
    ),
    (
        {
            "AttributeDefinitions": X,
            "GlobalSecondaryIndexes": [globally(Projection={"ProjectionType": "ALL", "NonKeyAttributes": ["a"]})],
        },
        WRONG + "ProjectionType is ALL, but NonKeyAttributes is specified",
    ),
    (
        {"AttributeDefinitions": X, "GlobalSecondaryIndexes": [globally(), globally()]},
        WRONG + "Duplicate index name: glob",
    ),
    ({"AttributeDefinitions": X, "GlobalSecondaryIndexes": []}, WRONG + "List of GlobalSecondaryIndexes is empty"),
    (
        {"AttributeDefinitions": XR, "GlobalSecondaryIndexes": [globally()]},
        WRONG + "Some AttributeDefinitions are not used. AttributeDefinitions: [id, x, r], keys used: [id, x]",
    ),
]


async def test_definitions_that_are_refused(dynamo: Dynamo) -> None:
    for change, message in REFUSED:
        assert await dynamo.message("create_table", **{**BASE, **change}) == message


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        (
            "create_table",
            {**BASE, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}},
        ),
        ("create_table", {**BASE, "ResourcePolicy": "{}"}),
        ("create_table", {**BASE, "SSESpecification": {"Enabled": True, "KMSMasterKeyId": "k"}}),
        ("update_table", {"TableName": "Simple", "ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}),
        (
            "update_continuous_backups",
            {"TableName": "Simple", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
        ),
    ],
)
async def test_what_we_lack_is_refused_by_name(dynamo: Dynamo, operation: str, request_: dict[str, Any]) -> None:
    await dynamo.simple()
    error = await dynamo.refused(operation, **request_)
    assert (error.code, error.status) == ("NotImplemented", 501)


async def test_backups_are_off(dynamo: Dynamo) -> None:
    await dynamo.simple()
    told = (await dynamo("describe_continuous_backups", TableName="Simple"))["ContinuousBackupsDescription"]
    assert told["PointInTimeRecoveryDescription"] == {"PointInTimeRecoveryStatus": "DISABLED"}
    error = await dynamo.refused("describe_continuous_backups", TableName="Nope")
    assert (error.code, error.message) == ("TableNotFoundException", "Table not found: Nope")


async def test_billing_and_throughput_change(dynamo: Dynamo) -> None:
    await dynamo.simple()
    assert "must be specified" in await dynamo.message("update_table", TableName="Simple", BillingMode="PROVISIONED")
    changed = await dynamo("update_table", TableName="Simple", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    assert changed["TableDescription"]["TableStatus"] == "UPDATING"
    told = (await dynamo("describe_table", TableName="Simple"))["Table"]
    assert told["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert told["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert (await dynamo.message("update_table", TableName="Simple", ProvisionedThroughput=UNITS)).startswith(
        "The provisioned throughput for the table will not change."
    )
    await dynamo("update_table", TableName="Simple", ProvisionedThroughput={**UNITS, "ReadCapacityUnits": 9})
    told = (await dynamo("describe_table", TableName="Simple"))["Table"]
    assert "LastIncreaseDateTime" in told["ProvisionedThroughput"]
    assert (await dynamo.message("update_table", TableName="Simple")).startswith("At least one of")


async def test_an_index_is_filled_with_what_was_there(dynamo: Dynamo) -> None:
    await dynamo.simple()
    for number in range(450):
        kind = {"x": s(f"x{number % 3}")} if number % 2 else {"x": n(1)}
        await dynamo.put("Simple", id=s(f"k{number}"), **kind)
    made = await dynamo(
        "update_table",
        TableName="Simple",
        AttributeDefinitions=X,
        GlobalSecondaryIndexUpdates=[{"Create": globally()}],
    )
    assert made["TableDescription"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    told = (await dynamo("describe_table", TableName="Simple"))["Table"]["GlobalSecondaryIndexes"][0]
    assert told["IndexStatus"] == "ACTIVE"
    query = {
        "TableName": "Simple",
        "IndexName": "glob",
        "KeyConditionExpression": "x = :x",
        "ExpressionAttributeValues": {":x": s("x1")},
        "Select": "COUNT",
    }
    assert (await dynamo("query", **query))["Count"] == 75
    await dynamo.put("Simple", id=s("k1"), x=s("x2"))
    assert (await dynamo("query", **query))["Count"] == 74
    await dynamo("delete_item", TableName="Simple", Key={"id": s("k0")})
    again = {"AttributeDefinitions": X, "GlobalSecondaryIndexUpdates": [{"Create": globally()}]}
    assert await dynamo.message("update_table", TableName="Simple", **again) == (
        "Attempting to create an index which already exists"
    )
    await dynamo("update_table", TableName="Simple", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "glob"}}])
    assert await dynamo.message("query", **query) == "The table does not have the specified index: glob"
    told = (await dynamo("describe_table", TableName="Simple"))["Table"]
    assert told["AttributeDefinitions"] == DEFINED
    await dynamo.reconcile("dynamodb-tidy")
    assert await dynamo.database.read(lambda tx: tx.all("select * from dynamodb_entry")) == []


async def test_a_new_index_takes_of_the_definitions_what_it_needs(dynamo: Dynamo) -> None:
    await dynamo.simple()
    given = [{"AttributeName": "unused", "AttributeType": "S"}, {"AttributeName": "id", "AttributeType": "N"}]
    given += [one for one in X if one["AttributeName"] == "x"]
    await dynamo(
        "update_table", TableName="Simple", AttributeDefinitions=given,
        GlobalSecondaryIndexUpdates=[{"Create": globally()}],
    )  # fmt: skip
    told = (await dynamo("describe_table", TableName="Simple"))["Table"]
    assert {one["AttributeName"]: one["AttributeType"] for one in told["AttributeDefinitions"]} == {"id": "S", "x": "S"}


async def test_tags(dynamo: Dynamo) -> None:
    await dynamo.simple()
    arn = (await dynamo("describe_table", TableName="Simple"))["Table"]["TableArn"]
    await dynamo("tag_resource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    await dynamo("untag_resource", ResourceArn=arn, TagKeys=["a", "zz"])
    assert await dynamo("list_tags_of_resource", ResourceArn=arn) == {"Tags": [{"Key": "b", "Value": "2"}]}
    gone = arn.replace("Simple", "Nope")
    error = await dynamo.refused("list_tags_of_resource", ResourceArn=gone)
    assert (error.code, error.message) == (
        "ResourceNotFoundException",
        f"Requested resource not found: ResourcArn: {gone} not found",
    )
    assert await dynamo.message("tag_resource", ResourceArn="x", Tags=[]) == (
        "Invalid TableArn: Invalid ResourceArn provided as input x"
    )


async def test_items_expire_by_the_clouds_clock(dynamo: Dynamo) -> None:
    dynamo.clock.freeze()
    now = dynamo.clock.now_ms() // 1000
    await dynamo.table()
    await dynamo.put("Things", pk=s("before"), sk=n(1), ttl=n(now + 60), g=s("G"))
    await dynamo(
        "update_time_to_live", TableName="Things", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    assert await dynamo("describe_time_to_live", TableName="Things") == {
        "TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    }
    await dynamo.put("Things", pk=s("after"), sk=n(1), ttl=n(now + 90))
    await dynamo.put("Things", pk=s("ancient"), sk=n(1), ttl=n(now - 7 * 366 * 86_400))
    await dynamo.put("Things", pk=s("text"), sk=n(1), ttl=s(str(now)))
    await dynamo.put("Things", pk=s("changed"), sk=n(1), ttl=n(now + 60))
    await dynamo(
        "update_item", TableName="Things", Key={"pk": s("changed"), "sk": n(1)}, UpdateExpression="REMOVE #t",
        ExpressionAttributeNames={"#t": "ttl"},
    )  # fmt: skip
    assert await dynamo.reconcile("dynamodb-expiry") == (now + 60) * 1000
    assert (await dynamo("scan", TableName="Things"))["Count"] == 5
    dynamo.clock.advance_to((now + 60) * 1000)
    assert await dynamo.reconcile("dynamodb-expiry") == (now + 90) * 1000
    left = {item["pk"]["S"] for item in (await dynamo("scan", TableName="Things"))["Items"]}
    assert left == {"after", "ancient", "text", "changed"}
    assert (await dynamo("scan", TableName="Things", IndexName="all"))["Count"] == 0
    assert (await dynamo("describe_table", TableName="Things"))["Table"]["ItemCount"] == 4
    await dynamo(
        "update_time_to_live", TableName="Things", TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"}
    )
    assert await dynamo.reconcile("dynamodb-expiry") is None


async def test_time_to_live_is_switched_once(dynamo: Dynamo) -> None:
    await dynamo.simple()
    on, off = ({"Enabled": flag, "AttributeName": "ttl"} for flag in (True, False))
    told = await dynamo.message("update_time_to_live", TableName="Simple", TimeToLiveSpecification=off)
    assert told == "TimeToLive is already disabled"
    await dynamo("update_time_to_live", TableName="Simple", TimeToLiveSpecification=on)
    told = await dynamo.message("update_time_to_live", TableName="Simple", TimeToLiveSpecification=on)
    assert told == "TimeToLive is already enabled"
    other = {"Enabled": True, "AttributeName": "other"}
    told = await dynamo.message("update_time_to_live", TableName="Simple", TimeToLiveSpecification=other)
    assert told == "TimeToLive is active on a different AttributeName: current AttributeName is ttl"


async def test_a_table_of_the_same_name_is_another_after_a_reset(dynamo: Dynamo) -> None:
    await dynamo.simple("Thing", key="old")
    await dynamo.database.write(forget_everything)
    await dynamo.simple("Thing", key="new", kind="N")
    await dynamo.put("Thing", new=n(1))
    assert (await dynamo("scan", TableName="Thing"))["Items"] == [{"new": n(1)}]
