"""AWS::StepFunctions::StateMachine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, there
from pilotlight.errors import AwsError

_SETTINGS = ("LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration")


class StateMachine:
    type = "AWS::StepFunctions::StateMachine"
    properties = frozenset(
        {"DefinitionString", "Definition", "DefinitionSubstitutions", "RoleArn", "StateMachineName", "StateMachineType"}
        | {"Tags", *_SETTINGS}
    )
    replaced_by = frozenset({"StateMachineName", "StateMachineType"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("StateMachineName") or at.name(maximum=80))
        arn = f"arn:aws:states:{at.caller.region}:{at.caller.account}:stateMachine:{name}"
        return await there(
            at, arn, "stepfunctions", "DescribeStateMachine", "StateMachineDoesNotExist", stateMachineArn=arn
        )

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("StateMachineName") or at.name(maximum=80))
        kind = str(properties.get("StateMachineType", "STANDARD"))
        # AWS: asking for the same machine again is answered as the first time, so a repeated step needs no more.
        made = await at.call(
            "stepfunctions",
            "CreateStateMachine",
            name=name,
            type=kind,
            tags=[{"key": key, "value": value} for key, value in at.tag_map(properties.get("Tags")).items()],
            **_request(properties),
        )
        return Made(made["stateMachineArn"], {"Arn": made["stateMachineArn"], "Name": name})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await at.call("stepfunctions", "UpdateStateMachine", stateMachineArn=made.physical_id, **_request(new))
        before, after = at.tag_map(old.get("Tags")), at.tag_map(new.get("Tags"))
        gone = [key for key in before if key not in after]
        if gone:
            await at.call("stepfunctions", "UntagResource", resourceArn=made.physical_id, tagKeys=gone)
        if after:
            tags = [{"key": key, "value": value} for key, value in after.items()]
            await at.call("stepfunctions", "TagResource", resourceArn=made.physical_id, tags=tags)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await at.call("stepfunctions", "DeleteStateMachine", stateMachineArn=physical_id)


def _request(properties: Properties) -> dict[str, Any]:
    if "Definition" in properties:
        definition = json.dumps(properties["Definition"])
    elif "DefinitionString" in properties:
        definition = str(properties["DefinitionString"])
    else:
        raise AwsError("ValidationError", "One of DefinitionString and Definition must be given")
    for name, value in (properties.get("DefinitionSubstitutions") or {}).items():
        definition = definition.replace("${" + name + "}", str(value))
    given = {name: _lowered(properties[name]) for name in _SETTINGS if name in properties}
    return {
        "definition": definition,
        "roleArn": properties["RoleArn"],
        **{name[:1].lower() + name[1:]: value for name, value in given.items()},
    }


def _lowered(value: Any) -> Any:
    """CloudFormation writes these members with a capital letter, the service without."""
    if isinstance(value, Mapping):
        return {name[:1].lower() + name[1:]: _lowered(one) for name, one in value.items()}
    return [_lowered(one) for one in value] if isinstance(value, list) else value


TYPES = (StateMachine(),)
