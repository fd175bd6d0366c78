"""Operations on state machines."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.stepfunctions import store
from pilotlight.services.stepfunctions.names import check_arn, check_name, machine_arn, moment, no_machine
from pilotlight.services.stepfunctions.store import StateMachine
from pilotlight.storage import Database, Transaction
from pilotlight.workflows import validation

Request = Mapping[str, Any]
PAGE_DEFAULT = 100
TAGS_MAX = 50
SETTINGS = ("loggingConfiguration", "tracingConfiguration", "encryptionConfiguration")
DEFAULTS: dict[str, Any] = {
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
    "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
}


class StateMachines:
    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def create_state_machine(self, caller: Caller, request: Request) -> dict[str, Any]:
        check_name(request["name"])
        _no_versions("CreateStateMachine", request)
        check_definition(request["definition"])
        now_ms = self._clock.now_ms()
        fresh = StateMachine(
            arn=machine_arn(caller, request["name"]),
            account=caller.account,
            region=caller.region,
            name=request["name"],
            type=request.get("type", "STANDARD"),
            definition=request["definition"],
            role_arn=_role(request["roleArn"]),
            settings={name: request.get(name, DEFAULTS[name]) for name in SETTINGS},
            tags=_tags(request.get("tags", [])),
            created_ms=now_ms,
            updated_ms=now_ms,
            revision="",
        )

        def create(tx: Transaction) -> StateMachine:
            there = store.find_machine(tx, fresh.arn)
            if there is None:
                store.save_machine(tx, fresh)
                return fresh
            # AWS: asking again for the same machine is answered as the first time; tags do not count.
            if replace(fresh, created_ms=there.created_ms, updated_ms=there.updated_ms, tags=there.tags,
                       revision=there.revision) != there:  # fmt: skip
                raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{fresh.arn}'")
            return there

        made = await self._database.write(create)
        return {"stateMachineArn": made.arn, "creationDate": moment(made.created_ms)}

    async def update_state_machine(self, caller: Caller, request: Request) -> dict[str, Any]:
        arn = check_arn(request["stateMachineArn"], "stateMachine", "StateMachineArn")
        _no_versions("UpdateStateMachine", request)
        given = {name: request[name] for name in ("definition", "roleArn", *SETTINGS) if name in request}
        if not given:
            message = (
                "Either the definition, the role ARN, the LoggingConfiguration, the TracingConfiguration or the "
                "EncryptionConfiguration must be specified"
            )
            raise AwsError("MissingRequiredParameter", message)
        if "definition" in given:
            check_definition(given["definition"])
        now_ms, revision = self._clock.now_ms(), self._ids.uuid()

        def update(tx: Transaction) -> None:
            there = store.find_machine(tx, arn)
            if there is None:
                raise no_machine(arn)
            settings = {**there.settings, **{name: given[name] for name in SETTINGS if name in given}}
            store.save_machine(
                tx,
                replace(
                    there,
                    definition=given.get("definition", there.definition),
                    role_arn=_role(given.get("roleArn", there.role_arn)),
                    settings=settings,
                    updated_ms=now_ms,
                    revision=revision,
                ),
            )

        await self._database.write(update)
        return {"updateDate": moment(now_ms), "revisionId": revision}

    async def describe_state_machine(self, caller: Caller, request: Request) -> dict[str, Any]:
        machine = await self._there(check_arn(request["stateMachineArn"], "stateMachine", "StateMachineArn"))
        told = {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.definition,
            "roleArn": machine.role_arn,
            "type": machine.type,
            "creationDate": moment(machine.created_ms),
            **machine.settings,
            **({"revisionId": machine.revision} if machine.revision else {}),
        }
        if request.get("includedData") == "METADATA_ONLY":
            told["definition"] = "{}"
        return told

    async def list_state_machines(self, caller: Caller, request: Request) -> dict[str, Any]:
        limit = request.get("maxResults") or PAGE_DEFAULT
        after = _untoken(request.get("nextToken", ""))
        found = await self._database.read(
            store.list_machines, account=caller.account, region=caller.region, after=after, limit=limit + 1
        )
        told: dict[str, Any] = {
            "stateMachines": [
                {
                    "stateMachineArn": one.arn,
                    "name": one.name,
                    "type": one.type,
                    "creationDate": moment(one.created_ms),
                }
                for one in found[:limit]
            ]
        }
        if len(found) > limit:
            told["nextToken"] = base64.urlsafe_b64encode(found[limit - 1].name.encode()).decode()
        return told

    async def delete_state_machine(self, caller: Caller, request: Request) -> dict[str, Any]:
        # AWS: what is not there is deleted with success. Running executions go on.
        await self._database.write(
            store.delete_machine, check_arn(request["stateMachineArn"], "stateMachine", "StateMachineArn")
        )
        return {}

    async def validate_state_machine_definition(self, caller: Caller, request: Request) -> dict[str, Any]:
        _, findings = validation.parse(request["definition"])
        limit = request.get("maxResults") or PAGE_DEFAULT
        return {
            "result": "FAIL" if findings else "OK",
            "diagnostics": [
                {"severity": "ERROR", "code": one.code, "message": one.message, "location": one.location}
                for one in findings[:limit]
            ],
            "truncated": len(findings) > limit,
        }

    async def tag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        given = _tags(request["tags"])
        await self._change_tags(request["resourceArn"], lambda tags: {**tags, **given})
        return {}

    async def untag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        gone = set(request["tagKeys"])
        await self._change_tags(
            request["resourceArn"], lambda tags: {key: value for key, value in tags.items() if key not in gone}
        )
        return {}

    async def list_tags_for_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        machine = await self._database.read(store.find_machine, request["resourceArn"])
        if machine is None:
            raise _no_resource(request["resourceArn"])
        return {"tags": [{"key": key, "value": value} for key, value in machine.tags.items()]}

    async def _change_tags(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        def update(tx: Transaction) -> None:
            machine = store.find_machine(tx, arn)
            if machine is None:
                raise _no_resource(arn)
            tags = change(machine.tags)
            if len(tags) > TAGS_MAX:
                raise AwsError("TooManyTags", f"'{arn}' would have more than {TAGS_MAX} tags")
            store.save_machine(tx, replace(machine, tags=tags))

        await self._database.write(update)

    async def _there(self, arn: str) -> StateMachine:
        machine = await self._database.read(store.find_machine, arn)
        if machine is None:
            raise no_machine(arn)
        return machine


def check_definition(text: str) -> None:
    _, findings = validation.parse(text)
    wrong = [one for one in findings if not one.lacking]
    if wrong:
        told = ", ".join(map(str, wrong))
        raise AwsError("InvalidDefinition", f"Invalid State Machine Definition: '{told}'")
    if findings:
        raise NotImplementedHere(f"{findings[0].message} (at {findings[0].location} of a state machine's definition)")


def _role(arn: str) -> str:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
        raise AwsError("InvalidArn", f"Invalid Role Arn: '{arn}'")
    return arn


def _no_versions(operation: str, request: Request) -> None:
    if request.get("publish") or request.get("versionDescription"):
        raise NotImplementedHere(f"{operation} with publish: versions of state machines")


def _no_resource(arn: str) -> AwsError:
    return AwsError("ResourceNotFound", f"Resource not found: '{arn}'")


def _tags(given: list[Mapping[str, str]]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in given if "key" in tag}


def _untoken(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'") from None
