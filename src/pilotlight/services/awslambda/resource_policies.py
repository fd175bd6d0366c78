"""Whole resource policies: the same documents that AddPermission builds statement by statement, put as one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.identity.policies import InvalidPolicy, compile_policy
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.names import Reference, invalid, not_found, raise_no_function, refer, user_error
from pilotlight.services.awslambda.permissions import NO_POLICY, STALE, find_policy, policy_text
from pilotlight.services.awslambda.resolver import find_qualified
from pilotlight.services.awslambda.store import LATEST, Part
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction


class ResourcePolicies:
    """Operations on resource policies by ARN. AWS: `PublicPolicyException` belongs to public access blocks, which
    nobody can set up here."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts

    async def put_resource_policy(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = _refer(caller, "PutResourcePolicy", request)
        document = _read(request["Policy"], reference)
        fresh = self._parts.ids.uuid()
        part = Part(reference.function, "policy", reference.qualifier, fresh, document)
        await self._parts.database.write(_put, reference, part, request.get("RevisionId"))
        return {"Policy": policy_text(part), "RevisionId": fresh}

    async def get_resource_policy(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = _refer(caller, "GetResourcePolicy", request)
        part = await self._parts.database.read(find_policy, reference)
        if part is None:
            raise not_found(NO_POLICY)
        return {"Policy": policy_text(part), "RevisionId": part.revision}

    async def delete_resource_policy(self, caller: Caller, request: Mapping[str, Any]) -> None:
        reference = _refer(caller, "DeleteResourcePolicy", request)
        await self._parts.database.write(_delete, reference, request.get("RevisionId"))


def _refer(caller: Caller, operation: str, request: Mapping[str, Any]) -> Reference:
    arn = request["ResourceArn"]
    if ":runtime/" in arn:
        raise NotImplementedHere(f"{operation} of a runtime")
    reference = refer(caller, arn)
    if reference.qualifier == LATEST:
        raise invalid("We currently do not support adding policies for $LATEST.")
    return reference


def _read(text: str, reference: Reference) -> dict[str, Any]:
    """The document, with a statement id for each statement, so that RemovePermission can name it."""
    try:
        document = json.loads(text)
        compile_policy(text)
        statements = document["Statement"]
        statements = statements if isinstance(statements, list) else [statements]
        resources = {one["Resource"] for one in statements}
        if any("Principal" not in one for one in statements):
            raise ValueError("a statement without a principal")
    except (InvalidPolicy, ValueError, KeyError, TypeError) as error:
        raise invalid(f"The policy is not valid: {error}") from None
    if resources - {reference.arn}:
        raise invalid(f"The policy must name {reference.arn} as the resource of each of its statements.")
    named = [{"Sid": f"statement-{number}", **one} for number, one in enumerate(statements, 1)]
    return {"Statement": named, **{key: document[key] for key in ("Version", "Id") if key in document}}


def _check(tx: Transaction, reference: Reference, revision: str | None) -> Part | None:
    if find_qualified(tx, reference) is None:
        raise_no_function(reference)
    part = find_policy(tx, reference)
    if revision and (part is None or part.revision != revision):
        raise user_error("PreconditionFailedException", STALE, status=412)
    return part


def _put(tx: Transaction, reference: Reference, part: Part, revision: str | None) -> None:
    _check(tx, reference, revision)
    store.save_part(tx, part)


def _delete(tx: Transaction, reference: Reference, revision: str | None) -> None:
    if _check(tx, reference, revision) is None:
        raise not_found(NO_POLICY)
    store.delete_part(tx, reference.function, "policy", reference.qualifier)
