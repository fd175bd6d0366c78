"""The permissions that Lambda's operations need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import layer_store
from pilotlight.services.awslambda.durable.tokens import CallbackId
from pilotlight.services.awslambda.layers import parse_layer, parse_version_arn, policy_text
from pilotlight.services.awslambda.names import Reference, refer
from pilotlight.services.awslambda.permissions import find_policy
from pilotlight.services.awslambda.permissions import policy_text as function_policy_text
from pilotlight.services.contract import Access, Params
from pilotlight.storage import Database
from pilotlight.storage.remembered import Remembered

URL_OPERATIONS = frozenset({"CreateFunctionUrlConfig", "UpdateFunctionUrlConfig"})
INVOKING = frozenset({"Invoke", "InvokeAsync", "InvokeWithResponseStream"})
WITHOUT_RESOURCE = frozenset({"ListFunctions", "ListLayers", "ListLayerVersions", "GetAccountSettings"})
ALIAS_OPERATIONS = frozenset({"CreateAlias", "GetAlias", "UpdateAlias", "DeleteAlias"})
LAYER_VERSION_OPERATIONS = frozenset(
    {"GetLayerVersion", "DeleteLayerVersion", "AddLayerVersionPermission", "RemoveLayerVersionPermission"}
    | {"GetLayerVersionPolicy"}
)
POLICIES_MAX = 4096
LAYER_READS = frozenset({"GetLayerVersion", "GetLayerVersionByArn"})


class LambdaGuard:
    """What each operation needs; the resource policies of functions and layers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._policies: Remembered[Reference, str | None] = Remembered(database, POLICIES_MAX)

    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        if operation in INVOKING:
            return [Access("lambda:InvokeFunction", _function_arn(params, caller))]
        if operation in WITHOUT_RESOURCE:
            return [Access(f"lambda:{operation}", "*")]
        if operation == "GetLayerVersionByArn":
            return [Access("lambda:GetLayerVersion", params["Arn"])]
        if operation in LAYER_VERSION_OPERATIONS:
            arn = f"{parse_layer(caller, params['LayerName']).arn}:{params['VersionNumber']}"
            return [Access(f"lambda:{operation}", arn)]
        if operation == "PublishLayerVersion":
            return [Access("lambda:PublishLayerVersion", parse_layer(caller, params["LayerName"]).arn)]
        if "DurableExecutionArn" in params:
            # AWS: a role names `function:NAME:*`, which covers the executions of the function.
            return [Access(f"lambda:{operation}", params["DurableExecutionArn"])]
        if "CallbackId" in params:
            callback = CallbackId.parse(params["CallbackId"])
            return [Access(f"lambda:{operation}", callback.execution if callback else "*")]
        if "ResourceArn" in params:
            return [Access(f"lambda:{operation}", params["ResourceArn"])]
        if "CodeSigningConfigArn" in params and "FunctionName" not in params:
            return [Access(f"lambda:{operation}", params["CodeSigningConfigArn"])]
        if "Resource" in params:
            return [Access(f"lambda:{operation}", params["Resource"])]
        if operation.endswith("EventSourceMapping"):
            return self._on_mapping(operation, params, caller)
        if "FunctionName" not in params or operation == "ListEventSourceMappings":
            return [Access(f"lambda:{operation}", "*")]
        return self._on_function(operation, params, caller)

    def _on_mapping(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        """AWS: the function is a condition, `lambda:FunctionArn`, of whoever makes or changes one."""
        named = {"lambda:FunctionArn": _function_arn(params, caller)} if params.get("FunctionName") else {}
        uuid = params.get("UUID")
        arn = f"arn:aws:lambda:{caller.region}:{caller.account}:event-source-mapping:{uuid}" if uuid else "*"
        return [Access(f"lambda:{operation}", arn, named)]

    def _on_function(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        arn = _function_arn(params, caller)
        context: dict[str, Any] = {}
        if params.get("Layers"):
            context["lambda:Layer"] = list(params["Layers"])
        if operation == "AddPermission":
            context["lambda:Principal"] = params["Principal"]
        if params.get("AuthType") and operation in URL_OPERATIONS:
            context["lambda:FunctionUrlAuthType"] = params["AuthType"]
        accesses = [Access(f"lambda:{operation}", arn, context)]
        if operation in ("CreateFunction", "UpdateFunctionConfiguration") and params.get("Role"):
            passed = {"iam:PassedToService": "lambda.amazonaws.com"}
            accesses.append(Access("iam:PassRole", params["Role"], passed))
        if operation == "CreateFunction" and params.get("Tags"):
            tags = {f"aws:RequestTag/{key}": value for key, value in params["Tags"].items()}
            accesses.append(Access("lambda:TagResource", arn, {**tags, "aws:TagKeys": list(params["Tags"])}))
        return accesses

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        if access.action.removeprefix("lambda:") in LAYER_READS:
            layer, number = parse_version_arn(access.resource)
            version = await self._database.read(layer_store.find_layer_version, layer, number)
            return policy_text(version) if version is not None and version.policy else None
        if not access.action.startswith("lambda:") or "FunctionName" not in params:
            return None
        reference = refer(caller, params["FunctionName"], params.get("Qualifier"))
        return await self._policies.get(reference, lambda: self._function_policy(reference))

    async def _function_policy(self, reference: Reference) -> str | None:
        part = await self._database.read(find_policy, reference)
        return function_policy_text(part) if part is not None else None


def _function_arn(params: Mapping[str, Any], caller: Caller) -> str:
    return refer(caller, params["FunctionName"], params.get("Qualifier")).arn
