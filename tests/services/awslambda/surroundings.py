"""A Lambda service on a database of its own, with an engine that answers from a script."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.clock import Clock
from pilotlight.engine.contract import ContainerImage, FunctionVersion, Invocation, Outcome, ProvisionStatus
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.awslambda import LambdaParts, make_service
from pilotlight.services.awslambda.surroundings import BadPackage, FoundImage, ImageRefused, StoredPackage, Surroundings
from pilotlight.storage import Database

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
ADMINISTRATOR = Caller(account=ACCOUNT, region=REGION, kind="administrator", arn=f"arn:aws:iam::{ACCOUNT}:root")


def package(text: str = "def handler(event, context): return event") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py", (2026, 1, 1, 0, 0, 0)), text)
    return data.getvalue()


class MemoryPackages:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, data: bytes) -> StoredPackage:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                unzipped = sum(entry.file_size for entry in archive.infolist())
        except zipfile.BadZipFile as error:
            raise BadPackage(str(error)) from error
        digest = hashlib.sha256(data)
        self.kept[digest.hexdigest()] = data
        return StoredPackage(digest.hexdigest(), base64.b64encode(digest.digest()).decode(), len(data), unzipped)

    async def read(self, key: str) -> bytes:
        return self.kept[key]

    async def directory(self, key: str) -> Path:
        return Path("/packages") / key


@dataclass
class ScriptedEngine:
    """Answers each invocation with the next of `answers`, the last one for ever."""

    answers: list[Outcome | Exception] = field(default_factory=lambda: [Outcome(payload=b"null")])
    invocations: list[tuple[FunctionVersion, Invocation]] = field(default_factory=list)
    provisioned: dict[str, tuple[str, int]] = field(default_factory=dict)
    retired: list[tuple[str, list[str]]] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        self.invocations.append((version, invocation))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def provision(self, key: str, version: FunctionVersion, count: int) -> None:
        self.provisioned[key] = (version.version, count)

    def provision_status(self, key: str) -> ProvisionStatus:
        _, count = self.provisioned.get(key, ("", 0))
        return ProvisionStatus(requested=count, available=count, allocated=count, status="READY")

    def prepares(self, runtime: str) -> bool:
        return runtime.startswith("nodejs")

    def prepare(self, version: FunctionVersion) -> None:
        self.prepared.append(version.key)

    def snapshot(self, version: FunctionVersion) -> None:
        self.snapshots.append(version.key)

    async def retire(self, arn: str, keep_keys: Sequence[str] = ()) -> None:
        self.retired.append((arn, list(keep_keys)))

    def running(self, group: str) -> int:
        return 0


class TrustedRoles:
    async def may_assume(self, role_arn: str, service: str) -> bool:
        return not role_arn.endswith("role/untrusted")


class Machine:
    """`RuntimeNotes` of a machine that has every runtime but `missing`."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self._known: dict[str, str] = {}

    async def look_for(self, runtime: str) -> None:
        self._known[runtime] = self.missing.get(runtime, "")

    def warning(self, runtime: str) -> str:
        return self._known.get(runtime, "")


class Shelf:
    """A cloud whose only other service is a bucket, and a source of layers."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.layers: dict[str, bytes] = {}
        self.calls: list[tuple[str, str, Mapping[str, Any], Caller]] = []
        self.denied: set[str] = set()
        """Actions that no role is allowed."""
        self.answer: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda params: {}

    async def call(self, service: str, operation: str, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        if operation == "SimulatePrincipalPolicy":
            decisions = {
                action: "implicitDeny" if action in self.denied else "allowed" for action in params["ActionNames"]
            }
            return {"EvaluationResults": [{"EvalActionName": a, "EvalDecision": d} for a, d in decisions.items()]}
        self.calls.append((service, operation, params, caller))
        if operation != "GetObject":
            return self.answer(params)
        found = self.objects.get((params["Bucket"], params["Key"]))
        if found is None:
            raise AwsError("NoSuchKey", "The specified key does not exist.", status=404)
        return {"Body": found}

    async def fetch(self, arn: str, runtime: str) -> bytes | None:
        return self.layers.get(arn)

    def link(self, package: str) -> str:
        return f"http://127.0.0.1/{package}"


@dataclass
class Bench:
    """Everything of a Lambda service under test."""

    parts: LambdaParts
    surroundings: Surroundings
    engine: ScriptedEngine
    shelf: Shelf
    clock: Clock
    database: Database
    wakes: list[str]
    machine: Machine

    async def call(self, operation: str, caller: Caller = ADMINISTRATOR, /, **request: Any) -> Any:
        for noun in self.parts.service.nouns:
            method = getattr(noun, operation, None)
            if method is not None:
                return await method(caller, request)
        raise AssertionError(f"no operation {operation}")

    async def create(self, name: str = "f", **changes: Any) -> Any:
        request = {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": ROLE,
            "Code": {"ZipFile": package()},
            **changes,
        }
        return await self.call("create_function", **request)


class NoImages:
    """An `ImageStore` of a world without container images."""

    async def find(self, uri: str, service: Caller) -> FoundImage:
        raise ImageRefused("ImageDeleted", uri)

    async def pull(self, image: FoundImage, service: Caller) -> None:
        raise ImageRefused("ImageDeleted", image.uri)

    async def root(self, image: FoundImage, service: Caller, config: Mapping[str, Any]) -> ContainerImage:
        raise ImageRefused("ImageDeleted", image.uri)


def build(database: Database, clock: Clock | None = None) -> Bench:
    engine, shelf, wakes = ScriptedEngine(), Shelf(), list[str]()
    clock, machine = clock or Clock(), Machine()
    surroundings = Surroundings(
        database=database,
        cloud=shelf,
        clock=clock,
        ids=Ids(),
        packages=MemoryPackages(),
        images=NoImages(),
        wake_mappings=lambda: wakes.append("mappings"),
        wake_pulls=lambda: wakes.append("pulls"),
        invoker=engine,
        roles=TrustedRoles(),
        runtimes=machine,
        links=shelf,
        layer_source=shelf,
        account_concurrency=1000,
        port=4566,
        wake_delivery=lambda: wakes.append("delivery"),
        wake_durable=lambda: wakes.append("durable"),
        wake_provisioning=lambda: wakes.append("provisioning"),
        spawn=asyncio.ensure_future,
    )
    return Bench(make_service(surroundings), surroundings, engine, shelf, clock, database, wakes, machine)
