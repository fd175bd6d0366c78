"""Tables: create, describe, list, update, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.dynamodb import definitions, store
from pilotlight.services.dynamodb.definitions import ON_DEMAND, PROVISIONED
from pilotlight.services.dynamodb.descriptions import describe
from pilotlight.services.dynamodb.errors import invalid, table_not_found
from pilotlight.services.dynamodb.maintenance import Maintenance
from pilotlight.services.dynamodb.names import check_name, table_name
from pilotlight.services.dynamodb.store import Scope, TableCache
from pilotlight.services.dynamodb.surroundings import Surroundings, scope_of
from pilotlight.services.dynamodb.table import CREATING, DELETING, UPDATING, Table
from pilotlight.services.dynamodb.table_updates import updated
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
Answer = dict[str, Any]
TABLES_LISTED_MAX = 100


class Tables:
    def __init__(self, around: Surroundings, maintenance: Maintenance) -> None:
        self._around = around
        self._maintenance = maintenance

    async def create_table(self, caller: Caller, request: Request) -> Answer:
        draft = self._draft(caller, request)
        if not await self._around.database.write(store.insert_table, draft):
            raise AwsError("ResourceInUseException", f"Table already exists: {draft.name}")
        return {"TableDescription": describe(draft, items=0, size=0, status=CREATING)}

    def _draft(self, caller: Caller, request: Request) -> Table:
        """The table that is asked for. Raises AwsError, in DynamoDB's order."""
        name = request["TableName"]
        check_name(name, "tableName")
        definitions.refuse_what_is_not_ours("CreateTable", request)
        billing = request.get("BillingMode", PROVISIONED)
        throughput = definitions.throughput(request, billing)
        attributes = definitions.attribute_types(request.get("AttributeDefinitions") or [])
        key = definitions.table_key(request, attributes)
        indexes = definitions.indexes(request, attributes, key, billing)
        definitions.check_all_used(attributes, key, indexes)
        now_ms = self._around.clock.now_ms()
        return Table(
            id=self._around.new_id(),
            revision=1,
            account=caller.account,
            region=caller.region,
            name=name,
            table_id=self._around.ids.uuid(),
            created_ms=now_ms,
            attributes=attributes,
            key=key,
            indexes=tuple(replace(index, id=self._around.new_id()) for index in indexes),
            billing=billing,
            billing_chosen=billing == ON_DEMAND,
            on_demand_ms=now_ms if billing == ON_DEMAND else 0,
            throughput=throughput,
            on_demand_limits=request.get("OnDemandThroughput") or {},
            protected=bool(request.get("DeletionProtectionEnabled")),
            table_class=request.get("TableClass") or "",
            encryption=encryption(caller, request),
            tags={tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()},
        )

    async def describe_table(self, caller: Caller, request: Request) -> Answer:
        table, items, size = await self._find(caller, request["TableName"])
        return {"Table": describe(table, items=items, size=size)}

    async def _find(self, caller: Caller, text: str) -> tuple[Table, int, int]:
        name = table_name(caller, text)
        return await self._around.database.read(_counted, self._around.tables, scope_of(caller), name)

    async def list_tables(self, caller: Caller, request: Request) -> Answer:
        limit = request.get("Limit") or TABLES_LISTED_MAX
        after = request.get("ExclusiveStartTableName") or ""
        names = await self._around.database.read(store.list_tables, scope_of(caller), after=after, limit=limit + 1)
        answer: Answer = {"TableNames": names[:limit]}
        if len(names) > limit:
            answer["LastEvaluatedTableName"] = names[limit - 1]
        return answer

    async def delete_table(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        table, items, size = await self._around.database.write(_delete, self._around.tables, scope_of(caller), name)
        return {"TableDescription": describe(table, items=items, size=size, status=DELETING)}

    async def update_table(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        definitions.refuse_what_is_not_ours("UpdateTable", request)
        changed = {"encryption": encryption(caller, request)} if request.get("SSESpecification") else {}
        table = await self._around.database.write(
            _update,
            self._around.tables,
            scope_of(caller),
            name,
            request,
            changed,
            now_ms=self._around.clock.now_ms(),
            new_id=self._around.new_id(),
        )
        counted = await self._around.database.read(store.tally, table)
        answer = {"TableDescription": describe(table, items=counted[0], size=counted[1], status=UPDATING)}
        await self._maintenance.begin_backfill()
        return answer

    # What does not depend on a table's rows.

    async def describe_limits(self, caller: Caller, request: Request) -> Answer:
        return {
            "AccountMaxReadCapacityUnits": 80_000,
            "AccountMaxWriteCapacityUnits": 80_000,
            "TableMaxReadCapacityUnits": 40_000,
            "TableMaxWriteCapacityUnits": 40_000,
        }

    async def describe_endpoints(self, caller: Caller, request: Request) -> Answer:
        settings = self._around.settings
        return {"Endpoints": [{"Address": f"{settings.host}:{settings.port}", "CachePeriodInMinutes": 1440}]}

    async def describe_continuous_backups(self, caller: Caller, request: Request) -> Answer:
        await self._backed_up(caller, request)
        return {"ContinuousBackupsDescription": _no_backups()}

    async def update_continuous_backups(self, caller: Caller, request: Request) -> Answer:
        await self._backed_up(caller, request)
        if request["PointInTimeRecoverySpecification"].get("PointInTimeRecoveryEnabled"):
            raise NotImplementedHere("UpdateContinuousBackups with PointInTimeRecoveryEnabled")
        return {"ContinuousBackupsDescription": _no_backups()}

    async def _backed_up(self, caller: Caller, request: Request) -> None:
        name = table_name(caller, request["TableName"])
        if await self._around.database.read(self._around.tables.find, scope_of(caller), name) is None:
            raise AwsError("TableNotFoundException", f"Table not found: {name}")


def _no_backups() -> Answer:
    # AWS: the outer status is ENABLED on every table; the inner one is what people switch.
    return {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
    }


def encryption(caller: Caller, request: Request) -> dict[str, str]:
    """Kept and told, like AWS's own key; the rows are as safe as the disk they are on."""
    given = request.get("SSESpecification") or {}
    if not given.get("Enabled"):
        if given.get("SSEType"):
            raise invalid("One or more parameter values were invalid: SSEType cannot be used when Enabled is false")
        return {}
    return {
        "Status": "ENABLED",
        "SSEType": "KMS",
        "KMSMasterKeyArn": f"arn:aws:kms:{caller.region}:{caller.account}:alias/aws/dynamodb",
    }


def _counted(tx: Transaction, tables: TableCache, scope: Scope, name: str) -> tuple[Table, int, int]:
    table = tables.find(tx, scope, name)
    if table is None:
        raise table_not_found(name)
    return (table, *store.tally(tx, table))


def _delete(tx: Transaction, tables: TableCache, scope: Scope, name: str) -> tuple[Table, int, int]:
    table, items, size = _counted(tx, tables, scope, name)
    if table.protected:
        raise invalid(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    store.delete_table(tx, table)
    return table, items, size


def _update(
    tx: Transaction,
    tables: TableCache,
    scope: Scope,
    name: str,
    request: Request,
    changed: Mapping[str, Any],
    *,
    now_ms: int,
    new_id: int,
) -> Table:
    table, _, _ = _counted(tx, tables, scope, name)
    next_table, created, deleted = updated(replace(table, **changed), request, now_ms=now_ms, new_id=new_id)
    saved = store.save_table(tx, next_table)
    for index in created:
        store.begin_backfill(tx, "index", index.id, saved)
    for index in deleted:
        store.delete_index(tx, index.id)
    return saved
