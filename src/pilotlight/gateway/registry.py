"""Which method answers which operation: matched once, at start-up.

A service's public methods are spelled as boto3 spells its operations, and that is the whole
registration. A method that fits no operation of the model, or two that fit the same, stop the program.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.protocols.model import ServiceModel, load_model
from pilotlight.services.contract import Guard, Params, Service

Method = Callable[[Caller, Params], Awaitable[Mapping[str, Any] | None]]


class RegistrationError(Exception):
    """A service's methods and AWS's model do not agree: a mistake of ours, found at start-up."""


def snake(operation: str) -> str:
    """As boto3 names the method of an operation: `ListObjectsV2` → `list_objects_v2`."""
    from botocore import xform_name

    name: str = xform_name(operation)
    return name


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered service."""

    name: str
    model: ServiceModel
    guard: Guard
    methods: Mapping[str, Method]
    """By operation name; an operation without one answers 501."""
    signing_names: Sequence[str] = ()


class Registry:
    """Every service of this node, by name, by signing name and by target prefix."""

    def __init__(self, services: Sequence[Service]) -> None:
        self.entries: dict[str, Entry] = {}
        self._by_signing_name: dict[str, Entry] = {}
        self._by_target: dict[str, Entry] = {}
        for service in services:
            self._add(service)

    def _add(self, service: Service) -> None:
        model = load_model(service.name)
        entry = Entry(service.name, model, service.guard, match_methods(service, model), service.signing_names)
        self.entries[service.name] = entry
        for name in (model.signing_name, *service.signing_names):
            self._by_signing_name.setdefault(name, entry)
        self._by_signing_name.setdefault(model.endpoint_prefix, entry)
        if model.target_prefix:
            self._by_target[model.target_prefix] = entry

    def by_name(self, name: str) -> Entry | None:
        return self.entries.get(name)

    def by_signing_name(self, name: str) -> Entry | None:
        return self._by_signing_name.get(name) or self.entries.get(name)

    def by_target(self, target: str) -> Entry | None:
        """`DynamoDB_20120810.PutItem` → DynamoDB."""
        return self._by_target.get(target.rpartition(".")[0])


def match_methods(service: Service, model: ServiceModel) -> dict[str, Method]:
    operations = {snake(operation): operation for operation in model.operations}
    methods: dict[str, Method] = {}
    for noun in service.nouns:
        for name, method in inspect.getmembers(noun, inspect.iscoroutinefunction):
            if name.startswith("_"):
                continue
            operation = operations.get(name)
            if operation is None:
                raise RegistrationError(f"{type(noun).__name__}.{name} is no operation of {service.name}")
            if operation in methods:
                raise RegistrationError(f"{service.name} has two methods for {operation}")
            methods[operation] = method
    return methods
