"""Operations on scheduled rules and their targets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.events import schedules, store
from pilotlight.services.events.store import Rule
from pilotlight.storage import Database, Transaction

Request = Mapping[str, Any]
PAGE = 100
TARGETS_MAX = 5
LAMBDA = re.compile(r"^arn:aws:lambda:[a-z0-9-]+:\d{12}:function:.+$")


class Rules:
    """Scheduled rules of the default bus."""

    def __init__(self, database: Database, clock: Clock, wake: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    async def put_rule(self, caller: Caller, request: Request) -> dict[str, Any]:
        _default_bus(request)
        if request.get("EventPattern"):
            raise NotImplementedHere("PutRule with EventPattern")
        if request.get("RoleArn"):
            raise NotImplementedHere("PutRule with RoleArn")
        expression = request.get("ScheduleExpression", "")
        if not expression:
            raise _invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        state = request.get("State", "ENABLED")
        now_ms = self._clock.now_ms()
        fresh = Rule(
            account=caller.account,
            region=caller.region,
            name=request["Name"],
            schedule=expression,
            state=state,
            description=request.get("Description", ""),
            tags={tag["Key"]: tag["Value"] for tag in request.get("Tags", [])},
            next_due_ms=_next(expression, state, now_ms),
        )

        def put(tx: Transaction) -> None:
            old = store.find(tx, fresh.name, account=caller.account, region=caller.region)
            rule = fresh
            if old is not None:
                # AWS: tags of an existing rule are left alone by PutRule.
                rule = replace(rule, tags=old.tags)
                if (old.schedule, old.state) == (rule.schedule, rule.state):
                    rule = replace(rule, next_due_ms=old.next_due_ms)
            store.save(tx, rule)

        await self._database.write(put)
        self._wake()
        return {"RuleArn": fresh.arn}

    async def describe_rule(self, caller: Caller, request: Request) -> dict[str, Any]:
        _default_bus(request)
        rule = await self._database.read(store.find, request["Name"], account=caller.account, region=caller.region)
        return {**_describe(_there(rule, request["Name"])), "CreatedBy": caller.account}

    async def list_rules(self, caller: Caller, request: Request) -> dict[str, Any]:
        _default_bus(request)
        limit = request.get("Limit", PAGE)
        rules = await self._database.read(
            store.list_rules,
            account=caller.account,
            region=caller.region,
            prefix=request.get("NamePrefix", ""),
            after=request.get("NextToken", ""),
            limit=limit + 1,
        )
        result: dict[str, Any] = {"Rules": [_describe(rule) for rule in rules[:limit]]}
        if len(rules) > limit:
            result["NextToken"] = rules[limit - 1].name
        return result

    async def delete_rule(self, caller: Caller, request: Request) -> None:
        _default_bus(request)

        def delete(tx: Transaction) -> None:
            rule = store.find(tx, request["Name"], account=caller.account, region=caller.region)
            if rule is None:
                return
            if store.targets(tx, rule):
                raise _invalid("Rule can't be deleted since it has targets.")
            store.delete(tx, rule)

        await self._database.write(delete)

    async def enable_rule(self, caller: Caller, request: Request) -> None:
        await self._set_state(caller, request, "ENABLED")

    async def disable_rule(self, caller: Caller, request: Request) -> None:
        await self._set_state(caller, request, "DISABLED")

    async def _set_state(self, caller: Caller, request: Request, state: str) -> None:
        _default_bus(request)
        now_ms = self._clock.now_ms()

        def change(tx: Transaction) -> None:
            rule = _there(
                store.find(tx, request["Name"], account=caller.account, region=caller.region), request["Name"]
            )
            if rule.state != state:
                store.save(tx, replace(rule, state=state, next_due_ms=_next(rule.schedule, state, now_ms)))

        await self._database.write(change)
        self._wake()

    async def put_targets(self, caller: Caller, request: Request) -> dict[str, Any]:
        _default_bus(request)
        for target in request["Targets"]:
            _check_target(target)

        def put(tx: Transaction) -> None:
            name = request["Rule"]
            rule = _there(store.find(tx, name, account=caller.account, region=caller.region), name)
            known = {target["Id"] for target in store.targets(tx, rule)}
            if len(known | {target["Id"] for target in request["Targets"]}) > TARGETS_MAX:
                message = f"The requested resource exceeds the maximum number allowed: {TARGETS_MAX} targets a rule."
                raise AwsError("LimitExceededException", message)
            for target in request["Targets"]:
                store.save_target(tx, rule, target)

        await self._database.write(put)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def remove_targets(self, caller: Caller, request: Request) -> dict[str, Any]:
        _default_bus(request)

        def remove(tx: Transaction) -> list[dict[str, str]]:
            name = request["Rule"]
            rule = _there(store.find(tx, name, account=caller.account, region=caller.region), name)
            failed = []
            for identity in request["Ids"]:
                if not store.delete_target(tx, rule, identity):
                    message = f"Target {identity} does not exist on rule {name}."
                    failed.append(
                        {"TargetId": identity, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": message}
                    )
            return failed

        failed = await self._database.write(remove)
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def list_targets_by_rule(self, caller: Caller, request: Request) -> dict[str, Any]:
        _default_bus(request)

        def read(tx: Transaction) -> list[dict[str, Any]]:
            name = request["Rule"]
            return store.targets(tx, _there(store.find(tx, name, account=caller.account, region=caller.region), name))

        return {"Targets": await self._database.read(read)}

    async def list_tags_for_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        name = _tagged(request)
        rule = await self._database.read(store.find, name, account=caller.account, region=caller.region)
        return {"Tags": [{"Key": key, "Value": value} for key, value in _there(rule, name).tags.items()]}

    async def tag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        given = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        await self._change_tags(caller, _tagged(request), lambda tags: {**tags, **given})
        return {}

    async def untag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        gone = set(request["TagKeys"])
        await self._change_tags(
            caller, _tagged(request), lambda tags: {key: tags[key] for key in tags if key not in gone}
        )
        return {}

    async def _change_tags(self, caller: Caller, name: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        def update(tx: Transaction) -> None:
            rule = _there(store.find(tx, name, account=caller.account, region=caller.region), name)
            store.save(tx, replace(rule, tags=change(rule.tags)))

        await self._database.write(update)


def _next(expression: str, state: str, now_ms: int) -> int | None:
    try:
        schedule = schedules.parse(expression)
    except schedules.InvalidSchedule:
        raise _invalid("Parameter ScheduleExpression is not valid.") from None
    return schedule.after(now_ms) if state == "ENABLED" else None


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _there(rule: Rule | None, name: str) -> Rule:
    if rule is None:
        raise AwsError("ResourceNotFoundException", f"Rule {name} does not exist on EventBus default.")
    return rule


def _default_bus(request: Request) -> None:
    bus = request.get("EventBusName", "default")
    if bus != "default" and not bus.endswith(":event-bus/default"):
        raise NotImplementedHere(f"the event bus {bus!r}: only the default bus")


def _check_target(target: Mapping[str, Any]) -> None:
    unknown = sorted(set(target) - {"Id", "Arn", "Input", "InputPath"})
    if unknown:
        raise NotImplementedHere(f"targets with {', '.join(unknown)}")
    if not LAMBDA.match(target["Arn"]):
        raise NotImplementedHere(f"the target {target['Arn']}: only Lambda functions")
    if "Input" in target and "InputPath" in target:
        raise _invalid(f"Only one of Input, InputPath, or InputTransformer must be provided for target {target['Id']}.")
    if target.get("InputPath", "$") not in ("$", "$.detail"):
        raise NotImplementedHere(f"the InputPath {target['InputPath']}: only $ and $.detail")


def _describe(rule: Rule) -> dict[str, Any]:
    described = {
        "Name": rule.name,
        "Arn": rule.arn,
        "State": rule.state,
        "ScheduleExpression": rule.schedule,
        "EventBusName": "default",
    }
    return {**described, "Description": rule.description} if rule.description else described


def _tagged(request: Request) -> str:
    return str(request["ResourceARN"]).partition(":rule/")[2].removeprefix("default/")
