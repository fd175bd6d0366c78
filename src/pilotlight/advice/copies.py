"""A short-lived copy of a function, under a name of its own: measured, and removed with its log."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAME_MAX = 64
DOWNLOAD_SECONDS = 120
ACTIVE_SECONDS = 120
KEPT = ("Role", "Handler", "Runtime", "Timeout", "MemorySize", "Architectures", "EphemeralStorage", "LoggingConfig")
REPORT = re.compile(r"REPORT RequestId: .*")
FIGURE = re.compile(r"(?:^|\t)([A-Z][A-Za-z ]+): ([0-9.]+) (?:ms|MB)")


class Unsuitable(Exception):
    """The function cannot be measured like this; the message says why."""


@dataclass(frozen=True, slots=True)
class Original:
    """A function as it stands, with its code."""

    configuration: Mapping[str, Any]
    package: bytes
    """The zip archive; empty for an image."""
    image: str = ""

    @property
    def runtime(self) -> str:
        return str(self.configuration.get("Runtime", ""))

    @property
    def handler(self) -> str:
        return str(self.configuration.get("Handler", ""))

    @property
    def layers(self) -> list[str]:
        return [layer["Arn"] for layer in self.configuration.get("Layers", [])]

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.configuration.get("Environment", {}).get("Variables", {}))


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation, as its REPORT line tells of it. Times in milliseconds, memory in MB."""

    answer: bytes
    failed: bool
    duration: float
    billed: float
    memory_used: float
    init: float | None
    restore: float | None
    log: str


def read_original(client: Any, function: str, qualifier: str | None = None) -> Original:
    """The function with its code. Raises botocore's ClientError where there is none."""
    found = client.get_function(FunctionName=function, **({"Qualifier": qualifier} if qualifier else {}))
    configuration = found["Configuration"]
    if configuration.get("PackageType") == "Image":
        return Original(configuration, b"", found["Code"]["ImageUri"])
    with urllib.request.urlopen(found["Code"]["Location"], timeout=DOWNLOAD_SECONDS) as answer:
        return Original(configuration, answer.read())


class Copy:
    """The copy, while it exists."""

    def __init__(self, client: Any, name: str, environment: dict[str, str]) -> None:
        self._client = client
        self.name = name
        self._environment = environment
        self._round = 0

    def invoke(self, payload: bytes, qualifier: str = "$LATEST") -> Run:
        answer = self._client.invoke(FunctionName=self.name, Qualifier=qualifier, LogType="Tail", Payload=payload)
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return read_run(answer["Payload"].read(), "FunctionError" in answer, log)

    def start_anew(self) -> None:
        """The next invocation is a cold start: instances do not outlive their configuration."""
        self._round += 1
        self.change(Environment={"Variables": {**self._environment, "PILOTLIGHT_ROUND": str(self._round)}})

    def change(self, **settings: Any) -> None:
        self._client.update_function_configuration(FunctionName=self.name, **settings)
        self._client.get_waiter("function_updated_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": ACTIVE_SECONDS}
        )

    def publish(self) -> str:
        """A new version's number, once it is active."""
        version = str(self._client.publish_version(FunctionName=self.name)["Version"])
        self._client.get_waiter("published_version_active").wait(
            FunctionName=self.name, Qualifier=version, WaiterConfig={"Delay": 1, "MaxAttempts": ACTIVE_SECONDS}
        )
        return version


@contextlib.contextmanager
def copied(
    client: Any, logs: Any, original: Original, purpose: str, *, package: bytes | None = None, **changes: Any
) -> Iterator[Copy]:
    """A copy of `original` with other `package` or settings (of CreateFunction), removed at the end."""
    name = f"{original.configuration['FunctionName'][: NAME_MAX - len(purpose) - 12]}-pilotlight-{purpose}"
    settings = {key: original.configuration[key] for key in KEPT if original.configuration.get(key)}
    settings["LoggingConfig"] = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    environment = {**original.environment, **changes.pop("environment", {})}
    settings |= {"Layers": original.layers} if original.layers else {}
    settings |= {"Environment": {"Variables": environment}} if environment else {}
    code: dict[str, Any] = {"ZipFile": package if package is not None else original.package}
    if original.image:
        code = {"ImageUri": original.image}
        settings |= {"PackageType": "Image"}
        if original.configuration.get("ImageConfigResponse", {}).get("ImageConfig"):
            settings["ImageConfig"] = original.configuration["ImageConfigResponse"]["ImageConfig"]
    remove(client, logs, name)
    client.create_function(FunctionName=name, Code=code, **{**settings, **changes})
    try:
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": ACTIVE_SECONDS}
        )
        yield Copy(client, name, environment)
    finally:
        remove(client, logs, name)


def remove(client: Any, logs: Any, name: str) -> None:
    """Also what a run that was interrupted left."""
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):
        client.delete_function(FunctionName=name)
    with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
        logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")


def read_run(answer: bytes, failed: bool, log: str) -> Run:
    """From the log's last lines. A run without a report has zeros."""
    report = REPORT.search(log)
    figures = {key.strip(): float(value) for key, value in FIGURE.findall(report[0])} if report else {}
    return Run(
        answer=answer,
        failed=failed,
        duration=figures.get("Duration", 0.0),
        billed=figures.get("Billed Duration", 0.0),
        memory_used=figures.get("Max Memory Used", 0.0),
        init=figures.get("Init Duration"),
        restore=figures.get("Restore Duration"),
        log=log,
    )


def told(run: Run) -> dict[str, Any]:
    """The probe's answer. Raises Unsuitable with what went wrong instead."""
    if run.failed:
        raise Unsuitable(f"the function failed: {run.answer.decode(errors='replace')[:2000]}")
    answer = json.loads(run.answer)
    assert isinstance(answer, dict)
    return answer


Progress = Callable[[str], None]
"""Told what is being measured now."""
