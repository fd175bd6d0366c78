"""DynamoDB's rows. Items and index entries are found by bytes that sort as their keys do.

An item's `revision` is random and never comes again, so that "still as I read it" is one comparison. A table's
revision counts up, and its id is random too: what is cached under both never gets stale, whatever becomes of the rows.
Counts are kept in shards, so that writers do not meet in one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.services.dynamodb import table as tables
from pilotlight.services.dynamodb.table import Table
from pilotlight.storage import Transaction

TABLES_CACHED_MAX = 1000
ABSENT = 0
"""The revision of an item that is not there."""


class Conflict(Exception):
    """An item or a table is not any more as it was read: do it again."""


@dataclass(frozen=True, slots=True)
class Scope:
    account: str
    region: str


@dataclass(frozen=True, slots=True)
class Stored:
    body: bytes
    revision: int
    size: int


@dataclass(frozen=True, slots=True)
class Address:
    table: Table
    pk: bytes
    sk: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    index_id: int
    pk: bytes
    sk: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one item. Without a body it is deleted; a check changes nothing."""

    address: Address
    expected: int | None
    """The revision that it must still have (`ABSENT` for none); None where that does not matter."""
    body: bytes | None = None
    size: int = 0
    revision: int = 0
    expires_ms: int | None = None
    removed: Sequence[Entry] = ()
    added: Sequence[Entry] = ()
    check_only: bool = False


# Tables.


class TableCache:
    """Definitions that were read already, by id and revision: nothing to forget, nothing to get stale."""

    def __init__(self, size: int = TABLES_CACHED_MAX) -> None:
        self._size = size
        self._tables: dict[tuple[int, int], Table] = {}

    def find(self, tx: Transaction, scope: Scope, name: str) -> Table | None:
        row = tx.one(
            "select id, revision from dynamodb_table where account = :account and region = :region and name = :name",
            account=scope.account,
            region=scope.region,
            name=name,
        )
        if row is None:
            return None
        found = self._tables.get((row["id"], row["revision"]))
        if found is None:
            found = tables.load(_table_row(tx, row["id"]))
            while len(self._tables) >= self._size:
                self._tables.pop(next(iter(self._tables)), None)
            self._tables[found.id, found.revision] = found
        return found


def _table_row(tx: Transaction, table_id: int) -> dict[str, Any]:
    row = tx.one("select * from dynamodb_table where id = :id", id=table_id)
    assert row is not None
    return row


def find_by_id(tx: Transaction, table_id: int) -> Table | None:
    row = tx.one("select * from dynamodb_table where id = :id", id=table_id)
    return tables.load(row) if row else None


def insert_table(tx: Transaction, table: Table) -> bool:
    """False where the name is taken."""
    return (
        tx.run(
            """insert into dynamodb_table (id, account, region, name, revision, definition, ttl)
               values (:id, :account, :region, :name, :revision, :definition, 0)
               on conflict (account, region, name) do nothing""",
            id=table.id,
            account=table.account,
            region=table.region,
            name=table.name,
            revision=table.revision,
            definition=tables.dump(table),
        )
        > 0
    )


def save_table(tx: Transaction, table: Table) -> Table:
    """Keep a changed definition; returns it with its next revision. Raises Conflict where another came first."""
    saved = replace(table, revision=table.revision + 1)
    done = tx.run(
        """update dynamodb_table set definition = :definition, revision = :next, ttl = :ttl
           where id = :id and revision = :revision""",
        id=table.id,
        ttl=int(table.ttl_status != tables.TTL_OFF),
        definition=tables.dump(saved),
        next=saved.revision,
        revision=table.revision,
    )
    if not done:
        raise Conflict
    return saved


def delete_table(tx: Transaction, table: Table) -> None:
    """The table is gone at once; its items and entries are swept away in the background."""
    tx.run("delete from dynamodb_table where id = :id", id=table.id)
    tx.run("delete from dynamodb_tally where table_id = :id", id=table.id)
    tx.run("delete from dynamodb_backfill where table_id = :id", id=table.id)
    tx.many(
        "insert into dynamodb_sweep (kind, id) values (:kind, :id)",
        [{"kind": "item", "id": table.id}, *({"kind": "entry", "id": index.id} for index in table.indexes)],
    )


def list_tables(tx: Transaction, scope: Scope, *, after: str, limit: int) -> list[str]:
    rows = tx.all(
        """select name from dynamodb_table where account = :account and region = :region and name > :after
           order by name limit :limit""",
        account=scope.account,
        region=scope.region,
        after=after,
        limit=limit,
    )
    return [row["name"] for row in rows]


def tally(tx: Transaction, table: Table) -> tuple[int, int]:
    """How many items, and how many bytes."""
    row = tx.one(
        """select coalesce(sum(items), 0) as items, coalesce(sum(bytes), 0) as bytes
           from dynamodb_tally where table_id = :id""",
        id=table.id,
    )
    return (int(row["items"]), int(row["bytes"])) if row else (0, 0)


