"""Operations on stacks: accepted here, carried out by `deploy/executor.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.cloudformation import requests, store
from pilotlight.services.cloudformation.requests import Wanted
from pilotlight.services.cloudformation.store import Operation, Stack, StackResource
from pilotlight.services.cloudformation.template import invalid, parse, required_capabilities
from pilotlight.services.contract import Cloud
from pilotlight.storage import Database, Transaction

Request = Mapping[str, Any]
EVENTS_PAGE = 100
UPDATABLE = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    # AWS: what failed and was kept, with DisableRollback, can be updated.
    "CREATE_FAILED",
    "UPDATE_FAILED",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)
BEGINNING = 1 << 62


def missing(name: str) -> AwsError:
    return invalid(f"Stack with id {name} does not exist")


def event_body(
    stack: Stack,
    *,
    identity: str,
    logical_id: str,
    physical_id: str,
    kind: str,
    status: str,
    now_ms: int,
    reason: str = "",
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "EventId": identity,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": kind,
        "ResourceStatus": status,
        "Timestamp": now_ms,
    }
    if reason:
        body["ResourceStatusReason"] = reason
    if properties is not None:
        body["ResourceProperties"] = json.dumps(properties)
    if stack.body.get("client_token"):
        body["ClientRequestToken"] = stack.body["client_token"]
    return body


def set_status(tx: Transaction, stack: Stack, status: str, now_ms: int, identity: str, reason: str = "") -> Stack:
    """A stack's new status, and the event that tells of it."""
    changed = replace(stack, status=status, body={**stack.body, "reason": reason})
    store.save_stack(tx, changed)
    store.add_event(
        tx,
        stack.id,
        event_body(
            changed,
            identity=identity,
            logical_id=stack.name,
            physical_id=stack.id,
            kind="AWS::CloudFormation::Stack",
            status=status,
            now_ms=now_ms,
            reason=reason,
        ),
    )
    return changed


class Shared:
    """What the nouns of this service have in common."""

    def __init__(
        self,
        database: Database,
        cloud: Cloud,
        clock: Clock,
        ids: Ids,
        *,
        known_types: Collection[str],
        wake: Callable[[], None],
    ) -> None:
        self.database = database
        self.cloud = cloud
        self.clock = clock
        self.ids = ids
        self.known_types = known_types
        self.wake = wake

    def stack_id(self, caller: Caller, name: str) -> str:
        return f"arn:aws:cloudformation:{caller.region}:{caller.account}:stack/{name}/{self.ids.uuid()}"

    async def find(self, caller: Caller, name: str) -> Stack:
        stack = await self.database.read(store.find_stack, name, account=caller.account, region=caller.region)
        if stack is None:
            raise missing(name)
        return stack

    async def wanted(self, caller: Caller, request: Request, stack: Stack | None) -> Wanted:
        previous = stack.body.get("parameters", {}) if stack else {}
        if request.get("UsePreviousTemplate") and stack is not None:
            text = stack.body["template"]
        else:
            text = await requests.template_text(self.cloud, caller, request)
        return requests.wanted(text, request, previous, self.known_types)


def fresh_stack(
    shared: Shared, caller: Caller, name: str, request: Request, status: str, wanted: Wanted | None
) -> Stack:
    role = request.get("RoleARN", "")
    body = {
        "template": wanted.text if wanted else "",
        "parameters": wanted.parameters if wanted else {},
        "shown_parameters": wanted.given if wanted else [],
        "tags": requests.tags_of(request),
        "capabilities": list(request.get("Capabilities", [])),
        "description": str(wanted.template.body.get("Description", "")) if wanted else "",
        "role": role,
        "caller": requests.keep_caller(caller, role),
        "client_token": request.get("ClientRequestToken", ""),
        "termination_protection": bool(request.get("EnableTerminationProtection", False)),
        "on_failure": "DO_NOTHING" if request.get("DisableRollback") else request.get("OnFailure", "ROLLBACK"),
        "timeout_minutes": request.get("TimeoutInMinutes", 0),
        "outputs": [],
        "reason": "",
    }
    return Stack(
        shared.stack_id(caller, name), caller.account, caller.region, name, 1, status, shared.clock.now_ms(), body
    )


def update_operation(stack: Stack, wanted: Wanted, request: Request, caller: Caller, now_ms: int) -> Operation:
    role = request.get("RoleARN") or stack.body["role"]
    body = {
        "template": wanted.text,
        "parameters": wanted.parameters,
        "shown_parameters": wanted.given,
        "tags": requests.tags_of(request) if "Tags" in request else stack.body["tags"],
        "capabilities": list(request.get("Capabilities", stack.body["capabilities"])),
        "description": str(wanted.template.body.get("Description", "")),
        "role": role,
        "caller": requests.keep_caller(caller, role),
        "rollback": not request.get("DisableRollback", False),
    }
    return Operation(stack.id, "update", body, now_ms)


