"""From what a caller named to what the engine runs, without a read on the warm path.

What was read is kept until this process changes anything of Lambda's (`forget`), and for a second at most,
so that another node's changes are seen too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.engine.contract import ContainerImage, FunctionVersion, Limits
from pilotlight.services.awslambda import snap_start, store
from pilotlight.services.awslambda.images import lambda_for
from pilotlight.services.awslambda.names import Reference, conflict, number_of, raise_no_function, user_error
from pilotlight.services.awslambda.store import Function, Name, Part, Version
from pilotlight.services.awslambda.surroundings import FoundImage, ImageRefused, ImageStore, PackageStore, Surroundings
from pilotlight.storage import Database, Transaction

FRESH_SECONDS = 1.0
ENTRIES_MAX = 2000
IMAGE_RUNTIME = "image"
"""What the engine calls the runtime of container images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where an invocation goes."""

    arn: str
    """As the handler's context shows it."""
    version: FunctionVersion
    limits: Limits
    provisioned_key: str = ""
    durable: Mapping[str, int] | None = None
    """Of a durable function, its `DurableConfig`."""
    dead_letter: str = ""
    """ARN of the queue for events that failed for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    primary: Route
    other: Route | None = None
    """The second version of an alias that divides its traffic …"""
    other_weight: float = 0.0
    """… and its share."""
    recursion: str = "Terminate"
    """What is done about loops: `Terminate` or `Allow`."""
    settings: Mapping[str, Any]
    """The event invoke configuration of what was named, or empty."""


@dataclass(frozen=True, slots=True)
class _Rows:
    function: Function
    version: Version
    other: tuple[Version, float] | None
    provisioned: Part | None
    event_invoke: Part | None
    reserved_total: int
    recursion: Part | None


def find_qualified(tx: Transaction, reference: Reference) -> Version | None:
    """The version that a qualifier names; of an alias the one it points to first."""
    number = number_of(reference.qualifier)
    if number is None:
        alias = store.find_part(tx, reference.function, "alias", reference.qualifier)
        if alias is None:
            return None
        number = number_of(alias.body["FunctionVersion"])
        assert number is not None
    return store.find_version(tx, reference.function, number)


def _rows(tx: Transaction, reference: Reference) -> _Rows:
    name, qualifier = reference.function, reference.qualifier
    function, version = store.find_function(tx, name), find_qualified(tx, reference)
    if function is None or version is None:
        raise_no_function(reference)
    other = None
    alias = store.find_part(tx, name, "alias", qualifier) if number_of(qualifier) is None else None
    if alias is not None:
        for number, weight in alias.body["Weights"].items():
            second = store.find_version(tx, name, int(number))
            other = (second, weight) if second is not None else None
    return _Rows(
        function,
        version,
        other,
        store.find_part(tx, name, "provisioned", qualifier) if qualifier else None,
        store.find_part(tx, name, "event_invoke", "" if qualifier == store.LATEST else qualifier),
        store.reserved_total(tx, name.account, name.region),
        store.find_part(tx, name, "recursion", ""),
    )


async def engine_version(packages: PackageStore, images: ImageStore, version: Version) -> FunctionVersion:
    body = version.body
    state = body.get("_states", {}).get("State", "Active")
    if state != "Active":
        raise conflict(
            f"The operation cannot be performed at this time. The function is currently in the following state: {state}"
        )
    image = await _image(images, version) if "_image" in body else None
    logging = body["LoggingConfig"]
    name = version.function
    return FunctionVersion(
        key=f"{name.arn}:{version.version}:{version.revision}",
        arn=name.arn,
        account=name.account,
        region=name.region,
        name=name.name,
        version=version.version,
        runtime=body["Runtime"] if image is None else IMAGE_RUNTIME,
        handler=body.get("Handler", ""),
        code=await packages.directory(body["_package"]) if image is None else image.layers[-1],
        image=image,
        layers=tuple([await packages.directory(key) for key in body.get("_layers", ())]),
        role_arn=body["Role"],
        memory_mb=body["MemorySize"],
        timeout_seconds=body["Timeout"],
        ephemeral_mb=body["EphemeralStorage"]["Size"],
        environment=body.get("Environment", {}).get("Variables", {}),
        architecture=body["Architectures"][0],
        log_group=logging["LogGroup"],
        log_format=logging["LogFormat"],
        application_log_level=logging.get("ApplicationLogLevel", ""),
        system_log_level=logging.get("SystemLogLevel", ""),
        tracing=body["TracingConfig"]["Mode"],
        snap_start=snap_start.wanted(body) and version.number > 0,
        internet="VpcConfig" not in body,
    )


async def get_ready(parts: Surroundings, version: Version) -> None:
    """What its instances start faster with is made now, and nobody waits for it.

    AWS: a version with SnapStart is initialised when it is published."""
    snapshot = version.number and snap_start.wanted(version.body)
    prepares = "_package" in version.body and parts.invoker.prepares(version.body["Runtime"])
    if not snapshot and not prepares:
        return
    made = await engine_version(parts.packages, parts.images, version)
    if prepares:
        parts.invoker.prepare(made)
    if snapshot:
        parts.invoker.snapshot(made)


async def _image(images: ImageStore, version: Version) -> ContainerImage:
    service = lambda_for(version.function)
    try:
        return await images.root(FoundImage(**version.body["_image"]), service, version.body.get("ImageConfig", {}))
    except ImageRefused as error:
        raise user_error("CodeArtifactUserFailedException", f"The image is no longer to be had: {error}") from None


def _dead_letter(version: Version) -> str:
    return str(version.body.get("DeadLetterConfig", {}).get("TargetArn", ""))


def provisioned_key(function: Name, qualifier: str) -> str:
    return f"{function.arn}:{qualifier}"


class Resolver:
    def __init__(
        self,
        database: Database,
        packages: PackageStore,
        images: ImageStore,
        *,
        account_concurrency: int,
        monotonic: Any,
    ) -> None:
        self._database = database
        self._packages = packages
        self._images = images
        self._account_concurrency = account_concurrency
        self._monotonic = monotonic
        self._generation = 0
        self._entries: dict[Reference, tuple[float, Resolved]] = {}

    def forget(self) -> None:
        """Something of Lambda's was changed: read again."""
        self._generation += 1
        self._entries.clear()

    async def resolve(self, reference: Reference) -> Resolved:
        entry = self._entries.get(reference)
        now = self._monotonic()
        if entry is not None and now - entry[0] < FRESH_SECONDS:
            return entry[1]
        generation = self._generation
        rows = await self._database.read(_rows, reference)
        resolved = await self._build(reference, rows)
        if generation == self._generation:  # else it may be older than the change
            if len(self._entries) >= ENTRIES_MAX:
                self._entries.clear()
            self._entries[reference] = (now, resolved)
        return resolved

    async def _build(self, reference: Reference, rows: _Rows) -> Resolved:
        limits = self._limits(rows)
        key = provisioned_key(reference.function, reference.qualifier) if rows.provisioned else ""
        primary = Route(
            arn=reference.arn,
            version=await engine_version(self._packages, self._images, rows.version),
            limits=limits,
            provisioned_key=key,
            durable=rows.version.body.get("DurableConfig"),
            dead_letter=_dead_letter(rows.version),
        )
        settings = rows.event_invoke.body if rows.event_invoke else {}
        recursion = str(rows.recursion.body["RecursiveLoop"]) if rows.recursion else "Terminate"
        if rows.other is None:
            return Resolved(primary=primary, recursion=recursion, settings=settings)
        second = await engine_version(self._packages, self._images, rows.other[0])
        durable = rows.other[0].body.get("DurableConfig")
        letters = _dead_letter(rows.other[0])
        other = Route(arn=reference.arn, version=second, limits=limits, durable=durable, dead_letter=letters)
        return Resolved(
            primary=primary, other=other, other_weight=rows.other[1], recursion=recursion, settings=settings
        )

    def _limits(self, rows: _Rows) -> Limits:
        name = rows.function.name
        if rows.function.reserved is not None:
            return Limits(
                group=name.arn,
                concurrent=rows.function.reserved,
                reason="ReservedFunctionConcurrentInvocationLimitExceeded",
            )
        return Limits(
            group=f"{name.account}:{name.region}",
            concurrent=max(0, self._account_concurrency - rows.reserved_total),
            reason="ConcurrentInvocationLimitExceeded",
        )
