"""Forgetting everything: every row of every service. What the node is to itself stays."""

from __future__ import annotations

from pilotlight.storage.database import Transaction

KEPT = ("schema_version", "node_value", "identity_secret", "iam_revision")
"""The last counts what caches of permissions are keyed by: begun anew, it would make them right again."""


def forget_everything(tx: Transaction) -> None:
    for table in tx.tables():
        if table not in KEPT:
            tx.run(f"delete from {table}")
