"""What an operator may set. Each field's docstring is its documentation; nothing else reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "000000000000"
REGION = "us-east-1"
PORT = 4566


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    data: Path = Path("~/.pilotlight")
    """Directory that holds everything the cloud must remember."""
    host: str = "127.0.0.1"
    """Address to listen on. Any address but loopback requires `iam=enforce`."""
    port: int = PORT
    """Port for http and https; 0 takes a free one, which the `Ready.` line names."""
    iam: str = ""
    """People's keys: `enforce` refuses unknown ones, `audit` allows and records, empty admits any on loopback."""
    isolation: str = "sandbox"
    """`sandbox` runs functions isolated or not at all; `none` runs them as plain processes, and says so everywhere."""
    database: str = ""
    """PostgreSQL connection string; empty means the embedded SQLite in the data directory."""
    idle_seconds: int = 600
    """How long an idle function instance is kept."""
    strict_runtimes: bool = False
    """Refuse a function whose exact interpreter is missing, rather than run it on the nearest newer one."""
    egress: bool = True
    """Functions may reach the internet. The host's own and private networks stay out of reach."""
    account_concurrency: int = 1000
    """Concurrent executions per account and region, as AWS's default quota."""
    debug: bool = False
    """Log every request, and tracebacks of refused ones."""
    placeholder_account: str = "123"
    """An account id that samples use as a placeholder, and that is read as the caller's."""
    ready_dir: Path | None = None
    """Directory of scripts run once the cloud is ready (`*.sh`, `*.py`), as LocalStack's `ready.d`."""
    hosts: str = ""
    """Further names, with commas, that requests may carry in `Host`; loopback's and AWS's own are always known."""
    origins: str = ""
    """Web origins, with commas, whose pages may call the cloud's APIs. None by default."""
    registries: str = "public.ecr.aws"
    """Registries, with commas, whose images functions may use beside ECR's: `HOST`, or `USER:PASSWORD@HOST`."""
    ephemeral: bool = False
    """Forget everything at the end: the data directory is a temporary one (`PERSISTENCE=0`)."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: object) -> Settings:
        """Fields from `PILOTLIGHT_<FIELD>`, from the names LocalStack's users know, and from `given`, which wins."""
        variables = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for name, kind in cls.__annotations__.items():
            text = variables.get(f"PILOTLIGHT_{name.upper()}")
            if text is not None:
                values[name] = _convert(text, str(kind))
        if variables.get("DEBUG", "") not in ("", "0", "false"):
            values.setdefault("debug", True)
        if variables.get("PERSISTENCE", "1") in ("0", "false"):
            values.setdefault("ephemeral", True)
        values.update({name: value for name, value in given.items() if value is not None})
        return cls(**values)  # type: ignore[arg-type]


def _convert(text: str, kind: str) -> object:
    if kind == "bool":
        return text.lower() not in ("", "0", "false", "no", "off")
    if kind == "int":
        return int(text)
    if kind.startswith("Path"):
        return Path(text)
    return text