class Stacks:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def create_stack(self, caller: Caller, request: Request) -> dict[str, Any]:
        shared, name = self._shared, request["StackName"]
        requests.check_name(name)
        if request.get("RetainExceptOnCreate"):
            raise NotImplementedHere("CreateStack with RetainExceptOnCreate")
        wanted = await shared.wanted(caller, request, None)
        stack = fresh_stack(shared, caller, name, request, "CREATE_IN_PROGRESS", wanted)
        identity = shared.ids.uuid()

        def create(tx: Transaction) -> Stack:
            old = store.find_stack(tx, name, account=caller.account, region=caller.region)
            if old is not None:
                token = request.get("ClientRequestToken", "")
                if token and old.body.get("client_token") == token:
                    return old
                raise AwsError("AlreadyExistsException", f"Stack [{name}] already exists")
            set_status(tx, stack, "CREATE_IN_PROGRESS", stack.created_ms, identity, "User Initiated")
            store.accept(tx, Operation(stack.id, "create", {}, stack.created_ms))
            return stack

        made = await shared.database.write(create)
        shared.wake()
        return {"StackId": made.id}

    async def update_stack(self, caller: Caller, request: Request) -> dict[str, Any]:
        shared = self._shared
        stack = await shared.find(caller, request["StackName"])
        wanted = await shared.wanted(caller, request, stack)
        if stack.status not in UPDATABLE:
            raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        same = (
            wanted.template.body == parse(stack.body["template"], shared.known_types).body
            and wanted.parameters == stack.body["parameters"]
            and ("Tags" not in request or requests.tags_of(request) == stack.body["tags"])
        )
        if same:
            raise invalid("No updates are to be performed.")
        operation = update_operation(stack, wanted, request, caller, shared.clock.now_ms())
        await self._begin(stack, operation, "UPDATE_IN_PROGRESS")
        return {"StackId": stack.id}

    async def _begin(self, stack: Stack, operation: Operation, status: str) -> None:
        shared, identity = self._shared, self._shared.ids.uuid()

        def begin(tx: Transaction) -> None:
            current = store.stack_by_id(tx, stack.id)
            if current is None or current.status.endswith("IN_PROGRESS"):
                state = current.status if current else "DELETE_COMPLETE"
                raise invalid(f"Stack:{stack.id} is in {state} state and can not be updated.")
            set_status(tx, current, status, operation.created_ms, identity, "User Initiated")
            store.accept(tx, operation)

        await shared.database.write(begin)
        shared.wake()

    async def delete_stack(self, caller: Caller, request: Request) -> None:
        shared, now_ms, identity = self._shared, self._shared.clock.now_ms(), self._shared.ids.uuid()
        if request.get("DeletionMode", "STANDARD") != "STANDARD":
            raise NotImplementedHere("DeleteStack with DeletionMode")
        retain = list(request.get("RetainResources", []))

        def begin(tx: Transaction) -> None:
            stack = store.find_stack(tx, request["StackName"], account=caller.account, region=caller.region)
            if stack is None or not stack.live:
                return  # AWS: deleting what is not there succeeds
            if stack.body["termination_protection"]:
                raise invalid(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
            if stack.status.endswith("IN_PROGRESS") and stack.status not in (
                "REVIEW_IN_PROGRESS",
                "CREATE_IN_PROGRESS",
            ):
                if stack.status == "DELETE_IN_PROGRESS":
                    return
                raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be deleted.")
            if retain and stack.status != "DELETE_FAILED":
                raise invalid("Invalid operation on stack. RetainResources is only for stacks in DELETE_FAILED")
            for name, (owner, _) in store.exports(tx, account=stack.account, region=stack.region).items():
                users = (
                    store.importers(tx, name, account=stack.account, region=stack.region) if owner == stack.id else []
                )
                if users:
                    raise invalid(f"Export {name} cannot be deleted as it is in use by {', '.join(users)}")
            role = request.get("RoleARN") or stack.body["role"]
            stack = stack.changed(caller=requests.keep_caller(caller, role))
            set_status(tx, stack, "DELETE_IN_PROGRESS", now_ms, identity, "User Initiated")
            store.accept(tx, Operation(stack.id, "delete", {"retain": retain}, now_ms))

        await shared.database.write(begin)
        shared.wake()

    async def continue_update_rollback(self, caller: Caller, request: Request) -> dict[str, Any]:
        stack = await self._shared.find(caller, request["StackName"])
        if request.get("ResourcesToSkip"):
            raise NotImplementedHere("ContinueUpdateRollback with ResourcesToSkip")
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not continue a rollback.")
        operation = Operation(stack.id, "rollback", {}, self._shared.clock.now_ms())
        await self._begin(stack, operation, "UPDATE_ROLLBACK_IN_PROGRESS")
        return {}

    async def update_termination_protection(self, caller: Caller, request: Request) -> dict[str, Any]:
        stack = await self._shared.find(caller, request["StackName"])

        def update(tx: Transaction) -> None:
            current = store.stack_by_id(tx, stack.id)
            if current is not None:
                protection = bool(request["EnableTerminationProtection"])
                store.save_stack(tx, current.changed(termination_protection=protection))

        await self._shared.database.write(update)
        return {"StackId": stack.id}


class Descriptions:
    """Reading stacks, resources, events, templates and exports."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def describe_stacks(self, caller: Caller, request: Request) -> dict[str, Any]:
        if "StackName" in request:
            return {"Stacks": [describe(await self._shared.find(caller, request["StackName"]))]}
        stacks = await self._shared.database.read(
            store.list_stacks, account=caller.account, region=caller.region, live_only=True
        )
        return {"Stacks": [describe(stack) for stack in stacks]}

    async def list_stacks(self, caller: Caller, request: Request) -> dict[str, Any]:
        wanted = request.get("StackStatusFilter")
        stacks = await self._shared.database.read(
            store.list_stacks, account=caller.account, region=caller.region, live_only=False
        )
        found = [stack for stack in stacks if not wanted or stack.status in wanted]
        return {"StackSummaries": [_summary(stack) for stack in found]}

    async def describe_stack_events(self, caller: Caller, request: Request) -> dict[str, Any]:
        stack = await self._shared.find(caller, request["StackName"])
        before = int(request.get("NextToken", BEGINNING))
        rows = await self._shared.database.read(store.events, stack.id, before=before, limit=EVENTS_PAGE + 1)
        result: dict[str, Any] = {
            "StackEvents": [
                {**body, "StackId": stack.id, "StackName": stack.name, "Timestamp": moment(body["Timestamp"])}
                for _, body in rows[:EVENTS_PAGE]
            ]
        }
        if len(rows) > EVENTS_PAGE:
            result["NextToken"] = str(rows[EVENTS_PAGE - 1][0])
        return result

    async def _resources(self, caller: Caller, name: str) -> tuple[Stack, list[StackResource]]:
        stack = await self._shared.find(caller, name)
        rows = await self._shared.database.read(store.resources, stack.id)
        newest = {row.logical_id: row for row in rows}
        return stack, list(newest.values())

    async def describe_stack_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        stack, rows = await self._resources(caller, request["StackName"])
        for row in rows:
            if row.logical_id == request["LogicalResourceId"]:
                detail = _resource(stack, row)
                detail["LastUpdatedTimestamp"] = detail.pop("Timestamp")
                return {"StackResourceDetail": {**detail, "Metadata": "{}"}}
        raise invalid(f"Resource {request['LogicalResourceId']} does not exist for stack {stack.name}")

    async def describe_stack_resources(self, caller: Caller, request: Request) -> dict[str, Any]:
        if "StackName" not in request:
            raise NotImplementedHere("DescribeStackResources by PhysicalResourceId")
        stack, rows = await self._resources(caller, request["StackName"])
        wanted = request.get("LogicalResourceId")
        found = [_resource(stack, row) for row in rows if wanted in (None, row.logical_id)]
        return {"StackResources": found}

    async def list_stack_resources(self, caller: Caller, request: Request) -> dict[str, Any]:
        stack, rows = await self._resources(caller, request["StackName"])
        summaries = []
        for row in rows:
            one = _resource(stack, row)
            one["LastUpdatedTimestamp"] = one.pop("Timestamp")
            summaries.append({key: one[key] for key in one if key not in ("StackId", "StackName")})
        return {"StackResourceSummaries": summaries}

    async def get_template(self, caller: Caller, request: Request) -> dict[str, Any]:
        if "ChangeSetName" in request:
            raise NotImplementedHere("GetTemplate with ChangeSetName")
        stack = await self._shared.find(caller, request["StackName"])
        return {"TemplateBody": stack.body["template"], "StagesAvailable": ["Original", "Processed"]}

    async def get_template_summary(self, caller: Caller, request: Request) -> dict[str, Any]:
        if "StackName" in request:
            text = (await self._shared.find(caller, request["StackName"])).body["template"]
        else:
            text = await requests.template_text(self._shared.cloud, caller, request)
        summary = _template_summary(text, self._shared.known_types)
        template = parse(text, self._shared.known_types)
        types = sorted({one.type for one in template.resources.values()})
        return {**summary, "ResourceTypes": types, "Version": "2010-09-09"}

    async def validate_template(self, caller: Caller, request: Request) -> dict[str, Any]:
        text = await requests.template_text(self._shared.cloud, caller, request)
        summary = _template_summary(text, self._shared.known_types)
        keys = ("ParameterKey", "DefaultValue", "NoEcho", "Description")
        summary["Parameters"] = [{key: one[key] for key in keys if key in one} for one in summary["Parameters"]]
        return summary

    async def list_exports(self, caller: Caller, request: Request) -> dict[str, Any]:
        found = await self._shared.database.read(store.exports, account=caller.account, region=caller.region)
        return {
            "Exports": [
                {"ExportingStackId": stack, "Name": name, "Value": value} for name, (stack, value) in found.items()
            ]
        }

    async def list_imports(self, caller: Caller, request: Request) -> dict[str, Any]:
        name = request["ExportName"]
        users = await self._shared.database.read(store.importers, name, account=caller.account, region=caller.region)
        if not users:
            raise invalid(f"Export '{name}' is not imported by any stack.")
        return {"Imports": users}

    async def describe_account_limits(self, caller: Caller, request: Request) -> dict[str, Any]:
        return {"AccountLimits": [{"Name": "StackLimit", "Value": 2000}, {"Name": "StackOutputsLimit", "Value": 200}]}


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def describe(stack: Stack) -> dict[str, Any]:
    body = stack.body
    result: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": moment(stack.created_ms),
        "StackStatus": stack.status,
        "DisableRollback": body["on_failure"] == "DO_NOTHING",
        "NotificationARNs": [],
        "Parameters": body["shown_parameters"],
        "Capabilities": body["capabilities"],
        "Outputs": body["outputs"],
        "Tags": body["tags"],
        "EnableTerminationProtection": body["termination_protection"],
        "RollbackConfiguration": {},
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    optional = {
        "Description": body["description"],
        "RoleARN": body["role"],
        "StackStatusReason": body["reason"],
        "ChangeSetId": body.get("change_set", ""),
        "TimeoutInMinutes": body.get("timeout_minutes", 0),
    }
    result |= {key: value for key, value in optional.items() if value}
    for key, name in (("updated_ms", "LastUpdatedTime"), ("deleted_ms", "DeletionTime")):
        if key in body:
            result[name] = moment(body[key])
    return result


def _summary(stack: Stack) -> dict[str, Any]:
    whole = describe(stack)
    keys = (
        "StackId",
        "StackName",
        "CreationTime",
        "LastUpdatedTime",
        "DeletionTime",
        "StackStatus",
        "StackStatusReason",
    )
    summary = {key: whole[key] for key in keys if key in whole}
    if stack.body["description"]:
        summary["TemplateDescription"] = stack.body["description"]
    return {**summary, "DriftInformation": whole["DriftInformation"]}


def _resource(stack: Stack, row: StackResource) -> dict[str, Any]:
    result: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "LogicalResourceId": row.logical_id,
        "PhysicalResourceId": row.physical_id,
        "ResourceType": row.type,
        "Timestamp": moment(row.changed_ms),
        "ResourceStatus": row.status,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }
    if row.body.get("reason"):
        result["ResourceStatusReason"] = row.body["reason"]
    return result


def _template_summary(text: str, known_types: Collection[str]) -> dict[str, Any]:
    template = parse(text, known_types)
    needed = required_capabilities(template)
    parameters = []
    for name, declared in template.parameters.items():
        one: dict[str, Any] = {
            "ParameterKey": name,
            "ParameterType": declared.get("Type", "String"),
            "NoEcho": str(declared.get("NoEcho", "false")).lower() == "true",
        }
        if "Default" in declared:
            one["DefaultValue"] = str(declared["Default"])
        if "Description" in declared:
            one["Description"] = declared["Description"]
        parameters.append(one)
    result: dict[str, Any] = {"Parameters": parameters, "Description": str(template.body.get("Description", ""))}
    if needed:
        result["Capabilities"] = needed
        kinds = sorted({one.type for one in template.resources.values() if one.type.startswith("AWS::IAM::")})
        result["CapabilitiesReason"] = f"The following resource(s) require capabilities: [{', '.join(kinds)}]"
    return result
