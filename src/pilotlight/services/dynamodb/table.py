"""What a table is: its keys, its indexes, its settings; and how an item stands in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from pilotlight.arn import Arn
from pilotlight.services.dynamodb import keys
from pilotlight.services.dynamodb.errors import invalid, key_mismatch, parameters_invalid
from pilotlight.services.dynamodb.values import Item

ACTIVE, CREATING, DELETING, UPDATING = "ACTIVE", "CREATING", "DELETING", "UPDATING"
GLOBAL, LOCAL = "GLOBAL", "LOCAL"
TTL_OFF, TTL_STARTING, TTL_ON = "DISABLED", "ENABLING", "ENABLED"
TTL_SECONDS_MAX = 10**11


@dataclass(frozen=True, slots=True)
class KeySchema:
    partition: str
    sort: str | None = None

    def names(self) -> tuple[str, ...]:
        return (self.partition,) if self.sort is None else (self.partition, self.sort)

    def described(self) -> list[dict[str, str]]:
        roles = ("HASH", "RANGE")
        return [{"AttributeName": name, "KeyType": role} for name, role in zip(self.names(), roles, strict=False)]


@dataclass(frozen=True, slots=True)
class Throughput:
    read: int = 0
    write: int = 0

    def described(self) -> dict[str, int]:
        return {"ReadCapacityUnits": self.read, "WriteCapacityUnits": self.write}


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    id: int
    name: str
    kind: str
    key: KeySchema
    projection: str
    """`ALL`, `KEYS_ONLY` or `INCLUDE`."""
    included: tuple[str, ...] = ()
    status: str = ACTIVE
    throughput: Throughput = Throughput()

    def attributes(self, table: Table) -> frozenset[str] | None:
        """The names that the index holds; None for all."""
        if self.projection == "ALL":
            return None
        return frozenset((*table.key.names(), *self.key.names(), *self.included))

    def projected(self, item: Item, table: Table) -> Item:
        names = self.attributes(table)
        return item if names is None else {name: value for name, value in item.items() if name in names}

    def entry(self, item: Item, table: Table) -> tuple[bytes, bytes] | None:
        """Where the item stands in the index; None where it has no key for it.

        An item may be older than the index, and its attributes of other types than the index has.
        """
        partition = _key_value(item, self.key.partition, table)
        if partition is None:
            return None
        if self.key.sort is None:
            return keys.partition(partition), b""
        sort = _key_value(item, self.key.sort, table)
        return None if sort is None else (keys.partition(partition), keys.encode(sort))


def _key_value(item: Item, name: str, table: Table) -> dict[str, Any] | None:
    value = item.get(name)
    if value is None or not value.get(table.attributes[name]):
        return None
    return value


@dataclass(frozen=True, kw_only=True)
class Table:
    id: int
    revision: int
    account: str
    region: str
    name: str
    table_id: str
    """AWS's `TableId`."""
    created_ms: int
    attributes: Mapping[str, str]
    """Types of the attributes that are part of a key."""
    key: KeySchema
    indexes: tuple[Index, ...] = ()
    billing: str = "PROVISIONED"
    billing_chosen: bool = False
    """Whether there is a summary of the billing mode to tell: once it was, or had been, on demand."""
    on_demand_ms: int = 0
    throughput: Throughput = Throughput()
    throughput_raised_ms: int = 0
    throughput_lowered_ms: int = 0
    on_demand_limits: Mapping[str, int] = field(default_factory=dict)
    protected: bool = False
    table_class: str = ""
    encryption: Mapping[str, str] = field(default_factory=dict)
    ttl_attribute: str = ""
    ttl_status: str = TTL_OFF
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str = ACTIVE

    @property
    def arn(self) -> str:
        return str(Arn("dynamodb", self.region, self.account, f"table/{self.name}"))

    @cached_property
    def index_keys(self) -> tuple[tuple[str, Index], ...]:
        """Each attribute that is part of an index's key and not of the table's, with its first index by name."""
        found: dict[str, Index] = {}
        for index in sorted(self.indexes, key=lambda index: index.name):
            for name in index.key.names():
                if name not in self.key.names():
                    found.setdefault(name, index)
        return tuple(found.items())

    def index(self, name: str) -> Index | None:
        return next((index for index in self.indexes if index.name == name), None)

    def of_kind(self, kind: str) -> Iterator[Index]:
        return (index for index in self.indexes if index.kind == kind)

    # Keys.

    def address(self, key: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """A primary key as bytes. Raises AwsError where it does not fit the schema."""
        names = self.key.names()
        if len(key) != len(names):
            raise key_mismatch()
        for name in names:
            value = key.get(name)
            if value is None or next(iter(value)) != self.attributes[name]:
                raise key_mismatch()
        return self._encoded(key)

    def address_of_item(self, item: Item) -> tuple[bytes, bytes]:
        """The same for a whole item, whose refusals name the attribute."""
        for name in self.key.names():
            value = item.get(name)
            if value is None:
                raise parameters_invalid(f"Missing the key {name} in the item")
            kind = next(iter(value))
            if kind != self.attributes[name]:
                raise parameters_invalid(
                    f"Type mismatch for key {name} expected: {self.attributes[name]} actual: {kind}"
                )
        return self._encoded(item)

    def _encoded(self, values: Mapping[str, Any]) -> tuple[bytes, bytes]:
        self.check_not_empty(values)
        partition = keys.partition(values[self.key.partition])
        if len(partition) - keys.HASH_BYTES > keys.PARTITION_KEY_BYTES_MAX:
            raise parameters_invalid(
                f"Size of hashkey has exceeded the maximum size limit of{keys.PARTITION_KEY_BYTES_MAX} bytes"
            )
        if self.key.sort is None:
            return partition, b""
        sort = keys.encode(values[self.key.sort])
        if len(sort) > keys.SORT_KEY_BYTES_MAX:
            raise parameters_invalid(
                f"Aggregated size of all range keys has exceeded the size limit of {keys.SORT_KEY_BYTES_MAX} bytes"
            )
        return partition, sort

    def check_not_empty(self, values: Mapping[str, Any]) -> None:
        for name in self.key.names():
            kind, content = next(iter(values[name].items()))
            if not content and kind in ("S", "B"):
                raise invalid(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
                    f"contain an empty {'string' if kind == 'S' else 'binary'} value. Key: {name}"
                )

    def check_index_keys(self, item: Item) -> None:
        """Attributes that indexes have as keys must be of their type, not empty, and not too long."""
        for name, index in self.index_keys:
            value = item.get(name)
            if value is None:
                continue
            kind, content = next(iter(value.items()))
            if kind != self.attributes[name]:
                raise parameters_invalid(
                    f"Type mismatch for Index Key {name} Expected: {self.attributes[name]} Actual: {kind} "
                    f"IndexName: {index.name}"
                )
            if not content and kind in ("S", "B"):
                raise invalid(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not "
                    "supported. The AttributeValue for a key attribute cannot contain an empty "
                    f"{'string' if kind == 'S' else 'binary'} value. IndexName: {index.name}, IndexKey: {name}"
                )
            self._check_index_key_size(name, index, keys.encode(value))

    def _check_index_key_size(self, name: str, index: Index, encoded: bytes) -> None:
        role, limit = "hash", keys.PARTITION_KEY_BYTES_MAX
        if name == index.key.sort:
            role, limit = "range", keys.SORT_KEY_BYTES_MAX
        if len(encoded) > limit:
            raise parameters_invalid(
                f"Size of {role}key has exceeded the maximum size limit of{limit} bytes. IndexName: {index.name}"
            )

    def key_of(self, item: Item) -> Item:
        return {name: item[name] for name in self.key.names()}

    def expires_ms(self, item: Item) -> int | None:
        """When the item's time to live ends, where the table has one and the item says so.

        AWS: seconds since 1970 in a number; anything else never expires.
        """
        if not self.ttl_attribute or self.ttl_status == TTL_OFF:
            return None
        text = item.get(self.ttl_attribute, {}).get("N")
        if text is None:
            return None
        seconds = int(text.partition(".")[0])
        return seconds * 1000 if 0 < seconds < TTL_SECONDS_MAX else None


def dump(table: Table) -> str:
    """All but what the row's columns hold."""
    fields = asdict(table)
    for name in ("id", "revision", "account", "region", "name"):
        del fields[name]
    return json.dumps(fields)


def load(row: Mapping[str, Any]) -> Table:
    fields = json.loads(row["definition"])
    indexes = tuple(
        Index(
            **{
                **index,
                "key": KeySchema(**index["key"]),
                "included": tuple(index["included"]),
                "throughput": Throughput(**index["throughput"]),
            }
        )
        for index in fields.pop("indexes")
    )
    return Table(
        id=row["id"],
        revision=row["revision"],
        account=row["account"],
        region=row["region"],
        name=row["name"],
        **{
            **fields,
            "key": KeySchema(**fields["key"]),
            "throughput": Throughput(**fields["throughput"]),
            "indexes": indexes,
        },
    )


def with_index(table: Table, index: Index) -> Table:
    """The same table with one index put in or replaced."""
    others = tuple(other for other in table.indexes if other.name != index.name)
    return replace(table, indexes=(*others, index))