# Items.


def read_item(tx: Transaction, address: Address) -> Stored | None:
    row = tx.one(
        "select body, revision, size from dynamodb_item where table_id = :table and pk = :pk and sk = :sk",
        table=address.table.id,
        pk=address.pk,
        sk=address.sk,
    )
    return Stored(bytes(row["body"]), row["revision"], row["size"]) if row else None


def collection_size(tx: Transaction, address: Address) -> int:
    """Bytes of all items with one partition key."""
    row = tx.one(
        "select coalesce(sum(size), 0) as bytes from dynamodb_item where table_id = :table and pk = :pk",
        table=address.table.id,
        pk=address.pk,
    )
    return int(row["bytes"]) if row else 0


def apply(tx: Transaction, changes: Iterable[Change]) -> None:
    """All of the changes, or Conflict."""
    checked: set[int] = set()
    for change in changes:
        table = change.address.table
        if table.id not in checked:
            _check_table(tx, table)
            checked.add(table.id)
        _apply(tx, change)


def _check_table(tx: Transaction, table: Table) -> None:
    row = tx.one("select revision from dynamodb_table where id = :id", id=table.id)
    if row is None or row["revision"] != table.revision:
        raise Conflict


def _apply(tx: Transaction, change: Change) -> None:
    address = change.address
    where = {"table": address.table.id, "pk": address.pk, "sk": address.sk}
    row = tx.one("select revision, size from dynamodb_item where table_id = :table and pk = :pk and sk = :sk", **where)
    revision, old_size = (row["revision"], row["size"]) if row else (ABSENT, 0)
    if change.expected is not None and revision != change.expected:
        raise Conflict
    if change.check_only:
        return
    if change.body is None:
        if row is None:
            return
        tx.run("delete from dynamodb_item where table_id = :table and pk = :pk and sk = :sk", **where)
    else:
        _write(tx, change, where, exists=row is not None)
    _move_entries(tx, change)
    items = (change.body is not None) - (row is not None)
    if items or change.size != old_size:
        _count(tx, address, items=items, size=change.size - old_size)


def _write(tx: Transaction, change: Change, where: dict[str, Any], *, exists: bool) -> None:
    if exists:
        sql = """update dynamodb_item set body = :body, size = :size, revision = :revision, expires_ms = :expires_ms
                 where table_id = :table and pk = :pk and sk = :sk"""
    else:
        sql = """insert into dynamodb_item (table_id, pk, sk, body, size, revision, expires_ms)
                 values (:table, :pk, :sk, :body, :size, :revision, :expires_ms)"""
    tx.run(sql, body=change.body, size=change.size, revision=change.revision, expires_ms=change.expires_ms, **where)


def _move_entries(tx: Transaction, change: Change) -> None:
    for entry in change.removed:
        tx.run(
            """delete from dynamodb_entry where index_id = :index and pk = :pk and sk = :sk
               and item_pk = :item_pk and item_sk = :item_sk""",
            **_entry(entry, change.address),
        )
    for entry in change.added:
        insert_entry(tx, entry, change.address)


def insert_entry(tx: Transaction, entry: Entry, address: Address) -> None:
    tx.run(
        """insert into dynamodb_entry (index_id, pk, sk, item_pk, item_sk)
           values (:index, :pk, :sk, :item_pk, :item_sk) on conflict do nothing""",
        **_entry(entry, address),
    )


def _entry(entry: Entry, address: Address) -> dict[str, Any]:
    return {
        "index": entry.index_id,
        "pk": entry.pk,
        "sk": entry.sk,
        "item_pk": address.pk,
        "item_sk": address.sk,
    }


def _count(tx: Transaction, address: Address, *, items: int, size: int) -> None:
    tx.run(
        """insert into dynamodb_tally (table_id, shard, items, bytes) values (:table, :shard, :items, :bytes)
           on conflict (table_id, shard) do update set items = dynamodb_tally.items + :items,
           bytes = dynamodb_tally.bytes + :bytes""",
        table=address.table.id,
        shard=address.pk[0],
        items=items,
        bytes=size,
    )


# Client tokens of transactions.


def find_token(tx: Transaction, scope: Scope, token: str, *, now_ms: int) -> str | None:
    """The digest of the request that used the token already."""
    row = tx.one(
        """select digest from dynamodb_token where account = :account and region = :region and token = :token
           and expires_ms > :now_ms""",
        account=scope.account,
        region=scope.region,
        token=token,
        now_ms=now_ms,
    )
    return row["digest"] if row else None


def save_token(tx: Transaction, scope: Scope, token: str, digest: str, *, expires_ms: int) -> None:
    tx.run(
        """insert into dynamodb_token (account, region, token, digest, expires_ms)
           values (:account, :region, :token, :digest, :expires_ms)
           on conflict (account, region, token) do update set digest = excluded.digest,
           expires_ms = excluded.expires_ms""",
        account=scope.account,
        region=scope.region,
        token=token,
        digest=digest,
        expires_ms=expires_ms,
    )


