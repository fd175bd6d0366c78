"""Query and Scan: what their parameters mean for one table or index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb import keys
from pilotlight.services.dynamodb.errors import invalid, key_mismatch, parameters_invalid
from pilotlight.services.dynamodb.expressions.binding import Path
from pilotlight.services.dynamodb.expressions.key_conditions import KeyCondition
from pilotlight.services.dynamodb.expressions.projections import project
from pilotlight.services.dynamodb.store_ranges import Position, Range
from pilotlight.services.dynamodb.table import CREATING, GLOBAL, Index, Table
from pilotlight.services.dynamodb.values import Item, canonical

Request = Mapping[str, Any]
START_INVALID = "The provided starting key is invalid"


def check_select(request: Request, *, verb: str) -> None:
    """`verb` is `Querying` or `Scanning`."""
    select = request.get("Select")
    asked = next((name for name in ("ProjectionExpression", "AttributesToGet") if request.get(name) is not None), "")
    if select == "ALL_PROJECTED_ATTRIBUTES" and not request.get("IndexName"):
        raise invalid(f"ALL_PROJECTED_ATTRIBUTES can be used only when {verb} using an IndexName")
    if select == "SPECIFIC_ATTRIBUTES" and not asked:
        # AWS: the same sentence, but Query says it as its validator would.
        prefix = "1 validation error detected: " if verb == "Querying" else ""
        raise invalid(
            f"{prefix}Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if asked and select in ("ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT"):
        choice = "only the Count" if select == "COUNT" else select
        raise invalid(f"Cannot specify the {asked} when choosing to get {choice}")


def index_of(table: Table, request: Request) -> Index | None:
    """The index that is asked for, if one is. Raises AwsError."""
    name = request.get("IndexName")
    if name is None:
        return None
    index = table.index(name)
    if index is None:
        raise invalid(f"The table does not have the specified index: {name}")
    if index.kind == GLOBAL:
        if request.get("ConsistentRead"):
            raise invalid("Consistent reads are not supported on global secondary indexes")
        if index.status == CREATING:
            raise invalid(f"Cannot read from backfilling global secondary index: {name}")
        if request.get("Select") == "ALL_ATTRIBUTES" and index.projection != "ALL":
            raise parameters_invalid(
                f"Select type ALL_ATTRIBUTES is not supported for global secondary index {name} "
                "because its projection type is not ALL"
            )
    return index


def check_projected(table: Table, index: Index | None, paths: list[Path]) -> None:
    """AWS: a global index cannot answer with, nor filter by, what it does not hold; a local one fetches it."""
    if index is None or index.kind != GLOBAL:
        return
    held = index.attributes(table)
    missing = [str(path[0]) for path in paths if held is not None and path[0] not in held]
    if missing:
        raise parameters_invalid(
            f"Global secondary index {index.name} does not project [{', '.join(dict.fromkeys(missing))}]"
        )


def shape_of(
    table: Table, index: Index | None, request: Request, paths: list[Path] | None
) -> Callable[[Item], Item] | None:
    if paths is not None:
        chosen = paths
        return lambda item: project(item, chosen)
    if index is None or index.projection == "ALL" or request.get("Select") == "ALL_ATTRIBUTES":
        return None
    held = index
    return lambda item: held.projected(item, table)


# Ranges.


def query_range(table: Table, index: Index | None, conditions: Mapping[str, KeyCondition], *, forward: bool) -> Range:
    key = index.key if index is not None else table.key
    partition = conditions.get(key.partition)
    if partition is None:
        raise _missed(key.partition)
    sort: KeyCondition | None = None
    if len(conditions) > 1:
        if key.sort is None:
            raise invalid("Query key condition not supported")
        sort = conditions.get(key.sort)
        if sort is None:
            raise _missed(key.sort)
    if partition.operator != "=":
        raise invalid("Query key condition not supported")
    for name, condition in conditions.items():
        _check_operands(table, index, name, condition)
    low, low_open, high, high_open = _bounds(sort)
    return Range(
        table=table,
        index=index,
        partition=keys.partition(partition.operands[0]),
        low=low,
        low_open=low_open,
        high=high,
        high_open=high_open,
        forward=forward,
    )


def _missed(name: str) -> AwsError:
    return invalid(f"Query condition missed key schema element: {name}")


def _check_operands(table: Table, index: Index | None, name: str, condition: KeyCondition) -> None:
    for operand in condition.operands:
        kind, content = next(iter(operand.items()))
        if kind != table.attributes[name]:
            raise parameters_invalid("Condition parameter type does not match schema type")
        if not content and kind in ("S", "B"):
            where = f"IndexName: {index.name}, IndexKey" if index is not None else "Key"
            raise invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                f"empty {'string' if kind == 'S' else 'binary'} value. {where}: {name}"
            )


def _bounds(condition: KeyCondition | None) -> tuple[bytes | None, bool, bytes | None, bool]:
    """Low end, whether it is left out, high end, whether it is left out."""
    if condition is None:
        return None, False, None, False
    first = keys.encode(condition.operands[0])
    match condition.operator:
        case "=":
            return first, False, first, False
        case "<" | "<=":
            return None, False, first, condition.operator == "<"
        case ">" | ">=":
            return first, condition.operator == ">", None, False
        case "BETWEEN":
            return first, False, keys.encode(condition.operands[1]), False
    return first, False, keys.after_prefix(first), True


def scan_range(table: Table, index: Index | None, request: Request) -> Range:
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if segment is None or total is None:
        return Range(table=table, index=index)
    low, high = keys.segment(segment, total)
    return Range(table=table, index=index, low=low, high=high, high_open=True)


def check_segments(request: Request) -> None:
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if segment is not None and total is None:
        raise invalid(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter "
            "is present"
        )
    if total is not None and segment is None:
        raise invalid(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments "
            "is present"
        )
    if segment is not None and segment >= total:
        raise invalid(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )


# Where a page begins and ends.


def start_key(request: Request) -> Item | None:
    given = request.get("ExclusiveStartKey")
    if given is None:
        return None
    try:
        return {name: canonical(value or {}) for name, value in given.items()}
    except AwsError as error:
        raise invalid(f"{START_INVALID}: {error.message}") from None


def position_of(wanted: Range, key: Item, request: Request) -> Position:
    """Where a start key stands. Raises AwsError where it fits no row of the range."""
    table, index = wanted.table, wanted.index
    names = set(table.key.names()) | (set(index.key.names()) if index is not None else set())
    if set(key) != names:
        whole_table_scan = wanted.partition is None and index is None
        raise invalid(f"{START_INVALID}: {key_mismatch().message}" if whole_table_scan else START_INVALID)
    if any(next(iter(value)) != table.attributes[name] for name, value in key.items()):
        raise invalid(f"{START_INVALID}: {key_mismatch().message}")
    pk, sk = table.address({name: key[name] for name in table.key.names()})
    entry = index.entry(key, table) if index is not None else (pk, sk)
    if entry is None:
        raise invalid(START_INVALID)
    position = (*entry, pk, sk) if index is not None else (pk, sk, b"", b"")
    _check_inside(wanted, position, request)
    return position


def _check_inside(wanted: Range, position: Position, request: Request) -> None:
    if wanted.partition is None:
        if not _within(wanted, position[0]):
            raise invalid(
                f"{START_INVALID}: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
                f"TotalSegments: {request.get('TotalSegments')} Segment: {request.get('Segment')}"
            )
    elif position[0] != wanted.partition:
        raise invalid("The provided starting key is outside query boundaries based on provided conditions")
    elif not _within(wanted, position[1]):
        raise invalid("The provided starting key does not match the range key predicate")


def _within(wanted: Range, place: bytes) -> bool:
    if wanted.low is not None and (place < wanted.low or (wanted.low_open and place == wanted.low)):
        return False
    return wanted.high is None or place < wanted.high or (not wanted.high_open and place == wanted.high)


def end_key(wanted: Range, item: Item) -> Item:
    """`LastEvaluatedKey`: the item's primary key, with the index's."""
    names = wanted.table.key.names() + (wanted.index.key.names() if wanted.index is not None else ())
    return {name: item[name] for name in dict.fromkeys(names)}
