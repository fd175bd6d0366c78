"""Java: a fresh virtual machine for each instance, with a bootstrap of ours that speaks frames.

The bootstrap is a small jar, built of `bootstraps/java/source` and kept in the repository: whoever runs functions needs
a Java runtime and no compiler. It brings the interfaces of `aws-lambda-java-core` along, and stands first in the class
path, so that function and runtime see one copy, as on AWS. JSON and objects are its own affair (`Reader`, `Writer`):
AWS's library for that is Jackson under another name, and would cost more to load than all the rest.

Left out: response streaming (AWS's Java runtime has none either), and annotations of Jackson or Gson, which AWS's own
runtime does not see.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.class_caches import AHEAD_OF_TIME, APP, ARCHIVE, RESOURCES, ClassCaches, Training
from pilotlight.engine.runtimes.environment import PATH, about, endpoint_of, places, reserved, scratch
from pilotlight.engine.runtimes.jvms import Jvm, Jvms
from pilotlight.engine.runtimes.spawning import CHANNEL, LIBRARY_PATH, spawn
from pilotlight.engine.sandbox.contract import Sandbox, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

BOOTSTRAP_PLACE = "/var/runtime/bootstrap"
CLASSES_PLACE = "/var/runtime/classes"
JAR = "bootstrap.jar"
MAIN = "pilotlight.runtime.Main"
JAR_SECONDS = 1_000_000_000
"""When the jar says it was changed: a cache of classes is for a jar of one size and one time."""
HEAP = 0.85
"""AWS: the part of a function's memory that its heap may take."""
NOT_HEAP_MB = 64
"""What the machine itself needs at least."""
UNSAFE_SAYS_SO = 24
"""From this version on, the one trick of our bootstrap prints a warning unless it is allowed."""
_FLAG = re.compile(r"-XX:[+-]?(\w+)|-(Xmx)")
TRAINING_MB = 1024
"""Writing an archive takes more memory than most functions have."""
_HARMLESS = ("-D", "-Xmx", "-Xms", "-Xss", "-XX:+Tiered", "-XX:-Tiered", "-XX:Tiered")
"""Options under which an archive that was made without them can be used."""
_COLLECTOR = re.compile(r"-XX:\+Use\w+GC\b")


