"""A `serverless.yml` as values: read, resolved, checked, with the framework's defaults.

Whatever this file does not name is refused by name, so that nothing is accepted and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pilotlight.deploy.serverless.variables import MISSING, Source, Variables
from pilotlight.services.cloudformation.template import TemplateLoader

NAMES = ("serverless.yml", "serverless.yaml")
TOP = {
    "service", "frameworkVersion", "configValidationMode", "provider", "functions", "custom", "package", "params",
    "resources", "layers", "useDotenv", "disabledDeprecations", "deprecationNotificationMode", "org", "app", "plugins",
    "outputs", "variablesResolutionMode",
}  # fmt: skip
PROVIDER = {
    "name", "runtime", "region", "stage", "memorySize", "timeout", "architecture", "environment", "iam", "stackName",
    "iamRoleStatements", "httpApi", "tags", "stackTags", "logRetentionInDays", "versionFunctions", "tracing", "layers",
    "deploymentMethod", "lambdaHashingVersion", "logs", "deploymentBucket", "ephemeralStorageSize", "profile",
}  # fmt: skip
FUNCTION = {
    "handler", "name", "description", "runtime", "memorySize", "timeout", "architecture", "environment", "events",
    "reservedConcurrency", "provisionedConcurrency", "layers", "tags", "package", "role", "ephemeralStorageSize",
    "logRetentionInDays", "disableLogs", "dependsOn", "condition", "tracing", "versionFunction", "url",
    "durableConfig", "onError", "destinations", "maximumRetryAttempts", "maximumEventAge",
}  # fmt: skip
MEMORY_MB = 1024
TIMEOUT_SECONDS = 6


class ServiceError(Exception):
    """The document is not one that can be deployed; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    key: str
    name: str
    handler: str
    runtime: str
    memory_mb: int
    timeout_seconds: int
    architecture: str
    environment: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    layers: Sequence[Any]
    settings: Mapping[str, Any]
    """The function's own block, for what has no default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    folder: Path
    name: str
    stage: str
    region: str
    provider: Mapping[str, Any]
    functions: Sequence[Function]
    package: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stack_name(self) -> str:
        return str(self.provider.get("stackName") or f"{self.name}-{self.stage}")


def find_document(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).exists():
            return folder / name
    for name in ("serverless.ts", "serverless.js", "serverless.json"):
        if (folder / name).exists():
            raise ServiceError(f"{name} is not supported; write the service as serverless.yml")
    raise ServiceError(f"{folder} has no serverless.yml. Give the folder of a service: pilotlight deploy DIR")


def load(
    folder: Path,
    *,
    options: Mapping[str, str],
    environment: Mapping[str, str],
    sources: Mapping[str, Source] | None = None,
) -> ServiceDefinition:
    """`options` are `--stage`, `--region` and `--param key=value` (as `param.key`); raises ServiceError or
    VariableError. `sources` add what needs a cloud to ask: `cf`, `aws`, `ssm` …"""
    path = find_document(folder)
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=TemplateLoader)
    except yaml.YAMLError as error:
        raise ServiceError(f"{path.name} is not valid YAML: {error}") from None
    if not isinstance(document, Mapping) or "service" not in document or "provider" not in document:
        raise ServiceError(f"{path.name} must have 'service' and 'provider'")
    stage, region = _stage_and_region(document, options, environment, folder)
    variables = Variables(document, _sources(document, options, environment, stage, sources or {}), folder)
    resolved = variables.resolve({key: value for key, value in document.items() if key != "params"})
    return _definition(resolved, folder, stage, region)


def _sources(
    document: Mapping[str, Any],
    options: Mapping[str, str],
    environment: Mapping[str, str],
    stage: str,
    further: Mapping[str, Source],
) -> dict[str, Source]:
    given = document.get("params") or {}
    parameters = {**given.get("default", {}), **given.get(stage, {})}
    parameters |= {key.removeprefix("param."): value for key, value in options.items() if key.startswith("param.")}
    own = {"stage": stage, "instanceId": "local"}
    return {
        "opt": lambda _, address: options.get(address, MISSING),
        "env": lambda _, address: environment.get(address, MISSING),
        "sls": lambda _, address: own.get(address, MISSING),
        "param": lambda _, address: parameters.get(address, MISSING),
        **further,
    }


def _stage_and_region(
    document: Mapping[str, Any], options: Mapping[str, str], environment: Mapping[str, str], folder: Path
) -> tuple[str, str]:
    """Known before everything else, since variables use them."""
    provider = document["provider"] if isinstance(document["provider"], Mapping) else {}
    plain = Variables(document, _sources(document, options, environment, options.get("stage", "dev"), {}), folder)
    stage = options.get("stage") or str(plain.resolve(provider.get("stage", "dev"), "provider.stage"))
    plain = Variables(document, _sources(document, options, environment, stage, {}), folder)
    region = options.get("region") or str(plain.resolve(provider.get("region", "us-east-1"), "provider.region"))
    return stage, region


def _definition(document: Mapping[str, Any], folder: Path, stage: str, region: str) -> ServiceDefinition:
    _only(document, TOP, "serverless.yml")
    provider = document["provider"]
    if not isinstance(provider, Mapping):
        provider = {"name": provider}
    _only(provider, PROVIDER, "provider")
    if provider.get("name") != "aws":
        raise ServiceError(f"provider.name is {provider.get('name')!r}: only 'aws' is supported")
    if document.get("plugins"):
        names = document["plugins"] if isinstance(document["plugins"], list) else ["plugins"]
        raise ServiceError(f"plugins are not run, and this service names {', '.join(map(str, names))}; remove them")
    if (provider.get("deploymentBucket") or {}) != {}:
        raise ServiceError("provider.deploymentBucket is not supported: the stack makes its own bucket")
    name = document["service"]["name"] if isinstance(document["service"], Mapping) else document["service"]
    functions = document.get("functions") or {}
    if isinstance(functions, list):
        functions = {key: value for part in functions for key, value in part.items()}
    return ServiceDefinition(
        folder=folder,
        name=str(name),
        stage=stage,
        region=region,
        provider=provider,
        functions=[_function(key, block, provider, f"{name}-{stage}") for key, block in functions.items()],
        package=document.get("package") or {},
        resources=_resources(document.get("resources")),
        layers=document.get("layers") or {},
    )


def _function(key: str, block: Any, provider: Mapping[str, Any], prefix: str) -> Function:
    if not isinstance(block, Mapping) or not block.get("handler"):
        raise ServiceError(f"functions.{key} has no handler; container images are not supported yet")
    _only(block, FUNCTION, f"functions.{key}")
    runtime = block.get("runtime") or provider.get("runtime")
    if not runtime:
        raise ServiceError(f"functions.{key} has no runtime, and provider.runtime is not set")
    return Function(
        key=key,
        name=str(block.get("name") or f"{prefix}-{key}"),
        handler=str(block["handler"]),
        runtime=str(runtime),
        memory_mb=int(block.get("memorySize") or provider.get("memorySize") or MEMORY_MB),
        timeout_seconds=int(block.get("timeout") or provider.get("timeout") or TIMEOUT_SECONDS),
        architecture=str(block.get("architecture") or provider.get("architecture") or ""),
        environment={**(provider.get("environment") or {}), **(block.get("environment") or {})},
        events=[{"httpApi": "*"} if event == "httpApi" else event for event in block.get("events") or []],
        layers=block.get("layers") or provider.get("layers") or [],
        settings=block,
    )


def _resources(value: Any) -> dict[str, Any]:
    """A list of blocks is merged, as the framework does."""
    blocks = value if isinstance(value, list) else [value or {}]
    merged: dict[str, Any] = {}
    for block in blocks:
        for section, content in (block or {}).items():
            if section == "extensions":
                raise ServiceError("resources.extensions is not supported")
            if isinstance(content, Mapping):
                merged[section] = {**merged.get(section, {}), **content}
            else:
                merged[section] = content
    return merged


def _only(block: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(block) - known)
    if unknown:
        raise ServiceError(f"{where}: {', '.join(unknown)} is not supported")
