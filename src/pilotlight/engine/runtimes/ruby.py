"""Ruby functions: two roads to a bootstrap of ours that speaks frames.

*Spare*: a process that was started ahead of time, with RubyGems loaded, is told its function and its environment.
*Exec*: a fresh one, where the environment holds what only a fresh one reads (`RUBYOPT`, `GEM_HOME`, `LD_PRELOAD`, the
exec wrapper …), or while there is no spare. It brings RubyGems in when something needs it.

The AWS SDK for Ruby is not a part of Pilotlight: a function that needs it brings it along, in its package or a layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.environment import PATH, about, endpoint_of, places, reserved, scratch
from pilotlight.engine.runtimes.rubies import Rubies, Ruby
from pilotlight.engine.runtimes.spawning import CHANNEL, LIBRARY_PATH, needs_fresh, spawn
from pilotlight.engine.sandbox.contract import Sandbox, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

BOOTSTRAP_PLACE = "/var/runtime/bootstrap"
FRESH_VARIABLES = ("RUBY", "GEM_", "BUNDLE")
LOCALE = {"LC_CTYPE": "C.UTF-8"}
"""AWS: text is UTF-8. Not every host has en_US.UTF-8, and Ruby looks only when it starts."""


@dataclass(frozen=True, slots=True)
class Sort:
    """Versions that the same spare may serve."""

    ruby: Ruby


class RubyRuntime:
    restores = False

    def __init__(self, *, rubies: Rubies, bootstrap: Path, endpoint: str, egress: bool) -> None:
        """`bootstrap` is a directory that any function may read; `endpoint` is the cloud's own, for functions without
        a sandbox."""
        self._rubies = rubies
        self._bootstrap = bootstrap
        self._endpoint = endpoint
        self._egress = egress
        self._spares: bool | None = None

    def force(self, *, spares: bool | None) -> None:
        """One road for all, for tests; None: each version's own."""
        self._spares = spares

    def warnings(self) -> dict[str, str]:
        """What is not quite as asked, by the runtime's name."""
        return self._rubies.warnings

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        ruby = self._rubies.for_runtime(version.runtime)
        return SandboxSpec(
            code=version.code,
            layers=version.layers,
            readable=_readable(ruby),
            mounted=((self._bootstrap, BOOTSTRAP_PLACE),),
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress and version.internet,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        ruby = self._rubies.for_runtime(version.runtime)
        named = "ruby:{}.{}.v{}".format(*ruby.version.split("."))
        return named, hashlib.sha256(named.encode()).hexdigest()

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        task, opts = places(version, sandbox)
        ruby = self._rubies.for_runtime(version.runtime)
        # A package is built for the runtime that it names, whichever Ruby serves it.
        releases = dict.fromkeys((f"{version.runtime.removeprefix('ruby')}.0", ruby.api))
        gems = [f"{task}/vendor/bundle/ruby/{release}" for release in releases]
        gems += [f"{opt}/ruby/gems/{release}" for opt in opts for release in releases]
        return {
            **scratch(sandbox),
            "PATH": PATH,
            "LD_LIBRARY_PATH": LIBRARY_PATH,
            "GEM_PATH": ":".join(gems),
            "RUBYLIB": ":".join([task, *(f"{opt}/ruby/lib" for opt in opts)]),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_ENDPOINT_URL": endpoint_of(sandbox, self._endpoint),
            **version.environment,
            **reserved(version, sandbox, task, "/var/runtime" if sandbox.isolated else str(self._bootstrap)),
            **scratch(sandbox),
        }

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]:
        return {
            **about(version, stream),
            "environment": environment,
            "task_root": places(version, sandbox)[0],
        }

    def sort(self, version: FunctionVersion) -> Hashable | None:
        if self._spares is False or needs_fresh(version.environment, FRESH_VARIABLES):
            return None
        return Sort(self._rubies.for_runtime(version.runtime))

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        if not isinstance(sort, Sort):
            return None
        readable = tuple((path, str(path)) for path in _readable(sort.ruby))
        await sandbox.mount(((self._bootstrap, BOOTSTRAP_PLACE), *readable))
        environment = {"PATH": PATH, "LD_LIBRARY_PATH": LIBRARY_PATH, "TZ": ":UTC", **LOCALE}
        return await spawn(sandbox, self._argv(sort.ruby, sandbox, "spare"), environment, directory="/")

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        sort = self.sort(version)
        if self._spares and sort is not None:
            made = await self.fork_spare(sort, sandbox)
            assert made is not None
            return made
        ruby = self._rubies.for_runtime(version.runtime)
        lazy = not any(name.startswith(FRESH_VARIABLES) for name in version.environment)
        argv = self._argv(ruby, sandbox, "exec", lazy=lazy)
        if not any(name in ("LANG", "LC_ALL", "LC_CTYPE") for name in version.environment):
            environment = {**environment, **LOCALE}
            argv += LOCALE
        wrapper = version.environment.get("AWS_LAMBDA_EXEC_WRAPPER")
        if wrapper:
            argv.insert(0, wrapper)
        return await spawn(sandbox, argv, environment, directory=places(version, sandbox)[0])

    def _argv(self, ruby: Ruby, sandbox: Sandbox, road: str, *, lazy: bool = True) -> list[str]:
        bootstrap = BOOTSTRAP_PLACE if sandbox.isolated else str(self._bootstrap)
        flags = ["--disable-gems"] if lazy else []
        return [ruby.executable, *flags, f"{bootstrap}/bootstrap.rb", str(CHANNEL), road]


def _readable(ruby: Ruby) -> tuple[Path, ...]:
    return () if ruby.prefix == "/usr" else (Path(ruby.prefix),)
