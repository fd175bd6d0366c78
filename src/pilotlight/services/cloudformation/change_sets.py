"""Change sets: what an update would do, kept until it is executed or forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.cloudformation import requests, store
from pilotlight.services.cloudformation.requests import Wanted
from pilotlight.services.cloudformation.stacks import (
    UPDATABLE,
    Shared,
    fresh_stack,
    missing,
    moment,
    set_status,
    update_operation,
)
from pilotlight.services.cloudformation.store import ChangeSet, Operation, Stack
from pilotlight.services.cloudformation.template import invalid, parse, references
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
UNCHANGED = "The submitted information didn't contain changes. Submit different information to create a change set."


def not_found(name: str) -> AwsError:
    return AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", status=404)


class ChangeSets:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def create_change_set(self, caller: Caller, request: Request) -> dict[str, Any]:
        shared, name = self._shared, request["StackName"]
        kind = request.get("ChangeSetType", "UPDATE")
        for key in ("ImportExistingResources", "IncludeNestedStacks", "DeploymentMode"):
            if request.get(key):
                raise NotImplementedHere(f"CreateChangeSet with {key}")
        if kind == "IMPORT":
            raise NotImplementedHere("CreateChangeSet with ChangeSetType=IMPORT")
        stack = await shared.database.read(store.find_stack, name, account=caller.account, region=caller.region)
        if kind == "UPDATE" and stack is None:
            raise missing(name)
        if kind == "CREATE" and stack is not None and stack.status != "REVIEW_IN_PROGRESS":
            again = f"cannot be created again with the changeSet [{request['ChangeSetName']}]."
            raise invalid(f"Stack [{name}] already exists and {again}")
        if kind == "UPDATE" and stack is not None and stack.status not in UPDATABLE:
            raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        wanted = await shared.wanted(caller, request, stack)
        fresh = stack is None
        if stack is None:
            requests.check_name(name)
            stack = fresh_stack(shared, caller, name, request, "REVIEW_IN_PROGRESS", None)
        change_set = await self._make(caller, request, stack, wanted, kind)
        made, identity = stack, shared.ids.uuid()

        def create(tx: Transaction) -> None:
            if fresh:
                set_status(tx, made, "REVIEW_IN_PROGRESS", change_set.created_ms, identity, "User Initiated")
            if any(one.name == change_set.name for one in store.change_sets(tx, made.id)):
                raise AwsError("AlreadyExistsException", f"ChangeSet {change_set.name} already exists")
            store.save_change_set(tx, change_set)

        await shared.database.write(create)
        return {"Id": change_set.id, "StackId": stack.id}

    async def _make(self, caller: Caller, request: Request, stack: Stack, wanted: Wanted, kind: str) -> ChangeSet:
        shared, name, now_ms = self._shared, request["ChangeSetName"], self._shared.clock.now_ms()
        changes = _changes(stack, wanted, kind, shared)
        same_tags = "Tags" not in request or requests.tags_of(request) == stack.body["tags"]
        changed = kind == "CREATE" or bool(changes) or not same_tags or _outputs_changed(stack, wanted, shared)
        operation = update_operation(stack, wanted, request, caller, now_ms)
        body = {
            "kind": kind,
            "status": "CREATE_COMPLETE" if changed else "FAILED",
            "reason": "" if changed else UNCHANGED,
            "execution": "AVAILABLE" if changed else "UNAVAILABLE",
            "changes": changes,
            "description": request.get("Description", ""),
            "on_failure": request.get("OnStackFailure", "ROLLBACK"),
            "operation": operation.body,
        }
        identity = f"arn:aws:cloudformation:{caller.region}:{caller.account}:changeSet/{name}/{shared.ids.uuid()}"
        return ChangeSet(identity, stack.id, name, now_ms, body)

    async def _find(self, caller: Caller, request: Request) -> tuple[Stack, ChangeSet]:
        def read(tx: Transaction) -> tuple[Stack, ChangeSet]:
            name = request["ChangeSetName"]
            if name.startswith("arn:"):
                found = store.change_set_by_id(tx, name)
                stack = store.stack_by_id(tx, found.stack) if found else None
            else:
                if "StackName" not in request:
                    raise invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
                stack = store.find_stack(tx, request["StackName"], account=caller.account, region=caller.region)
                if stack is None:
                    raise missing(request["StackName"])
                found = next((one for one in store.change_sets(tx, stack.id) if one.name == name), None)
            if found is None or stack is None or stack.account != caller.account:
                raise not_found(name)
            return stack, found

        return await self._shared.database.read(read)

    async def describe_change_set(self, caller: Caller, request: Request) -> dict[str, Any]:
        stack, found = await self._find(caller, request)
        body, operation = found.body, found.body["operation"]
        result = {
            "ChangeSetName": found.name,
            "ChangeSetId": found.id,
            "StackId": stack.id,
            "StackName": stack.name,
            "CreationTime": moment(found.created_ms),
            "ExecutionStatus": body["execution"],
            "Status": body["status"],
            "Parameters": operation["shown_parameters"],
            "Capabilities": operation["capabilities"],
            "Tags": operation["tags"],
            "NotificationARNs": [],
            "RollbackConfiguration": {},
            "IncludeNestedStacks": False,
            "Changes": [{"Type": "Resource", "ResourceChange": change} for change in body["changes"]],
        }
        optional = {"StatusReason": body["reason"], "Description": body["description"]}
        return result | {key: value for key, value in optional.items() if value}

    async def list_change_sets(self, caller: Caller, request: Request) -> dict[str, Any]:
        stack = await self._shared.find(caller, request["StackName"])
        found = await self._shared.database.read(store.change_sets, stack.id)
        return {
            "Summaries": [
                {
                    "StackId": stack.id,
                    "StackName": stack.name,
                    "ChangeSetId": one.id,
                    "ChangeSetName": one.name,
                    "ExecutionStatus": one.body["execution"],
                    "Status": one.body["status"],
                    "StatusReason": one.body["reason"],
                    "CreationTime": moment(one.created_ms),
                    "Description": one.body["description"],
                }
                for one in found
            ]
        }

    async def delete_change_set(self, caller: Caller, request: Request) -> dict[str, Any]:
        try:
            _, found = await self._find(caller, request)
        except AwsError as error:
            if error.code == "ChangeSetNotFound":
                return {}
            raise
        await self._shared.database.write(store.delete_change_set, found.id)
        return {}

    async def execute_change_set(self, caller: Caller, request: Request) -> dict[str, Any]:
        shared = self._shared
        stack, found = await self._find(caller, request)
        if found.body["execution"] != "AVAILABLE":
            code = "InvalidChangeSetStatus"
            message = f"ChangeSet [{found.id}] cannot be executed in its current status of [{found.body['status']}]"
            raise AwsError(code, message)
        now_ms, identity = shared.clock.now_ms(), shared.ids.uuid()
        create = found.body["kind"] == "CREATE"
        rollback = not request.get("DisableRollback", False)

        def execute(tx: Transaction) -> None:
            current = store.stack_by_id(tx, stack.id)
            allowed = ("REVIEW_IN_PROGRESS",) if create else UPDATABLE
            if current is None or current.status not in allowed:
                state = current.status if current else "DELETE_COMPLETE"
                raise invalid(f"Stack:{stack.id} is in {state} state and can not be updated.")
            operation = found.body["operation"]
            if create:
                kept = {key: value for key, value in operation.items() if key != "rollback"}
                failure = "DO_NOTHING" if not rollback else found.body["on_failure"]
                current = current.changed(**kept, on_failure=failure, change_set=found.id)
                set_status(tx, current, "CREATE_IN_PROGRESS", now_ms, identity, "User Initiated")
                store.accept(tx, Operation(stack.id, "create", {}, now_ms))
            else:
                set_status(
                    tx, current.changed(change_set=found.id), "UPDATE_IN_PROGRESS", now_ms, identity, "User Initiated"
                )
                store.accept(tx, Operation(stack.id, "update", {**operation, "rollback": rollback}, now_ms))
            for other in store.change_sets(tx, stack.id):
                store.delete_change_set(tx, other.id)
            done = {**found.body, "execution": "EXECUTE_COMPLETE"}
            store.save_change_set(tx, ChangeSet(found.id, found.stack, found.name, found.created_ms, done))

        await shared.database.write(execute)
        shared.wake()
        return {}


def _changes(stack: Stack, wanted: Wanted, kind: str, shared: Shared) -> list[dict[str, Any]]:
    """By comparing the templates: what is added, modified and removed."""
    new = wanted.template.resources
    old = parse(stack.body["template"], shared.known_types).resources if kind == "UPDATE" else {}
    changed_parameters = {
        name for name, value in wanted.parameters.items() if stack.body.get("parameters", {}).get(name) != value
    }
    changes = []
    for name, resource in new.items():
        one = {"LogicalResourceId": name, "ResourceType": resource.type, "Scope": [], "Details": []}
        if name not in old:
            changes.append({**one, "Action": "Add"})
        elif old[name] != resource or (changed_parameters and _uses(resource.properties, changed_parameters)):
            replacement = "True" if old[name].type != resource.type else "Conditional"
            changes.append({**one, "Action": "Modify", "Replacement": replacement, "Scope": ["Properties"]})
    for name, resource in old.items():
        if name not in new:
            one = {"LogicalResourceId": name, "ResourceType": resource.type, "Scope": [], "Details": []}
            changes.append({**one, "Action": "Remove"})
    return changes


def _uses(value: Any, names: set[str]) -> bool:

    return bool(references(value) & names)


def _outputs_changed(stack: Stack, wanted: Wanted, shared: Shared) -> bool:
    if not stack.body["template"]:
        return True
    old = parse(stack.body["template"], shared.known_types)
    return any(old.part(name) != wanted.template.part(name) for name in ("Outputs", "Conditions", "Mappings"))
