"""What a host has is looked for once, and is told whole, whoever asks meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pilotlight.engine.runtimes import jvms, nodes, rubies

FINDERS: list[tuple[ModuleType, Callable[[], Any], Any, str]] = [
    (nodes, lambda: nodes.Nodes(strict=False), nodes.Node("/bin/node", "20.1.0"), "nodejs20.x"),
    (rubies, lambda: rubies.Rubies(strict=False), rubies.Ruby("/bin/ruby", "/usr", "3.3.1"), "ruby3.3"),
    (jvms, lambda: jvms.Jvms(strict=False), jvms.Jvm(Path("/opt/java"), "21.0.1"), "java21"),
]


@pytest.mark.parametrize(("module", "make", "one", "runtime"), FINDERS, ids=["node", "ruby", "java"])
def test_nobody_sees_a_part_of_what_is_found(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, make: Callable[[], Any], one: Any, runtime: str
) -> None:
    probing, go_on = threading.Event(), threading.Event()

    def slowly(path: Path) -> Any:
        if threading.current_thread() is not threading.main_thread():
            probing.set()
            assert go_on.wait(10)
        return one

    monkeypatch.setattr(module, "_candidates", lambda: iter([Path("/there")]))
    monkeypatch.setattr(module, "_probe", slowly)
    finder = make()
    first = threading.Thread(target=finder.found)
    first.start()
    assert probing.wait(10)
    assert finder.for_runtime(runtime) is one
    go_on.set()
    first.join(10)
    assert list(finder.found().values()) == [one]
