"""Query and Scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.dynamodb import capacity, legacy, reads
from pilotlight.services.dynamodb.errors import invalid, resource_not_found
from pilotlight.services.dynamodb.expressions.binding import Binding, Path
from pilotlight.services.dynamodb.expressions.conditions import Predicate, bind_condition
from pilotlight.services.dynamodb.expressions.key_conditions import KIND, KeyCondition, bind_key_condition
from pilotlight.services.dynamodb.names import table_name
from pilotlight.services.dynamodb.pages import Page, Reading, read_page
from pilotlight.services.dynamodb.requests import binding_of, projection_of
from pilotlight.services.dynamodb.store_ranges import Range
from pilotlight.services.dynamodb.surroundings import Surroundings, scope_of
from pilotlight.services.dynamodb.table import Index, Table

Request = Mapping[str, Any]
Answer = dict[str, Any]
QUERY_EXPRESSIONS = ("ProjectionExpression", "FilterExpression", "KeyConditionExpression")
QUERY_LEGACY = ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions")
SCAN_EXPRESSIONS = ("ProjectionExpression", "FilterExpression")
SCAN_LEGACY = ("AttributesToGet", "ScanFilter", "ConditionalOperator")


class Queries:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def query(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        binding = binding_of(request, QUERY_EXPRESSIONS, QUERY_LEGACY)
        start = reads.start_key(request)
        reads.check_select(request, verb="Querying")
        conditions = self._key_conditions(request, binding)
        predicate, filtered = self._filter(request, binding, "QueryFilter")
        paths = projection_of(request, binding, self._around.parsed)
        binding.check_all_used()
        table, index = await self._target(caller, name, request)
        wanted = reads.query_range(table, index, conditions, forward=request.get("ScanIndexForward", True))
        _check_filter(wanted, filtered, request)
        reads.check_projected(table, index, [*(paths or ()), *filtered])
        page = await read_page(
            self._around.database,
            Reading(
                range=wanted,
                after=reads.position_of(wanted, start, request) if start is not None else None,
                limit=request.get("Limit"),
                predicate=predicate,
                shape=reads.shape_of(table, index, request, paths),
                counting=request.get("Select") == "COUNT",
            ),
        )
        return _answer(request, wanted, page)

    async def scan(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        binding = binding_of(request, SCAN_EXPRESSIONS, SCAN_LEGACY)
        start = reads.start_key(request)
        reads.check_segments(request)
        reads.check_select(request, verb="Scanning")
        predicate, filtered = self._filter(request, binding, "ScanFilter")
        paths = projection_of(request, binding, self._around.parsed)
        binding.check_all_used()
        table, index = await self._target(caller, name, request)
        wanted = reads.scan_range(table, index, request)
        reads.check_projected(table, index, [*(paths or ()), *filtered])
        page = await read_page(
            self._around.database,
            Reading(
                range=wanted,
                after=reads.position_of(wanted, start, request) if start is not None else None,
                limit=request.get("Limit"),
                predicate=predicate,
                shape=reads.shape_of(table, index, request, paths),
                counting=request.get("Select") == "COUNT",
            ),
        )
        return _answer(request, wanted, page)

    async def _target(self, caller: Caller, name: str, request: Request) -> tuple[Table, Index | None]:
        table = await self._around.database.read(self._around.tables.find, scope_of(caller), name)
        if table is None:
            raise resource_not_found()
        return table, reads.index_of(table, request)

    def _key_conditions(self, request: Request, binding: Binding) -> Mapping[str, KeyCondition]:
        text, older = request.get("KeyConditionExpression"), request.get("KeyConditions")
        if text is not None:
            return bind_key_condition(self._around.parsed.condition(text, KIND), binding)
        if older is None:
            raise invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
            )
        return legacy.key_conditions(older)

    def _filter(self, request: Request, binding: Binding, older: str) -> tuple[Predicate | None, list[Path]]:
        """The filter, and the paths that it looks at."""
        text = request.get("FilterExpression")
        if text is not None:
            binding.paths.clear()
            condition = self._around.parsed.condition(text, "FilterExpression")
            predicate = bind_condition(condition, binding, "FilterExpression")
            return predicate, list(binding.paths)
        return legacy.filter_of(request, older), [(name,) for name in request.get(older) or ()]


def _check_filter(wanted: Range, filtered: list[Path], request: Request) -> None:
    key = wanted.index.key if wanted.index is not None else wanted.table.key
    for name in key.names():
        if any(path[0] == name for path in filtered):
            kind = "QueryFilter" if request.get("FilterExpression") is None else "Filter Expression"
            raise invalid(f"{kind} can only contain non-primary key attributes: Primary key attribute: {name}")


def _answer(request: Request, wanted: Range, page: Page) -> Answer:
    answer: Answer = {"Count": page.count, "ScannedCount": page.scanned}
    if request.get("Select") != "COUNT":
        answer["Items"] = page.items
    if page.last is not None:
        answer["LastEvaluatedKey"] = reads.end_key(wanted, page.last)
    asked = request.get("ReturnConsumedCapacity")
    if capacity.wanted(asked):
        used = capacity.Consumption(wanted.table)
        units = capacity.read_units(page.size, consistent=bool(request.get("ConsistentRead")))
        used.add(*((units, None) if wanted.index is None else (0.0, {wanted.index.name: units})))
        answer["ConsumedCapacity"] = used.described(asked)
    return answer
