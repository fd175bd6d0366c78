"""The permissions that DynamoDB's operations need, and the condition keys they bring.

A query or scan of an index is permitted on the index's own ARN. A batch is an action of its own on each table; a
transaction needs for each part what that part would need alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params
from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.key_conditions import KIND
from pilotlight.services.dynamodb.names import table_name
from pilotlight.services.dynamodb.surroundings import Surroundings, scope_of

NO_RESOURCE = frozenset({"DescribeLimits", "DescribeEndpoints"})
BY_ARN = frozenset({"TagResource", "UntagResource", "ListTagsOfResource"})
PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
ITEM_ACTIONS = frozenset(
    f"dynamodb:{name}" for name in ("GetItem", "Query", "BatchGetItem", "BatchWriteItem", *PARTS.values())
)
LEADING_KEYS = "dynamodb:LeadingKeys"
_TOLD = (
    ("Select", "dynamodb:Select"),
    ("ReturnValues", "dynamodb:ReturnValues"),
    ("ReturnConsumedCapacity", "dynamodb:ReturnConsumedCapacity"),
)


class DynamoDbGuard:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def accesses(self, operation: str, params: Params, caller: Caller) -> list[Access]:
        if operation in NO_RESOURCE:
            return [Access(f"dynamodb:{operation}", "*")]
        if operation == "ListTables":
            # AWS: it is refused by this name, and so allowed by it; `*` covers it, too.
            return [Access("dynamodb:ListTables", _arn("*", caller))]
        if operation in BY_ARN:
            return [Access(f"dynamodb:{operation}", params["ResourceArn"])]
        if operation in ("BatchGetItem", "BatchWriteItem"):
            return [
                Access(f"dynamodb:{operation}", _arn(name, caller), self._context(asked if "Keys" in asked else {}))
                for name, asked in params["RequestItems"].items()
            ]
        if operation in ("TransactWriteItems", "TransactGetItems"):
            return list(self._transaction(params, caller))
        resource = _arn(params["TableName"], caller)
        if params.get("IndexName"):
            resource = f"{resource}/index/{params['IndexName']}"
        found = [Access(f"dynamodb:{operation}", resource, self._context(params))]
        if operation == "CreateTable" and params.get("Tags"):
            found.append(Access("dynamodb:TagResource", resource))
        return found

    def _transaction(self, params: Params, caller: Caller) -> Iterator[Access]:
        for item in params["TransactItems"]:
            for part, asked in item.items():
                if asked is not None:
                    action = "GetItem" if part == "Get" else PARTS[part]
                    yield Access(f"dynamodb:{action}", _arn(asked["TableName"], caller), self._context(asked))

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        """Tables have no policies here. This is where the database may be asked: which attribute leads a key, only
        the table knows, and a policy on leading keys must not be passed by their absence."""
        if access.action in ITEM_ACTIONS and isinstance(access.context, dict):
            leading = await self._leading_keys(access, params, caller)
            if leading:
                access.context[LEADING_KEYS] = leading
        return None

    async def _leading_keys(self, access: Access, params: Params, caller: Caller) -> list[str]:
        arn, _, index_name = access.resource.partition("/index/")
        try:
            name = table_name(caller, arn)
        except AwsError:
            return []
        table = await self._around.database.read(self._around.tables.find, scope_of(caller), name)
        if table is None:
            return []
        index = table.index(index_name) if index_name else None
        partition = index.key.partition if index is not None else table.key.partition
        values = list(_keys(params, arn, caller))
        if access.action == "dynamodb:Query":
            values = [self._queried(params, partition)]
        return [str(content) for value in values for content in (value.get(partition) or {}).values()]

    def _queried(self, params: Params, partition: str) -> Mapping[str, Any]:
        """The partition that a query names, as a key."""
        older = (params.get("KeyConditions") or {}).get(partition)
        if older:
            return {partition: next(iter(older.get("AttributeValueList") or ()), None)}
        names, values = params.get("ExpressionAttributeNames") or {}, params.get("ExpressionAttributeValues") or {}
        for found in self._nodes(params.get("KeyConditionExpression"), KIND):
            if isinstance(found, tree.Comparison) and found.operator == "=":
                sides = (found.left, found.right)
                paths = [side.parts[0] for side in sides if isinstance(side, tree.Path)]
                sent = [values.get(side.name) for side in sides if isinstance(side, tree.Value)]
                if paths and sent and names.get(str(paths[0]), paths[0]) == partition:
                    return {partition: sent[0]}
        return {}

    # Condition keys that the request itself shows.

    def _context(self, params: Mapping[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = {key: params[member] for member, key in _TOLD if params.get(member)}
        attributes = list(dict.fromkeys(self._attributes(params)))
        if attributes:
            context["dynamodb:Attributes"] = attributes
        return context

    def _attributes(self, params: Mapping[str, Any]) -> Iterator[str]:
        """Top-level names that a request reads, writes or compares."""
        for member in ("AttributesToGet", "Item", "Key", "AttributeUpdates", "Expected"):
            yield from params.get(member) or ()
        names = params.get("ExpressionAttributeNames") or {}
        for kind in ("ConditionExpression", "FilterExpression", KIND, "UpdateExpression", "ProjectionExpression"):
            for found in self._nodes(params.get(kind), kind):
                if isinstance(found, tree.Path):
                    yield str(names.get(str(found.parts[0]), found.parts[0]))

    def _nodes(self, text: str | None, kind: str) -> Iterator[object]:
        if not text:
            return
        parsed = self._around.parsed
        try:
            if kind == "UpdateExpression":
                yield from _walk(parsed.update(text))
            elif kind == "ProjectionExpression":
                yield from _walk(parsed.projection(text))
            else:
                yield from _walk(parsed.condition(text, kind))
        except AwsError:
            return  # The operation will say what is wrong with it.


def _walk(node: object) -> Iterator[object]:
    yield node
    if isinstance(node, tuple):
        for one in node:
            yield from _walk(one)
    elif is_dataclass(node) and not isinstance(node, tree.Path):
        for member in fields(node):
            yield from _walk(getattr(node, member.name))


def _arn(name: str, caller: Caller) -> str:
    if name.startswith("arn:"):
        return name
    return f"arn:aws:dynamodb:{caller.region}:{caller.account}:table/{name}"


def _keys(params: Params, arn: str, caller: Caller) -> Iterable[Mapping[str, Any]]:
    """The keys, or whole items, that a request sends for one table."""
    if "TransactItems" in params:
        parts = [part for item in params["TransactItems"] for part in item.values() if part is not None]
        for part in parts:
            if _arn(part["TableName"], caller) == arn:
                yield part.get("Key") or part.get("Item") or {}
    elif "RequestItems" in params:
        for name, asked in params["RequestItems"].items():
            if _arn(name, caller) == arn:
                yield from asked["Keys"] if "Keys" in asked else map(_written, asked)
    else:
        yield params.get("Key") or params.get("Item") or {}


def _written(request: Mapping[str, Any]) -> Mapping[str, Any]:
    put, delete = request.get("PutRequest"), request.get("DeleteRequest")
    key: Mapping[str, Any] = put["Item"] if put else delete["Key"] if delete else {}
    return key
