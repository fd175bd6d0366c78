"""boto3 against a running cloud: shapes on the wire, waiters, paginators, the resource layer, and enforced roles."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

pytestmark = pytest.mark.slow
ACCOUNT = "000000000000"


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def make_table(cloud: Cloud) -> Any:
    client = cloud.client("dynamodb")
    client.create_table(
        TableName="Music",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "artist", "AttributeType": "S"},
            {"AttributeName": "song", "AttributeType": "S"},
            {"AttributeName": "year", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "artist", "KeyType": "HASH"}, {"AttributeName": "song", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-year",
                "KeySchema": [
                    {"AttributeName": "year", "KeyType": "HASH"},
                    {"AttributeName": "song", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    client.get_waiter("table_exists").wait(TableName="Music", WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    return client


def test_a_program_with_tables_as_resources(cloud: Cloud) -> None:
    client = make_table(cloud)
    table = cloud.resource("dynamodb").Table("Music")
    with table.batch_writer() as batch:
        for number in range(60):
            batch.put_item(
                Item={
                    "artist": f"a{number % 3}",
                    "song": f"s{number:02}",
                    "year": 1990 + number % 5,
                    "length": Decimal("3.25"),
                    "cover": b"\x00\x01",
                    "tags": {"x", "y"},
                    "more": {"list": [1, None, True, {"n": Decimal("1E-20")}]},
                }
            )
    item = table.get_item(Key={"artist": "a0", "song": "s00"})["Item"]
    assert item["length"] == Decimal("3.25")
    assert item["cover"].value == b"\x00\x01"
    assert item["tags"] == {"x", "y"}
    assert item["more"] == {"list": [1, None, True, {"n": Decimal("1E-20")}]}
    found = table.query(KeyConditionExpression=Key("artist").eq("a1") & Key("song").between("s10", "s30"))
    assert [one["song"] for one in found["Items"]] == ["s10", "s13", "s16", "s19", "s22", "s25", "s28"]
    found = table.query(
        IndexName="by-year", KeyConditionExpression=Key("year").eq(1992), FilterExpression=Attr("artist").ne("a0")
    )
    assert (found["Count"], found["ScannedCount"]) == (8, 12)
    pages = client.get_paginator("scan").paginate(TableName="Music", PaginationConfig={"PageSize": 7})
    assert sum(page["Count"] for page in pages) == 60
    told = table.update_item(
        Key={"artist": "a0", "song": "s00"},
        UpdateExpression="SET plays = if_not_exists(plays, :zero) + :one, more.#l[0] = :one DELETE tags :x",
        ExpressionAttributeNames={"#l": "list"},
        ExpressionAttributeValues={":zero": 0, ":one": 1, ":x": {"x"}},
        ReturnValues="UPDATED_NEW",
    )
    assert told["Attributes"] == {"plays": 1, "more": {"list": [1]}, "tags": {"y"}}
    assert client.describe_table(TableName="Music")["Table"]["ItemCount"] == 60
    table.delete()
    client.get_waiter("table_not_exists").wait(TableName="Music", WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    assert client.list_tables()["TableNames"] == []


def test_refusals_have_their_shapes(cloud: Cloud) -> None:
    client = make_table(cloud)
    item = {"artist": {"S": "a"}, "song": {"S": "s"}, "cover": {"B": b"x"}}
    client.put_item(TableName="Music", Item=item)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as failed:
        client.put_item(
            TableName="Music",
            Item=item,
            ConditionExpression="attribute_not_exists(artist)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert failed.value.response["Item"] == item
    assert failed.value.response["Error"]["Message"] == "The conditional request failed"
    check = {"TableName": "Music", "Key": {"artist": {"S": "b"}, "song": {"S": "s"}}}
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": "Music", "Item": {**item, "song": {"S": "t"}}}},
                {"ConditionCheck": {**check, "ConditionExpression": "attribute_exists(artist)"}},
            ]
        )
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == [
        "None",
        "ConditionalCheckFailed",
    ]
    assert refusal(client.get_item, TableName="Nope", Key=item) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    assert refusal(client.describe_table, TableName="Nope") == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: Nope not found",
    )
    assert refusal(client.execute_statement, Statement='SELECT * FROM "Music"')[0] == "NotImplemented"
    assert refusal(client.query, TableName="Music", KeyConditionExpression="artist =")[0] == "ValidationException"
    assert refusal(make_table, cloud=cloud)[0] == "ResourceInUseException"


def test_time_to_live_passes_with_the_clock(cloud: Cloud) -> None:
    client = make_table(cloud)
    client.update_time_to_live(TableName="Music", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    cloud.clock.freeze()
    soon = cloud.clock.now_ms() // 1000 + 3600
    for name, expires in (("a", soon), ("b", soon + 7200)):
        key = {"artist": {"S": name}, "song": {"S": "s"}}
        client.put_item(TableName="Music", Item={**key, "expires": {"N": str(expires)}})
    cloud.clock.advance(hours=2)
    left = client.scan(TableName="Music")["Items"]
    assert [item["artist"]["S"] for item in left] == ["b"]
    cloud.clock.resume()


def test_roles_do_what_their_policies_say(cloud: Cloud) -> None:
    make_table(cloud)
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Music"
    role = worker(
        cloud,
        {"Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:BatchWriteItem"], "Resource": table},
        {"Effect": "Allow", "Action": "dynamodb:Query", "Resource": f"{table}/index/by-year"},
        {
            "Effect": "Allow",
            "Action": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"],
            "Resource": table,
            "Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}},
        },
    )
    mine = {"artist": {"S": "mine"}, "song": {"S": "s"}}
    yours = {**mine, "artist": {"S": "yours"}}
    for key in (mine, yours):
        role.put_item(TableName="Music", Item=key)
    assert role.get_item(TableName="Music", Key=mine)["Item"] == mine
    code, message = refusal(role.get_item, TableName="Music", Key=yours)
    assert code == "AccessDeniedException"
    assert message.startswith(f"User: arn:aws:sts::{ACCOUNT}:assumed-role/")
    assert f"is not authorized to perform: dynamodb:GetItem on resource: {table}" in message
    by_artist = {"TableName": "Music", "KeyConditionExpression": "artist = :a"}
    assert role.query(**by_artist, ExpressionAttributeValues={":a": mine["artist"]})["Count"] == 1
    denied = refusal(role.query, **by_artist, ExpressionAttributeValues={":a": yours["artist"]})
    assert denied[0] == "AccessDeniedException"
    by_year = {"KeyConditionExpression": "#y = :y", "ExpressionAttributeNames": {"#y": "year"}}
    year = {":y": {"N": "1990"}}
    assert role.query(TableName="Music", IndexName="by-year", **by_year, ExpressionAttributeValues=year)["Count"] == 0
    assert refusal(role.scan, TableName="Music")[0] == "AccessDeniedException"
    every = table.replace("Music", "*")
    assert f"dynamodb:ListTables on resource: {every} because no identity-based" in refusal(role.list_tables)[1]
    lister = worker(cloud, {"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": every})
    assert lister.list_tables()["TableNames"] == ["Music"]
    role.batch_write_item(RequestItems={"Music": [{"PutRequest": {"Item": mine}}]})
    transaction = [{"Put": {"TableName": "Music", "Item": mine}}]
    role.transact_write_items(TransactItems=transaction)
    delete = [*transaction, {"Delete": {"TableName": "Music", "Key": yours}}]
    assert "dynamodb:DeleteItem" in refusal(role.transact_write_items, TransactItems=delete)[1]


def worker(cloud: Cloud, *statements: dict[str, Any]) -> Any:
    """A DynamoDB client with the session of a role that may do just this."""
    iam, name = cloud.client("iam"), f"worker-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
    taken = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="one")["Credentials"]
    return cloud.client(
        "dynamodb",
        aws_access_key_id=taken["AccessKeyId"],
        aws_secret_access_key=taken["SecretAccessKey"],
        aws_session_token=taken["SessionToken"],
    )


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
