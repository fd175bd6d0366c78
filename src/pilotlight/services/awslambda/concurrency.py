"""Reserved and provisioned concurrency, and what the account has in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import code, snap_start, store
from pilotlight.services.awslambda.names import (
    Reference,
    invalid,
    not_found,
    number_of,
    raise_no_function,
    refer,
    refer_whole,
    user_error,
)
from pilotlight.services.awslambda.paging import page
from pilotlight.services.awslambda.resolver import Resolver, find_qualified, provisioned_key
from pilotlight.services.awslambda.store import LATEST, Name, Part
from pilotlight.services.awslambda.surroundings import Surroundings, timestamp
from pilotlight.storage import Transaction

UNRESERVED_MIN = 100


class Concurrency:
    """Operations on reserved concurrency, and the account's settings."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def put_function_concurrency(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        wanted: int = request["ReservedConcurrentExecutions"]
        await self._parts.database.write(_reserve, reference, wanted, self._parts.account_concurrency)
        self._resolver.forget()
        return {"ReservedConcurrentExecutions": wanted}

    async def get_function_concurrency(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        function = await self._parts.database.read(store.find_function, reference.function)
        if function is None:
            raise_no_function(reference)
        return {} if function.reserved is None else {"ReservedConcurrentExecutions": function.reserved}

    async def delete_function_concurrency(self, caller: Caller, request: Mapping[str, Any]) -> None:
        reference = refer_whole(caller, request["FunctionName"])
        await self._parts.database.write(_unreserve, reference)
        self._resolver.forget()

    async def get_account_settings(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reserved = await self._parts.database.read(store.reserved_total, caller.account, caller.region)
        used = await self._parts.database.read(store.code_bytes, caller.account, caller.region)
        count = await self._parts.database.read(store.count_functions, caller.account, caller.region)
        total = self._parts.account_concurrency
        return {
            "AccountLimit": {
                "TotalCodeSize": code.STORED_BYTES_MAX,
                "CodeSizeUnzipped": code.UNZIPPED_BYTES_MAX,
                "CodeSizeZipped": code.ZIPPED_BYTES_MAX,
                "ConcurrentExecutions": total,
                "UnreservedConcurrentExecutions": total - reserved,
            },
            "AccountUsage": {"TotalCodeSize": used, "FunctionCount": count},
        }


def _provisioned_total(tx: Transaction, name: Name, *, but: str = "") -> int:
    parts = store.list_parts(tx, name, "provisioned")
    return sum(int(part.body["count"]) for part in parts if part.id != but)


def _reserve(tx: Transaction, reference: Reference, wanted: int, account_concurrency: int) -> None:
    function = store.find_function(tx, reference.function)
    if function is None:
        raise_no_function(reference)
    others = store.reserved_total(tx, function.name.account, function.name.region) - (function.reserved or 0)
    if wanted > 0 and account_concurrency - others - wanted < UNRESERVED_MIN:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{UNRESERVED_MIN}]."
        )
    provisioned = _provisioned_total(tx, function.name)
    if wanted < provisioned:
        raise invalid(
            f"ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned "
            f"concurrency [{provisioned}]."
        )
    store.set_reserved(tx, function.name, wanted)


def _unreserve(tx: Transaction, reference: Reference) -> None:
    if store.find_function(tx, reference.function) is None:
        raise_no_function(reference)
    store.set_reserved(tx, reference.function, None)


