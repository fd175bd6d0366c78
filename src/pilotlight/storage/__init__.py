"""Everything that must survive: rows in a database, blobs in files, and how they got their shape.

`Database` has two engines, SQLite and PostgreSQL, and one way to use them: a transaction is a plain
function. Services import from here only `Database`, `Transaction`, `Blobs` and `outbox`.
"""

from pilotlight.storage.database import Database, Row, Transaction

__all__ = ["Database", "Row", "Transaction"]