def has_old_tokens(tx: Transaction, *, now_ms: int) -> bool:
    return (
        tx.one("select 1 as found from dynamodb_token where expires_ms <= :now_ms limit 1", now_ms=now_ms) is not None
    )


def forget_tokens(tx: Transaction, *, now_ms: int) -> None:
    tx.run("delete from dynamodb_token where expires_ms <= :now_ms", now_ms=now_ms)


# Time to live.


def expired(tx: Transaction, *, oldest_ms: int, now_ms: int, limit: int) -> list[dict[str, Any]]:
    return tx.all(
        """select i.table_id, i.pk, i.sk, i.body, i.revision from dynamodb_item i
           join dynamodb_table t on t.id = i.table_id and t.ttl = 1
           where i.expires_ms <= :now_ms and i.expires_ms > :oldest_ms order by i.expires_ms limit :limit""",
        now_ms=now_ms,
        oldest_ms=oldest_ms,
        limit=limit,
    )


def next_expiry_ms(tx: Transaction, *, oldest_ms: int) -> int | None:
    row = tx.one(
        """select i.expires_ms from dynamodb_item i join dynamodb_table t on t.id = i.table_id and t.ttl = 1
           where i.expires_ms > :oldest_ms order by i.expires_ms limit 1""",
        oldest_ms=oldest_ms,
    )
    return row["expires_ms"] if row else None


def set_expiry(tx: Transaction, address: Address, expires_ms: int | None) -> None:
    tx.run(
        "update dynamodb_item set expires_ms = :expires_ms where table_id = :table and pk = :pk and sk = :sk",
        expires_ms=expires_ms,
        table=address.table.id,
        pk=address.pk,
        sk=address.sk,
    )


# Filling indexes, and sweeping up.


@dataclass(frozen=True, slots=True)
class Backfill:
    kind: str
    """`index`, or `ttl`."""
    id: int
    table_id: int
    pk: bytes
    sk: bytes


def begin_backfill(tx: Transaction, kind: str, number: int, table: Table) -> None:
    """Go over all items of a table: for a new index, or (with the table's own id) for its time to live."""
    tx.run(
        """insert into dynamodb_backfill (kind, id, table_id, pk, sk) values (:kind, :id, :table, :empty, :empty)
           on conflict (kind, id) do update set pk = excluded.pk, sk = excluded.sk""",
        kind=kind,
        id=number,
        table=table.id,
        empty=b"",
    )


def next_backfill(tx: Transaction) -> Backfill | None:
    row = tx.one("select kind, id, table_id, pk, sk from dynamodb_backfill order by kind, id limit 1")
    if row is None:
        return None
    return Backfill(row["kind"], row["id"], row["table_id"], bytes(row["pk"]), bytes(row["sk"]))


def move_backfill(tx: Transaction, task: Backfill, *, pk: bytes, sk: bytes) -> None:
    tx.run(
        "update dynamodb_backfill set pk = :pk, sk = :sk where kind = :kind and id = :id",
        kind=task.kind,
        id=task.id,
        pk=pk,
        sk=sk,
    )


def end_backfill(tx: Transaction, task: Backfill) -> None:
    tx.run("delete from dynamodb_backfill where kind = :kind and id = :id", kind=task.kind, id=task.id)


def items_after(tx: Transaction, table: Table, pk: bytes, sk: bytes, *, limit: int) -> list[dict[str, Any]]:
    return tx.all(
        """select pk, sk, body from dynamodb_item where table_id = :table and (pk, sk) > (:pk, :sk)
           order by pk, sk limit :limit""",
        table=table.id,
        pk=pk,
        sk=sk,
        limit=limit,
    )


def delete_index(tx: Transaction, index_id: int) -> None:
    """Its entries are swept away in the background."""
    tx.run("delete from dynamodb_backfill where kind = 'index' and id = :id", id=index_id)
    tx.run("insert into dynamodb_sweep (kind, id) values ('entry', :id)", id=index_id)


def has_sweep(tx: Transaction) -> bool:
    return tx.one("select 1 as found from dynamodb_sweep limit 1") is not None


def sweep(tx: Transaction, *, limit: int) -> bool:
    row = tx.one("select kind, id from dynamodb_sweep order by kind, id limit 1")
    if row is None:
        return False
    if row["kind"] == "item":
        sql = """delete from dynamodb_item where table_id = :id and (pk, sk) in
                 (select pk, sk from dynamodb_item where table_id = :id order by pk, sk limit :limit)"""
    else:
        sql = """delete from dynamodb_entry where index_id = :id and (pk, sk, item_pk, item_sk) in
                 (select pk, sk, item_pk, item_sk from dynamodb_entry where index_id = :id
                  order by pk, sk, item_pk, item_sk limit :limit)"""
    if tx.run(sql, id=row["id"], limit=limit) < limit:
        tx.run("delete from dynamodb_sweep where kind = :kind and id = :id", kind=row["kind"], id=row["id"])
    return True
