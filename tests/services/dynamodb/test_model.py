"""Random histories of writes against a plain dictionary: items, conditions, indexes, counts and transactions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.values import item_size
from tests.services.dynamodb.conftest import Dynamo, n, s

pytestmark = pytest.mark.slow
_numbers = itertools.count()
Item = dict[str, Any]

keys = st.tuples(st.sampled_from(["a", "b"]), st.integers(-2, 2))
attributes = st.fixed_dictionaries(
    {},
    optional={
        "g": st.builds(s, st.sampled_from(["x", "y"])),
        "lsk": st.builds(s, st.sampled_from(["1", "2", "3"])),
        "v": st.builds(n, st.integers(-5, 5)),
        "t": st.builds(lambda members: {"SS": sorted(members)}, st.sets(st.sampled_from("pqr"), min_size=1)),
    },
)
conditions = st.sampled_from([None, "attribute_exists(pk)", "attribute_not_exists(pk)", "v > :zero"])
updates = st.sampled_from(
    ["ADD v :one", "SET v = :one", "REMOVE v, g", "SET g = :x", "SET lsk = :x REMOVE g", "DELETE t :p", "ADD t :p"]
)
writes = st.one_of(
    st.tuples(st.just("Put"), keys, attributes, conditions),
    st.tuples(st.just("Delete"), keys, st.none(), conditions),
    st.tuples(st.just("Update"), keys, updates, conditions),
)
steps = st.one_of(writes.map(lambda write: [write]), st.lists(writes, min_size=2, max_size=4, unique_by=lambda w: w[1]))
VALUES: Item = {":zero": n(0), ":one": n(1), ":x": s("x"), ":p": {"SS": ["p"]}}


@dataclass
class Model:
    items: dict[tuple[str, int], Item] = field(default_factory=dict)

    def apply(self, writes: list[Any]) -> bool:
        """False, and nothing changed, where a condition does not hold."""
        if not all(self._holds(key, condition) for _, key, _, condition in writes):
            return False
        for kind, key, change, _ in writes:
            whole = {"pk": s(key[0]), "sk": n(key[1])}
            if kind == "Put":
                self.items[key] = {**whole, **change}
            elif kind == "Delete":
                self.items.pop(key, None)
            elif key in self.items or not change.startswith(("REMOVE", "DELETE")):
                self.items[key] = _updated(self.items.get(key, whole), change)
        return True

    def _holds(self, key: tuple[str, int], condition: str | None) -> bool:
        item = self.items.get(key)
        if condition == "v > :zero":
            return item is not None and "v" in item and int(item["v"]["N"]) > 0
        return condition is None or (item is not None) == (condition == "attribute_exists(pk)")


def _updated(item: Item, change: str) -> Item:
    new = dict(item)
    tags = set(item.get("t", {"SS": []})["SS"])
    if change == "ADD v :one":
        new["v"] = n(int(item.get("v", n(0))["N"]) + 1)
    elif change == "SET v = :one":
        new["v"] = n(1)
    elif change == "REMOVE v, g":
        new.pop("v", None)
        new.pop("g", None)
    elif change == "SET g = :x":
        new["g"] = s("x")
    elif change == "SET lsk = :x REMOVE g":
        new["lsk"] = s("x")
        new.pop("g", None)
    else:
        tags = tags | {"p"} if change.startswith("ADD") else tags - {"p"}
        new.pop("t", None)
        if tags:
            new["t"] = {"SS": sorted(tags)}
    return new


@given(history=st.lists(steps, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_random_histories_end_as_the_model_says(dynamo: Dynamo, history: list[list[Any]]) -> None:
    table, model = f"Model{next(_numbers)}", Model()
    await dynamo.table(table)
    for step in history:
        assert await _write(dynamo, table, step) == model.apply(step)
    await _compare(dynamo, table, model)


async def _write(dynamo: Dynamo, table: str, step: list[Any]) -> bool:
    parts = [(kind, _request(table, kind, key, change, condition)) for kind, key, change, condition in step]
    try:
        if len(parts) == 1:
            kind, request = parts[0]
            await dynamo(f"{kind.lower()}_item", **request)
        else:
            await dynamo("transact_write_items", TransactItems=[{kind: request} for kind, request in parts])
    except AwsError as error:
        if error.code not in ("ConditionalCheckFailedException", "TransactionCanceledException"):
            raise
        return False
    return True


def _request(table: str, kind: str, key: tuple[str, int], change: Any, condition: str | None) -> Item:
    whole = {"pk": s(key[0]), "sk": n(key[1])}
    request: Item = {"TableName": table}
    request.update({"Item": {**whole, **change}} if kind == "Put" else {"Key": whole})
    if kind == "Update":
        request["UpdateExpression"] = change
    if condition:
        request["ConditionExpression"] = condition
    text = f"{change if kind == 'Update' else ''} {condition or ''}"
    used = {name: value for name, value in VALUES.items() if name in text}
    if used:
        request["ExpressionAttributeValues"] = used
    return request


def _sorted(items: list[Item]) -> list[Item]:
    """With sets in one order, as the model has them."""
    whole = [{**item, "t": {"SS": sorted(item["t"]["SS"])}} if "t" in item else item for item in items]
    return sorted(whole, key=lambda item: (item["pk"]["S"], float(item["sk"]["N"])))


async def _compare(dynamo: Dynamo, table: str, model: Model) -> None:
    wanted = _sorted(list(model.items.values()))
    assert _sorted((await dynamo("scan", TableName=table))["Items"]) == wanted
    for partition in ("a", "b"):
        found = await dynamo(
            "query", TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": s(partition)}
        )
        assert [item["sk"] for item in found["Items"]] == [item["sk"] for item in wanted if item["pk"] == s(partition)]
    indexed = [item for item in wanted if "g" in item]
    assert _sorted((await dynamo("scan", TableName=table, IndexName="all"))["Items"]) == indexed
    local = (await dynamo("scan", TableName=table, IndexName="local"))["Items"]
    assert len(local) == sum("lsk" in item for item in wanted)
    told = (await dynamo("describe_table", TableName=table))["Table"]
    assert (told["ItemCount"], told["TableSizeBytes"]) == (len(wanted), sum(map(item_size, wanted)))
