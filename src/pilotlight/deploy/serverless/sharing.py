"""A layer that one function names and another one needs.

The article's image processor has two functions in one module that imports PIL, and gives only one of them the layer
with it. On AWS the other would fail with `Runtime.ImportModuleError`; the article means it to work. So a function whose
module imports what is neither in its package nor in the runtime is given the layers of its neighbours in that module,
and whoever deploys is told.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from pilotlight.deploy.serverless.service import Function, ServiceDefinition

IN_THE_RUNTIME = {"boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six"}


def share_layers(service: ServiceDefinition) -> tuple[ServiceDefinition, list[str]]:
    """The service as it can run, and a sentence for each function that was given a layer."""
    told: list[str] = []
    functions = []
    for function in service.functions:
        missing = set() if function.layers else missing_modules(service.folder, function)
        neighbours = [one for one in service.functions if _module(one) == _module(function) and one.layers]
        if missing and neighbours:
            donor = neighbours[0]
            told.append(
                f"warning: {function.key} imports {', '.join(sorted(missing))} and has no layer with it; on AWS it "
                f"would fail with Runtime.ImportModuleError. Here it is given the layers of {donor.key}."
            )
            function = replace(function, layers=donor.layers)
        functions.append(function)
    return replace(service, functions=functions), told


def missing_modules(folder: Path, function: Function) -> set[str]:
    """Top-level modules that the handler's module imports, and that neither package nor runtime has."""
    path = folder / f"{_module(function)}.py"
    if not function.runtime.startswith("python") or not path.is_file():
        return set()
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except SyntaxError:
        return set()
    present = {entry.stem for entry in folder.iterdir()} | {entry.stem for entry in path.parent.iterdir()}
    return {name for name in _imports(tree) if not _known(name, present)}


def _imports(tree: ast.Module) -> set[str]:
    """Of the module itself; what a function imports later is its own affair."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _known(name: str, present: Collection[str]) -> bool:
    return name in sys.stdlib_module_names or name in IN_THE_RUNTIME or name in present


def _module(function: Function) -> str:
    return function.handler.rpartition(".")[0].replace(".", "/")