class JavaRuntime:
    restores = True

    def __init__(
        self, *, jvms: Jvms, bootstrap: Path, endpoint: str, egress: bool, caches: ClassCaches | None = None
    ) -> None:
        """`bootstrap` is a directory that any function may read; `endpoint` is the cloud's own, for functions
        without a sandbox."""
        self._caches = caches
        self._jvms = jvms
        self._bootstrap = bootstrap
        self._endpoint = endpoint
        self._egress = egress
        os.utime(bootstrap / JAR, (JAR_SECONDS, JAR_SECONDS))

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        folder = self._cache(version)
        classes = () if folder is None else ((folder, CLASSES_PLACE),)
        return SandboxSpec(
            code=version.code,
            layers=version.layers,
            readable=self._jvms.for_runtime(version.runtime).readable,
            mounted=((self._bootstrap, BOOTSTRAP_PLACE), *classes),
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress and version.internet,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        jvm = self._jvms.for_runtime(version.runtime)
        _, *rest = jvm.version.split(".")
        named = f"java:{jvm.major}.v{rest[-1] if rest else 0}"
        return named, hashlib.sha256(f"{named} {jvm.version}".encode()).hexdigest()

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        task, _ = places(version, sandbox)
        return {
            **scratch(sandbox),
            "PATH": PATH,
            "LD_LIBRARY_PATH": LIBRARY_PATH,
            "LANG": "en_US.UTF-8",
            # Few hosts have that locale, and without it the machine reads variables and names of files as ASCII.
            "LC_ALL": "C.UTF-8",
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
            "snap_start": version.snap_start,
        }

    async def prepare(self, version: FunctionVersion) -> None:
        folder = self._cache(version)
        if folder is not None and not (folder / ARCHIVE).exists():
            self._prepare(version, folder)

    def _prepare(self, version: FunctionVersion, folder: Path) -> None:
        assert self._caches is not None
        self._caches.make_later(folder, version, self._training(version, folder))

    def sort(self, version: FunctionVersion) -> Hashable | None:
        return None

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        return None

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        folder = self._cache(version)
        if folder is None:
            return await self._start(version, sandbox, environment, [], class_path(version, sandbox))
        if not (folder / ARCHIVE).exists():
            self._prepare(version, folder)
            return await self._start(version, sandbox, environment, [], class_path(version, sandbox))
        place = CLASSES_PLACE if sandbox.isolated else str(folder)
        options = using(self._jvms.for_runtime(version.runtime), f"{place}/{ARCHIVE}")
        return await self._start(version, sandbox, environment, options, class_path(version, sandbox, f"{place}/{APP}"))

    def _cache(self, version: FunctionVersion) -> Path | None:
        """Where this version's archive of classes is or will be; None where it cannot have one."""
        if self._caches is None or "AWS_LAMBDA_EXEC_WRAPPER" in version.environment:
            return None
        if not all(option.startswith(_HARMLESS) for option in own_options(version)):
            return None
        return self._caches.folder(version, self._jvms.for_runtime(version.runtime), self._bootstrap / JAR)

    def _training(self, version: FunctionVersion, folder: Path) -> Training:
        jvm = self._jvms.for_runtime(version.runtime)
        spec = replace(self.spec(version), memory_mb=max(TRAINING_MB, version.memory_mb), egress=False)

        async def start(sandbox: Sandbox, output: str) -> tuple[Wires, Process]:
            place = CLASSES_PLACE if sandbox.isolated else str(folder)
            path = class_path(version, sandbox, f"{place}/{APP}", f"{place}/{RESOURCES}")
            options = making(jvm, output)
            return await self._start(version, sandbox, self.environment(version, sandbox), options, path)

        def frame(sandbox: Sandbox) -> dict[str, object]:
            # Hooks are for instances that will be used.
            return self.start_frame(version, sandbox, {}, "") | {"snap_start": False}

        return Training(spec=spec, start=start, frame=frame)

    async def _start(
        self,
        version: FunctionVersion,
        sandbox: Sandbox,
        environment: dict[str, str],
        options: Sequence[str],
        path: Iterable[str],
    ) -> tuple[Wires, Process]:
        jvm = self._jvms.for_runtime(version.runtime)
        found = ":".join([self._jar(sandbox), *path])
        argv = [jvm.executable, *flags(version, jvm), *options, "-cp", found, MAIN, str(CHANNEL)]
        wrapper = version.environment.get("AWS_LAMBDA_EXEC_WRAPPER")
        if wrapper:
            argv.insert(0, wrapper)
        return await spawn(sandbox, argv, environment, directory=places(version, sandbox)[0])

    def _jar(self, sandbox: Sandbox) -> str:
        return f"{BOOTSTRAP_PLACE}/{JAR}" if sandbox.isolated else str(self._bootstrap / JAR)


def making(jvm: Jvm, archive: str) -> list[str]:
    return [f"-XX:{'AOTCacheOutput' if jvm.major >= AHEAD_OF_TIME else 'ArchiveClassesAtExit'}={archive}"]


def using(jvm: Jvm, archive: str) -> list[str]:
    """An archive that does not fit is passed over, and nothing is said of it in the function's log."""
    if jvm.major >= AHEAD_OF_TIME:
        return [f"-XX:AOTCache={archive}", "-Xlog:aot*=off,cds*=off"]
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off,class+path=off"]


def class_path(version: FunctionVersion, sandbox: Sandbox, app: str = "", last: str = "") -> Iterator[str]:
    """AWS: the package itself, the jars in its `lib`, then those in the layers' `java/lib`; by name. `app`: a jar of
    the package's own classes. Then the package comes last, for all else that is in it, or what stands for it there."""
    task, _ = places(version, sandbox)
    yield app or f"{task}/"
    yield from (f"{task}/lib/{name}" for name in _jars(version.code / "lib"))
    # A later layer hides an earlier one's files.
    found = {name: layer for layer in version.layers for name in _jars(layer / "java" / "lib")}
    for name in sorted(found):
        yield f"{'/opt' if sandbox.isolated else found[name]}/java/lib/{name}"
    if app:
        yield last or f"{task}/"


def _jars(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.glob("*.jar")) if folder.is_dir() else []


def flags(version: FunctionVersion, jvm: Jvm) -> list[str]:
    """Options of ours, but those that the function decides itself: the command line's would win over its variable's."""
    memory = version.memory_mb
    wanted = [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        f"-Xmx{max(memory // 2, min(int(memory * HEAP), memory - NOT_HEAP_MB))}m",
    ]
    own = own_options(version)
    decided = {match[1] or match[2] for option in own if (match := _FLAG.match(option))}
    if "MaxHeapSize" in decided or "MaxRAMPercentage" in decided:
        decided.add("Xmx")
    if any(_COLLECTOR.match(option) for option in own):
        decided.add("UseSerialGC")
    kept = [option for option in wanted if not ((match := _FLAG.match(option)) and (match[1] or match[2]) in decided)]
    return kept + (["--sun-misc-unsafe-memory-access=allow"] if jvm.major >= UNSAFE_SAYS_SO else [])


def own_options(version: FunctionVersion) -> list[str]:
    """What the function's variables tell the machine."""
    found: list[str] = []
    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"):
        try:
            found += shlex.split(version.environment.get(name, ""))
        except ValueError:  # quotes that do not end: the machine will say so itself
            continue
    return found
