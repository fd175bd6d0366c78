"""Small facts that a node keeps about itself: its id, its epoch, its clock."""

from __future__ import annotations

from pilotlight.storage.database import Transaction

EPOCH = "epoch"
NODE_ID = "node_id"
CLOCK = "clock"
LINK_SECRET = "link_secret"
REGISTRY_SECRET = "registry_secret"


def get(tx: Transaction, name: str) -> str | None:
    row = tx.one("select value from node_value where name = :name", name=name)
    return row["value"] if row else None


def put(tx: Transaction, name: str, value: str) -> None:
    tx.run(
        """insert into node_value (name, value) values (:name, :value)
           on conflict (name) do update set value = excluded.value""",
        name=name,
        value=value,
    )


def get_or_put(tx: Transaction, name: str, fresh: str) -> str:
    """The value of that name; `fresh` becomes it where there is none."""
    value = get(tx, name)
    if value is None:
        put(tx, name, fresh)
    return fresh if value is None else value


def begin_epoch(tx: Transaction, fresh_node_id: str) -> tuple[str, int]:
    """The node's id, made on its first start, and how often it has started."""
    node_id = get(tx, NODE_ID)
    if node_id is None:
        node_id = fresh_node_id
        put(tx, NODE_ID, node_id)
    epoch = int(get(tx, EPOCH) or 0) + 1
    put(tx, EPOCH, str(epoch))
    return node_id, epoch
