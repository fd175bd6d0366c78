"""How a function's runtime is updated.

AWS puts new versions of its runtimes under functions by itself, at the function's next update, or not at all. Here
a runtime is what the machine has, and changes when its owner changes it: so the choice is kept and shown, and
`Manual` takes the one version that there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import configuration, store
from pilotlight.services.awslambda.names import Reference, invalid, number_of, raise_no_function, refer
from pilotlight.services.awslambda.resolver import find_qualified
from pilotlight.services.awslambda.store import LATEST, Part
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction


class RuntimeManagement:
    """Operations on runtime management configurations, of `$LATEST` and of published versions."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def get_runtime_management_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = _refer(caller, request)

        def find(tx: Transaction) -> dict[str, Any]:
            if find_qualified(tx, reference) is None:
                raise_no_function(reference)
            part = store.find_part(tx, reference.function, "runtime", reference.qualifier)
            return part.body if part else {"UpdateRuntimeOn": "Auto"}

        return {**await self._parts.database.read(find), "FunctionArn": _with_version(reference)}

    async def put_runtime_management_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = _refer(caller, request)
        body = {"UpdateRuntimeOn": request["UpdateRuntimeOn"]}
        arn = request.get("RuntimeVersionArn")
        if body["UpdateRuntimeOn"] == "Manual":
            if not arn:
                raise invalid("RuntimeVersionArn is required when UpdateRuntimeOn is Manual.")
            body["RuntimeVersionArn"] = arn
        elif arn:
            raise invalid(f"RuntimeVersionArn cannot be given when UpdateRuntimeOn is {body['UpdateRuntimeOn']}.")
        part = Part(reference.function, "runtime", reference.qualifier, self._parts.ids.uuid(), body)
        await self._parts.database.write(_put, reference, part)
        return {**body, "FunctionArn": _with_version(reference)}


def _put(tx: Transaction, reference: Reference, part: Part) -> None:
    version = find_qualified(tx, reference)
    if version is None:
        raise_no_function(reference)
    if version.body["PackageType"] != "Zip":
        raise invalid("Runtime management is not supported for functions created with container images.")
    here, wanted = configuration.runtime_arn(version), part.body.get("RuntimeVersionArn", "")
    if wanted and wanted != here:
        raise invalid(f"The runtime version {wanted} is not available: {version.body['Runtime']} is {here}.")
    store.save_part(tx, part)


def _refer(caller: Caller, request: Mapping[str, Any]) -> Reference:
    reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
    if number_of(reference.qualifier) is None:
        raise invalid("Runtime management is of $LATEST and of published versions; aliases have none.")
    return Reference(reference.function, "" if reference.qualifier == LATEST else reference.qualifier)


def _with_version(reference: Reference) -> str:
    return f"{reference.function.arn}:{reference.qualifier or LATEST}"
