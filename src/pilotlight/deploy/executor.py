"""Carries out what CloudFormation accepted: stacks are made, changed, rolled back and deleted, whatever is killed.

An operation is a row under a lease. Each step writes down what it is about to do, does it, and writes down what came of
it; a step that was begun by a process that is gone is begun again, and told so, since what it finds may be its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.clock import Clock
from pilotlight.deploy.resources.base import Context, Made, ResourceType
from pilotlight.deploy.work import CUSTOM_NAME, StepFailed, Work, reason_of, with_made, without_before
from pilotlight.errors import AwsError
from pilotlight.ids import Ids
from pilotlight.services.cloudformation import intrinsics, store
from pilotlight.services.cloudformation.intrinsics import NotYet, Scope
from pilotlight.services.cloudformation.requests import restore_caller
from pilotlight.services.cloudformation.stacks import event_body, set_status
from pilotlight.services.cloudformation.store import Operation, Stack, StackResource
from pilotlight.services.cloudformation.template import Template, dependencies, parse
from pilotlight.services.contract import Cloud
from pilotlight.storage import Database, Transaction

log = logging.getLogger(__name__)

LEASE_MS = 24 * 3_600_000
"""Longer than any operation; a process that starts frees what its predecessor had claimed."""
DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
BUGS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TimeoutError, TypeError, ValueError)
"""What a template's odd values make of a resource type's code: a failed resource, and not a stack that stands still."""


class Deployer:
    """`work` is a reconciler's."""

    def __init__(
        self, database: Database, cloud: Cloud, clock: Clock, ids: Ids, types: Mapping[str, ResourceType]
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._clock = clock
        self._ids = ids
        self._types = types
        self._recovered = False
        self._more = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[str] = set()
        """Stacks whose operation makes way for a newer one: what is begun is ended, and nothing more is begun."""

    def wake(self) -> None:
        """There may be a new operation, also while others are under way."""
        self._more.set()

    async def work(self) -> int | None:
        if not self._recovered:
            await self._database.write(store.release_operations)
            self._recovered = True
        try:
            async with asyncio.TaskGroup() as group:
                await self._carry_out_all(group)
        except BaseException:
            self._recovered = False  # the next round takes up again what was claimed
            raise
        return None

    async def _carry_out_all(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._more.clear()
            while (operation := await self._claim()) is not None:
                earlier = self._running.get(operation.stack)
                task = group.create_task(self._carry_out(operation, earlier))
                self._running[operation.stack] = task
            self._running = {stack: task for stack, task in self._running.items() if not task.done()}
            if not self._running:
                return
            more = group.create_task(self._wait_more())
            await asyncio.wait({more, *self._running.values()}, return_when=asyncio.FIRST_COMPLETED)
            more.cancel()

    async def _wait_more(self) -> None:
        await self._more.wait()

    async def _claim(self) -> Operation | None:
        wall_ms = self._clock.wall_ms()
        return await self._database.claim(
            store.claim_operation, wall_ms=wall_ms, until_ms=wall_ms + LEASE_MS, token=self._ids.token(8)
        )

    async def _carry_out(self, operation: Operation, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None and not earlier.done():
            self._stopping.add(operation.stack)
            await asyncio.wait({earlier})
            self._stopping.discard(operation.stack)
        stack = await self._database.read(store.stack_by_id, operation.stack)
        if stack is not None:
            try:
                await self._carry_out_on(stack, operation)
            except (*BUGS, AwsError, NotYet, ExceptionGroup) as error:
                log.exception("bug in the %s of stack %s", operation.kind, stack.name)
                await self._give_up(stack, error)
        await self._database.write(store.finish_operation, operation)

    async def _carry_out_on(self, stack: Stack, operation: Operation) -> None:
        match operation.kind:
            case "create":
                await self._create(stack)
            case "update":
                await self._update(stack, operation)
            case "rollback":
                await self._roll_back_update(stack)
            case "delete":
                await self._delete(stack, operation)

    async def _give_up(self, stack: Stack, error: Exception) -> None:
        """A stack does not stay in progress for ever: what failed can be deleted, or tried again."""
        current = await self._database.read(store.stack_by_id, stack.id) or stack
        if current.status.endswith("IN_PROGRESS"):
            status = current.status.replace("_COMPLETE_CLEANUP", "").replace("IN_PROGRESS", "FAILED")
            identity, now_ms = self._ids.uuid(), self._clock.now_ms()
            reason = f"Internal Failure: {type(error).__name__}"
            await self._database.write(set_status, current, status, now_ms, identity, reason)

    # Whole operations.

    async def _create(self, stack: Stack) -> None:
        work = await self._begin(stack, stack.body["template"], stack.body["parameters"])
        if stack.status == "CREATE_IN_PROGRESS":
            await self._converge(work)
            if stack.id in self._stopping:
                return
            if not work.failed:
                await self._outputs(work, "CREATE_COMPLETE")
        if not work.failed and work.stack.status == "CREATE_COMPLETE":
            return
        reason = work.reason or f"The following resource(s) failed to create: [{', '.join(work.failed)}]. "
        if stack.body["on_failure"] == "DO_NOTHING":
            await self._status(work, "CREATE_FAILED", reason)
            return
        deleting = stack.body["on_failure"] == "DELETE"
        progress, done = (
            ("DELETE_IN_PROGRESS", "DELETE_COMPLETE") if deleting else ("ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE")
        )
        if stack.status == "CREATE_IN_PROGRESS":
            await self._status(work, progress, reason + ("" if deleting else "Rollback requested by user."))
        await self._remove_all(work, frozenset(), created_here=True)
        failed = "DELETE_FAILED" if deleting else "ROLLBACK_FAILED"
        await self._status(work, failed if work.failed else done)
        if deleting and not work.failed:
            await self._gone(work)

    async def _update(self, stack: Stack, operation: Operation) -> None:
        body = operation.body
        if stack.status == "UPDATE_IN_PROGRESS":
            if stack.body.get("applied") != operation.created_ms:
                kept = {
                    key: stack.body[key] for key in ("template", "parameters", "shown_parameters", "tags", "outputs")
                }
                # After an update that failed and was left so, the way back is to what was before that one.
                kept = stack.body.get("before", kept)
                changes = {key: value for key, value in body.items() if key != "rollback"}
                stack = stack.changed(
                    **changes, before=kept, applied=operation.created_ms, updated_ms=self._clock.now_ms()
                )
                await self._database.write(store.save_stack, stack)
            work = await self._begin(stack, stack.body["template"], stack.body["parameters"])
            await self._converge(work)
            if not work.failed:
                await self._outputs(work, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            if work.failed:
                reason = work.reason or f"The following resource(s) failed to update: [{', '.join(work.failed)}]. "
                if not body["rollback"]:
                    await self._status(work, "UPDATE_FAILED", reason)
                    return
                await self._status(work, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
            stack = work.stack
        if stack.status == "UPDATE_ROLLBACK_IN_PROGRESS":
            await self._roll_back_update(stack)
            return
        work = await self._begin(stack, stack.body["template"], stack.body["parameters"])
        await self._clean_up(work)
        work.stack = without_before(work.stack)
        await self._status(work, "UPDATE_COMPLETE")

    async def _roll_back_update(self, stack: Stack) -> None:
        """Back to what was before: the same road with the old template."""
        before = stack.body.get("before")
        if before is not None:
            stack = replace(stack, body={**stack.body, **before})
        work = await self._begin(stack, stack.body["template"], stack.body["parameters"], back=True)
        if stack.status != "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS":
            await self._converge(work)
            if work.failed:
                await self._status(
                    work,
                    "UPDATE_ROLLBACK_FAILED",
                    f"The following resource(s) failed to update: [{', '.join(work.failed)}].",
                )
                return
            await self._status(work, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        await self._clean_up(work, back=True)
        work.stack = without_before(work.stack)
        await self._status(work, "UPDATE_ROLLBACK_COMPLETE")

    async def _delete(self, stack: Stack, operation: Operation) -> None:
        work = await self._begin(stack, stack.body["template"], stack.body["parameters"])
        await self._remove_all(work, frozenset(operation.body["retain"]))
        if work.failed:
            reason = f"The following resource(s) failed to delete: [{', '.join(work.failed)}]. "
            await self._status(work, "DELETE_FAILED", reason)
            return
        await self._gone(work)

    async def _gone(self, work: Work) -> None:
        identity, now_ms = self._ids.uuid(), self._clock.now_ms()
        stack = replace(work.stack, live=0, body={**work.stack.body, "deleted_ms": now_ms})

        def gone(tx: Transaction) -> None:
            set_status(tx, stack, "DELETE_COMPLETE", now_ms, identity)
            store.set_exports(tx, stack, {})
            store.set_imports(tx, stack, set())
            for one in store.change_sets(tx, stack.id):
                store.delete_change_set(tx, one.id)

        await self._database.write(gone)

    # Parts of operations.

    async def _begin(self, stack: Stack, text: str, parameters: Mapping[str, Any], *, back: bool = False) -> Work:
        """`back`: on the way back, the resource that was there first is the one, and its replacements go."""
        template = parse(text, self._types) if text else Template({"Resources": {}}, {})
        rows: dict[str, StackResource] = {}
        old: list[StackResource] = []
        for row in await self._database.read(store.resources, stack.id):
            if row.logical_id not in rows:
                rows[row.logical_id] = row
            elif back:
                old.append(row)
            else:
                old.append(rows[row.logical_id])
                rows[row.logical_id] = row
        exports = await self._database.read(store.exports, account=stack.account, region=stack.region)
        scope = Scope(
            template=template,
            parameters=parameters,
            account=stack.account,
            region=stack.region,
            stack_id=stack.id,
            stack_name=stack.name,
            exports={name: value for name, (_, value) in exports.items()},
        )
        work = Work(stack, scope, rows, old)

        def made(name: str) -> intrinsics.Made | None:
            row = work.rows.get(name)
            return intrinsics.Made(row.physical_id, row.attributes) if row and row.status in DONE else None

        scope.made = made
        return work

    async def _converge(self, work: Work) -> None:
        """Make and change resources, each as soon as what it needs is there; stop beginning at the first failure."""
        template = work.scope.template
        wanted = {name for name in template.resources if work.scope.wanted(name)}
        needs = {name: deps & wanted for name, deps in dependencies(template).items() if name in wanted}
        done: set[str] = set()
        running: dict[asyncio.Task[None], str] = {}
        async with asyncio.TaskGroup() as group:
            while len(done) + len(work.failed) < len(wanted):
                ready = [n for n in needs if needs[n] <= done and n not in done and n not in running.values()]
                if not work.failed and work.stack.id not in self._stopping:
                    for name in ready:
                        running[group.create_task(self._step(work, name))] = name
                if not running:
                    break
                finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    name = running.pop(task)
                    if name not in work.failed:
                        done.add(name)

    async def _step(self, work: Work, name: str) -> None:
        """Bring one resource in line with the template; what fails is noted, not raised."""
        resource = work.scope.template.resources[name]
        try:
            await self._bring_in_line(work, name)
        except StepFailed as error:
            work.failed.append(name)
            log.info("stack %s: %s %s: %s", work.stack.name, resource.type, name, error)
        except BUGS:
            work.failed.append(name)
            log.exception("bug at %s %s of stack %s", resource.type, name, work.stack.name)

    async def _bring_in_line(self, work: Work, name: str) -> None:
        resource, row = work.scope.template.resources[name], work.rows.get(name)
        kind = self._types[resource.type]
        try:
            properties = work.scope.value(resource.properties)
        except (AwsError, NotYet) as error:
            # A reference to a resource whose condition does not hold is only found here.
            message = error.message if isinstance(error, AwsError) else f"Unresolved resource dependencies [{error}]"
            status = "UPDATE_FAILED" if row else "CREATE_FAILED"
            raise await self._failed(work, row or self._fresh(work, name, {}, 0), status, message) from None
        unknown = sorted(set(properties) - kind.properties)
        if unknown:
            reason = f"Encountered unsupported property {unknown[0]}"
            raise await self._failed(work, row or self._fresh(work, name, properties, 0), "CREATE_FAILED", reason)
        if row is None:
            await self._make(work, self._fresh(work, name, properties, 0), again=False)
        elif row.status in ("CREATE_IN_PROGRESS", "CREATE_FAILED"):
            # What was refused was never ours: it is somebody else's that has the name.
            ours = row.status == "CREATE_IN_PROGRESS" or bool(row.physical_id)
            await self._make(work, replace(row, body={**row.body, "properties": properties}), again=ours)
        elif row.type != resource.type or self._replaced(kind, row.properties, properties):
            generation = 1 + max(one.generation for one in (*work.old, row) if one.logical_id == name)
            work.old.append(row)
            await self._make(work, self._fresh(work, name, properties, generation), again=False)
        elif row.properties != properties or row.status not in DONE:
            await self._change(work, row, properties)

    @staticmethod
    def _replaced(kind: ResourceType, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        return any(old.get(key) != new.get(key) for key in kind.replaced_by)

    def _fresh(self, work: Work, name: str, properties: Mapping[str, Any], generation: int) -> StackResource:
        resource = work.scope.template.resources[name]
        body = {
            "properties": dict(properties),
            "policy": resource.deletion_policy,
            "replace_policy": resource.replace_policy,
            "needs": sorted(dependencies(work.scope.template)[name]),
        }
        return StackResource(work.stack.id, name, generation, resource.type, "", "", self._clock.now_ms(), body)

    def _context(self, work: Work, row: StackResource, *, again: bool) -> Context:
        return Context(
            cloud=self._cloud,
            caller=restore_caller(work.stack.body["caller"]),
            stack_id=work.stack.id,
            stack_name=work.stack.name,
            logical_id=row.logical_id,
            generation=row.generation,
            again=again,
            tags={tag["Key"]: tag["Value"] for tag in work.stack.body["tags"]},
        )

    async def _make(self, work: Work, row: StackResource, *, again: bool) -> None:
        """Once the row says that it is being made, what is there under its name is its own."""
        kind, row = self._types[row.type], replace(row, status="CREATE_IN_PROGRESS")

        async def claim(physical_id: str) -> None:
            nonlocal row
            row = replace(row, physical_id=physical_id)
            await self._database.write(store.save_resource, row)
            work.rows[row.logical_id] = row

        work.rows[row.logical_id] = row
        at = replace(self._context(work, row, again=again), claim=claim)
        try:
            found = "" if again else await self._find(at, row)
            if found and any(old.logical_id == row.logical_id and old.physical_id == found for old in work.old):
                raise AwsError("AlreadyExists", CUSTOM_NAME.format(found))
            if found:
                raise AwsError(
                    "AlreadyExists", f"Resource of type '{row.type}' with identifier '{found}' already exists."
                )
            row = await self._record(work, row, "CREATE_IN_PROGRESS")
            made = await kind.create(at, row.properties)
        except AwsError as error:
            raise await self._failed(work, row, "CREATE_FAILED", reason_of(row, error)) from None
        except BUGS as error:
            log.exception("a %s could not be made", row.type)
            raise await self._failed(work, row, "CREATE_FAILED", f"Properties validation failed: {error!r}") from None
        await self._record(work, with_made(row, made), "CREATE_COMPLETE")

    async def _find(self, at: Context, row: StackResource) -> str:
        """What has the name of a resource already, for types whose resources have names."""
        find = getattr(self._types[row.type], "find", None)
        return str(await find(at, row.properties)) if find is not None else ""

    async def _change(self, work: Work, row: StackResource, properties: Mapping[str, Any]) -> None:
        # A change that was not ended may have been carried out in part: what it was for is what is there.
        kind, old = self._types[row.type], row.properties if row.status in DONE else row.body.get("changing", {})
        old = old or row.properties
        begun = await self._record(
            work, replace(row, body={**row.body, "changing": dict(properties)}), "UPDATE_IN_PROGRESS"
        )
        made = Made(row.physical_id, row.attributes)
        try:
            made = await kind.update(self._context(work, row, again=row.status not in DONE), made, old, properties)
        except AwsError as error:
            raise await self._failed(work, begun, "UPDATE_FAILED", reason_of(row, error)) from None
        except BUGS as error:
            log.exception("a %s could not be changed", row.type)
            raise await self._failed(work, begun, "UPDATE_FAILED", f"Properties validation failed: {error!r}") from None
        resource = work.scope.template.resources[row.logical_id]
        body = {
            **{key: value for key, value in row.body.items() if key != "changing"},
            "properties": dict(properties),
            "policy": resource.deletion_policy,
            "replace_policy": resource.replace_policy,
            "needs": sorted(dependencies(work.scope.template)[row.logical_id]),
        }
        await self._record(work, with_made(replace(row, body=body), made), "UPDATE_COMPLETE")

    async def _clean_up(self, work: Work, *, back: bool = False) -> None:
        """Remove what was replaced, and what the template has no more."""
        template = work.scope.template
        gone = [row for name, row in work.rows.items() if name not in template.resources or not work.scope.wanted(name)]
        for row in work.old:
            await self._remove_replaced(work, row, kept=not back)
        await self._remove_in_order(work, gone, frozenset(), created_here=back)

    async def _remove_replaced(self, work: Work, row: StackResource, *, kept: bool = True) -> None:
        if kept and row.body.get("replace_policy") == "Retain":
            await self._database.write(store.delete_resource, row)
        else:
            await self._remove(work, row)

    async def _remove_all(self, work: Work, retain: frozenset[str], *, created_here: bool = False) -> None:
        work.failed.clear()
        for row in work.old:
            await self._remove_replaced(work, row)
        await self._remove_in_order(work, list(work.rows.values()), retain, created_here=created_here)

    async def _remove_in_order(
        self, work: Work, rows: list[StackResource], retain: frozenset[str], *, created_here: bool = False
    ) -> None:
        """Each after all that need it."""
        left = {row.logical_id: row for row in rows}
        while left:
            needed = {need for row in left.values() for need in row.body.get("needs", []) if need != row.logical_id}
            free = [row for name, row in left.items() if name not in needed] or list(left.values())
            for row in free:
                del left[row.logical_id]
                policy = row.body.get("policy", "Delete")
                # AWS: RetainExceptOnCreate keeps what was there before the operation that is rolled back.
                kept = policy == "Retain" or (policy == "RetainExceptOnCreate" and not created_here)
                if row.logical_id in retain or (kept and row.physical_id):
                    await self._skip(work, row)
                else:
                    await self._remove(work, row)
            if work.failed:
                blocked = {need for name in work.failed for need in work.rows[name].body.get("needs", [])}
                for name in blocked & set(left):
                    del left[name]

    async def _skip(self, work: Work, row: StackResource) -> None:
        await self._record(work, row, "DELETE_SKIPPED")
        await self._database.write(store.delete_resource, row)
        work.rows.pop(row.logical_id, None)

    async def _remove(self, work: Work, row: StackResource) -> None:
        at = self._context(work, row, again=row.status == "DELETE_IN_PROGRESS")
        begun = row
        try:
            if row.status == "CREATE_IN_PROGRESS" and not row.physical_id:
                # It was being made when its process was killed; whether it was made is seen by its name.
                row = replace(row, physical_id=await self._find(at, row))
            begun = await self._record(work, row, "DELETE_IN_PROGRESS")
            if row.physical_id:
                await self._types[row.type].delete(at, row.physical_id, row.properties)
        except (AwsError, *BUGS) as error:
            work.failed.append(row.logical_id)
            told = reason_of(row, error) if isinstance(error, AwsError) else f"Internal Failure: {error!r}"
            await self._failed(work, begun, "DELETE_FAILED", told)
            return
        await self._record(work, row, "DELETE_COMPLETE")
        await self._database.write(store.delete_resource, row)
        if work.rows.get(row.logical_id, row).generation == row.generation:
            work.rows.pop(row.logical_id, None)

    # Writing down.

    async def _outputs(self, work: Work, status: str) -> None:
        """The stack's outputs and exports, with the status that says that they hold."""
        outputs, exported = [], {}
        try:
            for name, declared in work.scope.template.part("Outputs").items():
                if "Condition" in declared and not work.scope.condition(declared["Condition"]):
                    continue
                value = str(work.scope.value(declared["Value"]))
                output = {"OutputKey": name, "OutputValue": value}
                if "Description" in declared:
                    output["Description"] = str(declared["Description"])
                if "Export" in declared:
                    output["ExportName"] = str(work.scope.value(declared["Export"]["Name"]))
                    exported[output["ExportName"]] = value
                outputs.append(output)
            await self._check_exports(work, exported)
        except (AwsError, NotYet) as error:
            work.failed.append(work.stack.name)
            message = error.message if isinstance(error, AwsError) else f"Unresolved resource dependencies [{error}]"
            work.reason = message + ("" if message.endswith(".") else ".") + " "
            return
        work.stack = work.stack.changed(outputs=outputs)
        identity, now_ms, stack = self._ids.uuid(), self._clock.now_ms(), work.stack

        def save(tx: Transaction) -> Stack:
            store.set_exports(tx, stack, exported)
            store.set_imports(tx, stack, work.scope.imported)
            return set_status(tx, stack, status, now_ms, identity)

        work.stack = await self._database.write(save)

    async def _check_exports(self, work: Work, exported: Mapping[str, str]) -> None:
        found = await self._database.read(store.exports, account=work.stack.account, region=work.stack.region)
        for name in exported:
            if name in found and found[name][0] != work.stack.id:
                other = found[name][0].split("/")[1]
                raise AwsError("ValidationError", f"Export with name {name} is already exported by stack {other}")

    async def _status(self, work: Work, status: str, reason: str = "") -> None:
        identity, now_ms = self._ids.uuid(), self._clock.now_ms()
        work.stack = await self._database.write(set_status, work.stack, status, now_ms, identity, reason)

    async def _record(self, work: Work, row: StackResource, status: str, reason: str = "") -> StackResource:
        """A resource's new status, and the event that tells of it."""
        identity, now_ms = self._ids.uuid(), self._clock.now_ms()
        body = {key: value for key, value in row.body.items() if key != "reason"}
        changed = replace(
            row, status=status, changed_ms=now_ms, body={**body, **({"reason": reason} if reason else {})}
        )

        def save(tx: Transaction) -> None:
            store.save_resource(tx, changed)
            event = event_body(
                work.stack,
                identity=identity,
                logical_id=row.logical_id,
                physical_id=row.physical_id,
                kind=row.type,
                status=status,
                now_ms=now_ms,
                reason=reason,
                properties=row.properties,
            )
            store.add_event(tx, work.stack.id, event)

        await self._database.write(save)
        if work.rows.get(row.logical_id, row).generation == row.generation:
            work.rows[row.logical_id] = changed
        return changed

    async def _failed(self, work: Work, row: StackResource, status: str, reason: str) -> StepFailed:
        await self._record(work, row, status, reason)
        return StepFailed(reason)
