"""DynamoDB: tables, items, indexes, queries, batches and transactions.

`make_service` in `service.py` puts it together. Expressions are a pure package of their own; so are values, numbers
and keys. An item is a row whose key bytes sort as DynamoDB sorts; an index is a table of such keys beside it. Writes
evaluate their expressions outside of the database's writer, and commit by comparing the item's revision.

Left out, and refused by name: streams, backups and point-in-time recovery, export and import, global tables, PartiQL,
resource policies, contributor insights, Kinesis destinations, index keys of several attributes. Provisioned throughput
is kept and never throttles.
"""