class ProvisionedConcurrency:
    """Operations on instances that are kept initialised. What is wanted is a row; a reconciler brings it about."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def put_provisioned_concurrency_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = _qualified(caller, request)
        if reference.qualifier == LATEST:
            raise invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
        body = {
            "count": request["ProvisionedConcurrentExecutions"],
            "modified_ms": self._parts.clock.now_ms(),
        }
        part = Part(reference.function, "provisioned", reference.qualifier, self._parts.ids.uuid(), body)
        await self._parts.database.write(_provision, part, self._parts.account_concurrency)
        self._resolver.forget()
        self._parts.wake_provisioning()
        return {**self._shown(part), "Status": "IN_PROGRESS"}

    async def get_provisioned_concurrency_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = _qualified(caller, request)
        _check_published(reference)
        return self._shown(await self._parts.database.read(_find, reference))

    async def delete_provisioned_concurrency_config(self, caller: Caller, request: Mapping[str, Any]) -> None:
        """AWS: deleting what is not there is no error, while the alias or version must exist."""
        reference = _qualified(caller, request)
        _check_published(reference)
        await self._parts.database.write(_unprovision, reference)
        self._resolver.forget()
        self._parts.wake_provisioning()

    async def list_provisioned_concurrency_configs(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        if await self._parts.database.read(store.find_function, reference.function) is None:
            raise_no_function(reference)
        parts = await self._parts.database.read(store.list_parts, reference.function, "provisioned")
        some, marker = page(parts, request, key=lambda part: part.id)
        listed = [{"FunctionArn": provisioned_key(part.function, part.id), **self._shown(part)} for part in some]
        answer: dict[str, Any] = {"ProvisionedConcurrencyConfigs": listed}
        return {**answer, "NextMarker": marker} if marker else answer

    def _shown(self, part: Part) -> dict[str, Any]:
        status = self._parts.invoker.provision_status(provisioned_key(part.function, part.id))
        wanted = int(part.body["count"])
        seen = status.requested == wanted
        answer: dict[str, Any] = {
            "RequestedProvisionedConcurrentExecutions": wanted,
            "AllocatedProvisionedConcurrentExecutions": status.allocated,
            "AvailableProvisionedConcurrentExecutions": status.available,
            "Status": status.status if seen else "IN_PROGRESS",
            "LastModified": timestamp(part.body["modified_ms"]),
        }
        if seen and status.reason:
            answer["StatusReason"] = status.reason
        return answer


def _qualified(caller: Caller, request: Mapping[str, Any]) -> Reference:
    reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
    if not reference.qualifier:
        raise invalid("The qualifier is missing: name an alias or a version.")
    return reference


def _check_published(reference: Reference) -> None:
    if reference.qualifier == LATEST:
        raise invalid("The function resource provided must be an alias or a published version.")


def _check_exists(tx: Transaction, reference: Reference) -> None:
    if store.find_function(tx, reference.function) is None:
        raise_no_function(Reference(reference.function, ""))
    if find_qualified(tx, reference) is not None:
        return
    if number_of(reference.qualifier) is None:
        raise not_found(f"Cannot find alias arn: {reference.arn}")
    raise_no_function(reference)


def _find(tx: Transaction, reference: Reference) -> Part:
    _check_exists(tx, reference)
    part = store.find_part(tx, reference.function, "provisioned", reference.qualifier)
    if part is None:
        raise user_error(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
            status=404,
        )
    return part


def _provision(tx: Transaction, part: Part, account_concurrency: int) -> None:
    reference = Reference(part.function, part.id)
    _check_exists(tx, reference)
    _check_not_twice(tx, reference)
    snap_start.check_not_provisioned(find_qualified(tx, reference))
    function = store.find_function(tx, part.function)
    assert function is not None
    total = _provisioned_total(tx, part.function, but=part.id) + int(part.body["count"])
    if function.reserved is not None:
        if total > function.reserved:
            raise invalid(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution "
                "for function"
            )
    else:
        reserved = store.reserved_total(tx, part.function.account, part.function.region)
        if account_concurrency - reserved - total < UNRESERVED_MIN:
            raise invalid(
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
                f"its minimum value of [{UNRESERVED_MIN}]."
            )
    store.save_part(tx, part)


def _check_not_twice(tx: Transaction, reference: Reference) -> None:
    """AWS: a version has provisioned concurrency by itself or through one alias, never both."""
    qualifier = reference.qualifier
    if number_of(qualifier) is None:
        alias = store.find_part(tx, reference.function, "alias", qualifier)
        version = alias.body["FunctionVersion"] if alias else ""
        if version == LATEST:
            raise invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
        if store.find_part(tx, reference.function, "provisioned", version):
            raise invalid(
                "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
            )
        return
    for alias in store.list_parts(tx, reference.function, "alias"):
        named = alias.body["FunctionVersion"] == qualifier
        if named and store.find_part(tx, reference.function, "provisioned", alias.id):
            raise invalid("Version is pointed by a Provisioned Concurrency alias")


def _unprovision(tx: Transaction, reference: Reference) -> None:
    _check_exists(tx, reference)
    store.delete_part(tx, reference.function, "provisioned", reference.qualifier)
