"""What a resource type is to the executor: how it is made, changed and removed, by calls that anyone could make."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Cloud

Properties = Mapping[str, Any]
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Made:
    physical_id: str
    """What `Ref` gives."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What `Fn::GetAtt` gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One resource of one stack, and the caller on whose behalf it is changed."""

    cloud: Cloud
    caller: Caller
    stack_id: str
    stack_name: str
    logical_id: str
    generation: int
    again: bool
    """The step was begun before, by a process that was killed: what is there already may be ours."""
    tags: Mapping[str, str] = field(default_factory=dict)
    claim: Callable[[str], Awaitable[None]] | None = None
    """Writes down the physical id of what was just made, before the rest of its making, which may fail."""

    async def made(self, physical_id: str) -> None:
        if self.claim is not None:
            await self.claim(physical_id)

    async def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return await self.cloud.call(service, operation, params, self.caller)

    def name(self, *, maximum: int = 64, lower: bool = False, separator: str = "-") -> str:
        """`stack-LogicalId-RANDOM12`, the same each time it is asked for."""
        seed = f"{self.stack_id} {self.logical_id} {self.generation}"
        digest = hashlib.sha256(seed.encode()).digest()
        suffix = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:12])
        room = maximum - len(suffix) - 2 * len(separator)
        stack, logical = self.stack_name, self.logical_id
        while len(stack) + len(logical) > room:
            if len(logical) > room // 2:
                logical = logical[: max(room // 2, room - len(stack))]
            else:
                stack = stack[: room - len(logical)]
        name = separator.join((stack, logical, suffix))
        return name.lower() if lower else name

    def token(self, length: int) -> str:
        """Lower-case letters and digits, the same each time."""
        digest = hashlib.sha256(f"{self.stack_id} {self.logical_id} {self.generation} id".encode()).hexdigest()
        return digest[:length]

    def tag_list(self, given: Any = None) -> list[dict[str, str]]:
        """The resource's own tags over the stack's, as `Key`/`Value` pairs."""
        return [{"Key": key, "Value": value} for key, value in self.tag_map(given).items()]

    def tag_map(self, given: Any = None) -> dict[str, str]:
        own = {tag["Key"]: str(tag["Value"]) for tag in given} if isinstance(given, list) else dict(given or {})
        return {**self.tags, **own}


class Named(Protocol):
    """A resource type whose resources have names of their own, which somebody else's may have already."""

    async def find(self, at: Context, properties: Properties) -> str:
        """The physical id of the resource with that name, whoever made it; nothing where there is none."""
        ...


class ResourceType(Protocol):
    """One AWS resource type. Methods raise AwsError for what the service refuses."""

    type: str
    properties: frozenset[str]
    """What is supported; anything else is refused by name."""
    replaced_by: frozenset[str]
    """Properties whose change makes a new resource."""

    async def create(self, at: Context, properties: Properties) -> Made: ...

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made: ...

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None: ...


async def there(at: Context, identity: str, service: str, operation: str, *missing: str, **params: Any) -> str:
    """`identity`, where the describing operation finds it. Who may not look is told by the creation itself."""
    try:
        await at.call(service, operation, **params)
    except AwsError as error:
        if error.code in missing or error.code.startswith("AccessDenied"):
            return ""
        raise
    return identity


async def ignore_missing(at: Context, service: str, operation: str, *codes: str, **params: Any) -> None:
    """A deletion of what may be gone already."""
    try:
        await at.call(service, operation, **params)
    except AwsError as error:
        if error.code not in codes:
            raise


def pick(properties: Properties, *names: str) -> dict[str, Any]:
    """The members that are there."""
    return {name: properties[name] for name in names if name in properties}


def number(value: Any) -> int:
    """CloudFormation takes numbers as text, too."""
    return int(value)


def boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"
