"""Who else may invoke: the resource policy of a function, a version or an alias, a document for each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.names import (
    Reference,
    conflict,
    invalid,
    not_found,
    raise_no_function,
    refer,
    user_error,
)
from pilotlight.services.awslambda.resolver import find_qualified
from pilotlight.services.awslambda.store import LATEST, Part
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction

POLICY_BYTES_MAX = 20 * 1024
NO_POLICY = "The resource you requested does not exist."
STALE = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetPolicy API to retrieve the latest Revision Id"
)


class Permissions:
    """Operations on resource policies."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def add_permission(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        if reference.qualifier == LATEST:
            raise invalid("We currently do not support adding policies for $LATEST.")
        if request.get("FunctionUrlAuthType") and request["Action"] != "lambda:InvokeFunctionUrl":
            raise invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
        statement = _statement(reference, request)
        await self._parts.database.write(_add, reference, statement, request.get("RevisionId"), self._parts.ids.uuid())
        return {"Statement": json.dumps(statement, separators=(",", ":"))}

    async def remove_permission(self, caller: Caller, request: Mapping[str, Any]) -> None:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        await self._parts.database.write(
            _remove, reference, request["StatementId"], request.get("RevisionId"), self._parts.ids.uuid()
        )

    async def get_policy(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        part = await self._parts.database.read(find_policy, reference)
        if part is None:
            raise not_found(NO_POLICY)
        return {"Policy": policy_text(part), "RevisionId": part.revision}


def policy_text(part: Part) -> str:
    document = {"Version": "2012-10-17", "Id": "default", **part.body}
    return json.dumps(document, separators=(",", ":"))


def find_policy(tx: Transaction, reference: Reference) -> Part | None:
    qualifier = "" if reference.qualifier == LATEST else reference.qualifier
    return store.find_part(tx, reference.function, "policy", qualifier)


def _statement(reference: Reference, request: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request["Principal"]),
        "Action": request["Action"],
        "Resource": reference.arn,
    }
    condition: dict[str, dict[str, Any]] = {}
    equals = {
        "lambda:FunctionUrlAuthType": request.get("FunctionUrlAuthType"),
        "aws:PrincipalOrgID": request.get("PrincipalOrgID"),
        "AWS:SourceAccount": request.get("SourceAccount"),
        "lambda:EventSourceToken": request.get("EventSourceToken"),
    }
    equals = {key: value for key, value in equals.items() if value}
    if equals:
        condition["StringEquals"] = equals
    if request.get("InvokedViaFunctionUrl") is not None:
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": "true" if request["InvokedViaFunctionUrl"] else "false"}
    if request.get("SourceArn"):
        condition["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    if condition:
        statement["Condition"] = condition
    return statement


def _principal(text: str) -> object:
    if text == "*":
        return "*"
    if re.fullmatch(r"\d{12}", text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if re.match(r"arn:aws[a-z-]*:(iam|sts)::", text):
        return {"AWS": text}
    if re.fullmatch(r"[a-z0-9.\-]+\.amazonaws\.com", text) or re.fullmatch(r"[a-z0-9.\-]+\.amazon\.com", text):
        return {"Service": text}
    raise invalid("The provided principal was invalid. Please check the principal and try again.")


def _check(tx: Transaction, reference: Reference, revision: str | None) -> Part | None:
    version = find_qualified(tx, reference)
    if version is None:
        raise_no_function(reference)
    part = find_policy(tx, reference)
    # Before there is a policy, the revision is the one that GetFunction or GetAlias tells.
    alias = store.find_part(tx, reference.function, "alias", reference.qualifier)
    current = (part or alias or version).revision
    if revision and current != revision:
        raise user_error("PreconditionFailedException", STALE, status=412)
    return part


def _add(tx: Transaction, reference: Reference, statement: dict[str, Any], revision: str | None, fresh: str) -> None:
    part = _check(tx, reference, revision)
    statements = part.body["Statement"] if part else []
    if any(other["Sid"] == statement["Sid"] for other in statements):
        raise conflict(
            f"The statement id ({statement['Sid']}) provided already exists. Please provide a new statement id, "
            "or remove the existing statement."
        )
    body = {**(part.body if part else {}), "Statement": [*statements, statement]}
    changed = Part(reference.function, "policy", reference.qualifier, fresh, body)
    size = len(policy_text(changed).encode())
    if size > POLICY_BYTES_MAX:
        raise user_error(
            "PolicyLengthExceededException",
            f"The final policy size ({size}) is bigger than the limit ({POLICY_BYTES_MAX}).",
        )
    store.save_part(tx, changed)


def _remove(tx: Transaction, reference: Reference, sid: str, revision: str | None, fresh: str) -> None:
    if find_qualified(tx, reference) is None:
        raise not_found("No policy found for: " + reference.arn)
    part = _check(tx, reference, revision)
    if part is None:
        raise not_found("No policy is associated with the given resource.")
    kept = [statement for statement in part.body["Statement"] if statement["Sid"] != sid]
    if len(kept) == len(part.body["Statement"]):
        raise not_found(f"Statement {sid} is not found in resource policy.")
    if not kept:
        store.delete_part(tx, reference.function, "policy", part.id)
        return
    store.save_part(tx, Part(reference.function, "policy", part.id, fresh, {**part.body, "Statement": kept}))
