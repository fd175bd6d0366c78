"""Every language that functions may be written in, built and named: the one place to add another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from pilotlight.engine.contract import RuntimeUnavailable
from pilotlight.engine.runtimes import image
from pilotlight.engine.runtimes.class_caches import ClassCaches
from pilotlight.engine.runtimes.interpreters import Interpreters
from pilotlight.engine.runtimes.java import JavaRuntime
from pilotlight.engine.runtimes.jvms import Jvms
from pilotlight.engine.runtimes.module_caches import ModuleCaches
from pilotlight.engine.runtimes.node import NodeRuntime
from pilotlight.engine.runtimes.nodes import Nodes
from pilotlight.engine.runtimes.provided import ProvidedRuntime
from pilotlight.engine.runtimes.python import PythonRuntime, Road
from pilotlight.engine.runtimes.registry import Runtimes
from pilotlight.engine.runtimes.rubies import Rubies
from pilotlight.engine.runtimes.ruby import RubyRuntime
from pilotlight.engine.runtimes.shared import install_bootstrap, install_boto3
from pilotlight.engine.runtimes.wasm import WasmRuntime
from pilotlight.engine.runtimes.zygotes import Zygotes
from pilotlight.engine.sandbox.contract import SandboxFactory


class Finder(Protocol):
    """Who looks for a language's interpreters."""

    warnings: dict[str, str]

    def for_runtime(self, runtime: str) -> object: ...


class Languages:
    def __init__(
        self,
        directory: Path,
        factory: SandboxFactory,
        group: asyncio.TaskGroup,
        *,
        endpoint: str,
        egress: bool,
        strict: bool,
        prepared: Path | None = None,
        road: Road | None = None,
    ) -> None:
        """`directory` holds what functions may read; `endpoint` is the cloud's own, for functions without a sandbox;
        `strict` refuses a runtime whose version is not here; `prepared` is where that is kept which is made of
        functions' code ahead of their starts; `road` forces Python's, for tests."""
        bootstrap, boto3 = install_bootstrap(directory, "python"), install_boto3(directory)
        libraries = directory / "nodejs"
        libraries.mkdir(exist_ok=True)
        self.interpreters = Interpreters(strict=strict)
        self.zygotes = Zygotes(bootstrap, boto3, group)
        self.python = PythonRuntime(
            interpreters=self.interpreters,
            zygotes=self.zygotes,
            bootstrap=bootstrap,
            boto3=boto3,
            endpoint=endpoint,
            egress=egress,
            road=road,
        )
        nodes, rubies, jvms = Nodes(strict=strict), Rubies(strict=strict), Jvms(strict=strict)
        node, ruby, java, wasm = (install_bootstrap(directory, name) for name in ("node", "ruby", "java", "wasm"))
        modules = ModuleCaches(prepared / "modules", factory, group) if prepared is not None else None
        self.node = NodeRuntime(
            nodes=nodes, bootstrap=node, libraries=libraries, endpoint=endpoint, egress=egress, caches=modules
        )
        self.ruby = RubyRuntime(rubies=rubies, bootstrap=ruby, endpoint=endpoint, egress=egress)
        classes = ClassCaches(prepared / "classes", factory, group) if prepared is not None else None
        self.java = JavaRuntime(jvms=jvms, bootstrap=java, endpoint=endpoint, egress=egress, caches=classes)
        self.prepared = {name: one.preparations for name, one in (("node", modules), ("java", classes)) if one}
        self.provided = ProvidedRuntime(endpoint=endpoint, egress=egress)
        self.wasm = WasmRuntime(
            factory=factory,
            directory=directory / "wasm",
            bootstrap=wasm,
            frames=bootstrap,
            endpoint=endpoint,
            egress=egress,
        )
        self._nodes, self._rubies, self._jvms = nodes, rubies, jvms
        self._finders = (self.interpreters, nodes, rubies, jvms)
        self._by_name: dict[str, Finder] = {
            "python": self.interpreters,
            "nodejs": nodes,
            "ruby": rubies,
            "java": jvms,
        }
        self._looked_for: dict[str, str] = {}
        self.runtimes = Runtimes(
            {
                "python3.": self.python,
                "nodejs": self.node,
                "ruby": self.ruby,
                "java": self.java,
                "provided.": self.provided,
                "wasip1": self.wasm,
                image.NAME: image.ImageRuntime(egress=egress),
            },
            self.warning,
        )

    def warnings(self) -> list[str]:
        """Runtimes that something else serves, as far as they were asked for."""
        return [text for finder in self._finders for text in finder.warnings.values()]

    def warning(self, runtime: str) -> str:
        """That another version serves this runtime, or that nothing does; empty where all is well, or not yet known."""
        served = next((finder.warnings[runtime] for finder in self._finders if runtime in finder.warnings), "")
        return served or self._looked_for.get(runtime, "")

    async def look_for(self, runtime: str) -> None:
        """So that `warning` knows. It may start processes, once for each runtime."""
        finder = next((one for name, one in self._by_name.items() if runtime.startswith(name)), None)
        if finder is None or runtime in self._looked_for:
            return
        try:
            await asyncio.to_thread(finder.for_runtime, runtime)
        except RuntimeUnavailable as error:
            self._looked_for[runtime] = str(error)
        else:
            self._looked_for[runtime] = ""

    def found(self) -> dict[str, str]:
        """Runtime → the version that is here, or how to get one, for `pilotlight status`. It may start processes."""
        nodes, rubies, jvms = self._nodes.found(), self._rubies.found(), self._jvms.found()
        found = self.interpreters.found()
        found |= {f"nodejs{major}.x": node.version for major, node in sorted(nodes.items())}
        found |= {"ruby{}.{}".format(*release): ruby.version for release, ruby in sorted(rubies.items())}
        found |= {f"java{major}": jvm.version for major, jvm in sorted(jvms.items())}
        found |= {"provided.al2, provided.al2023": "any program, and container images"}
        for runtime, finder in (("nodejs22.x", self._nodes), ("ruby3.3", self._rubies), ("java21", self._jvms)):
            if not finder.found():
                try:
                    finder.for_runtime(runtime)
                except RuntimeUnavailable as error:
                    found[runtime] = f"none: {error}"
        return found

    def close(self) -> None:
        self.zygotes.close()
