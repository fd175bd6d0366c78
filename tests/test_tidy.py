"""The house style, where a machine can check it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pilotlight"

# Top to bottom: a module imports only from what stands below it.
LAYERS = (
    "__main__",
    "cli",
    "app",
    "administration",
    "wiring",
    "image_shelf",
    "advice",
    "console",
    "gateway",
    "deploy",
    "event_sources",
    "delivery",
    "services",
    "providers",
    "engine",
    "workflows",
    "identity",
    "cost",
    "observability",
    "testing",
    "event_patterns",
    "protocols",
    "storage",
    "background",
    "settings",
    "arn",
    "errors",
    "ids",
    "clock",
)
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
# The gateway, the background loop, and the transactions: what fails in those is carried to whoever called.
BROAD_EXCEPT_ALLOWED = {
    "gateway/journey.py", "gateway/http.py", "background.py", "storage/sqlite.py", "storage/postgres.py",
}  # fmt: skip
TASKS_ALLOWED = {"app.py"}
BOOTSTRAPS = "engine/runtimes/bootstraps/"


def modules() -> Iterator[Path]:
    yield from sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def layer_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def for_types_only(tree: ast.AST) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING`: names for annotations, which import nothing."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imported(tree: ast.AST) -> Iterator[str]:
    ignored = for_types_only(tree)
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


PARSED = {path: ast.parse(path.read_text()) for path in modules()}


def test_imports_only_go_down() -> None:
    wrong = []
    for path, tree in PARSED.items():
        layer = layer_of(path)
        for module in imported(tree):
            parts = module.split(".")
            if parts[0] != "pilotlight" or len(parts) == 1 or parts[1] not in LAYERS or layer not in LAYERS:
                continue
            if parts[1] != layer and LAYERS.index(parts[1]) < LAYERS.index(layer):
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong


def test_a_service_never_imports_another() -> None:
    wrong = []
    for path, tree in PARSED.items():
        parts = path.relative_to(SOURCE).parts
        if parts[0] != "services" or len(parts) < 3:
            continue
        for module in imported(tree):
            other = module.split(".")
            if other[:2] == ["pilotlight", "services"] and len(other) > 3 and other[2] not in (parts[1], "contract"):
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong


def test_engine_and_protocols_know_neither_each_other_nor_a_service() -> None:
    forbidden = {"engine": {"protocols", "services", "identity"}, "protocols": {"engine", "services", "identity"}}
    wrong = []
    for path, tree in PARSED.items():
        for module in imported(tree):
            parts = module.split(".")
            if parts[0] == "pilotlight" and len(parts) > 1 and parts[1] in forbidden.get(layer_of(path), set()):
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples"])
def test_files_and_functions_end_with_the_screen(folder: str) -> None:
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text()
        if text.count("\n") > FILE_LINES_MAX:
            wrong.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES_MAX:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.name}: {size} lines")
    assert not wrong


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_only_the_clock_asks_for_the_time() -> None:
    pattern = re.compile(r"^(time\.(time|time_ns|monotonic|perf_counter)|datetime(\.datetime)?\.(now|utcnow|today))$")
    wrong = []
    for path, tree in PARSED.items():
        if name_of(path) == "clock.py" or BOOTSTRAPS in name_of(path):
            continue
        wrong += [f"{name_of(path)}: {call}" for call in calls(tree) if pattern.match(call)]
    assert not wrong


def test_only_ids_rolls_dice() -> None:
    pattern = re.compile(r"^(uuid\.uuid[14]|random\.\w+|secrets\.\w+|os\.urandom)$")
    wrong = []
    for path, tree in PARSED.items():
        if name_of(path) == "ids.py" or BOOTSTRAPS in name_of(path):
            continue
        wrong += [
            f"{name_of(path)}: {call}"
            for call in calls(tree)
            if pattern.match(call) and call != "secrets.compare_digest"
        ]
    assert not wrong


def test_every_task_has_a_parent() -> None:
    wrong = []
    for path, tree in PARSED.items():
        for call in calls(tree):
            stray = call in ("asyncio.create_task", "asyncio.ensure_future") or call.endswith("loop.create_task")
            if stray and name_of(path) not in TASKS_ALLOWED:
                wrong.append(f"{name_of(path)}: {call}")
    assert not wrong


def test_only_three_places_catch_everything() -> None:
    wrong = []
    for path, tree in PARSED.items():
        if name_of(path) in BROAD_EXCEPT_ALLOWED or BOOTSTRAPS in name_of(path):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                last = node.body[-1]
                if isinstance(last, ast.Raise) and last.exc is None:
                    continue  # undone, and passed on
                names = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
                if any(
                    n is None or (isinstance(n, ast.Name) and n.id in ("Exception", "BaseException")) for n in names
                ):
                    wrong.append(f"{name_of(path)}:{node.lineno}")
    assert not wrong


def test_every_setting_is_documented() -> None:
    (settings,) = (
        node
        for node in PARSED[SOURCE / "settings.py"].body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    fields = [node for node in settings.body if isinstance(node, ast.AnnAssign)]
    following = dict(zip(settings.body, settings.body[1:], strict=False))
    undocumented = [
        ast.unparse(field.target)
        for field in fields
        if not (isinstance(following.get(field), ast.Expr) and isinstance(following[field].value, ast.Constant))  # type: ignore[attr-defined]
    ]
    assert not undocumented


def test_every_module_says_what_it_is_for() -> None:
    silent = [name_of(path) for path, tree in PARSED.items() if path.stat().st_size and not ast.get_docstring(tree)]
    assert not silent


def test_nothing_names_a_machine_or_a_registry() -> None:
    pattern = re.compile(
        r"/(?:work|root|farm)/[\w.-]+|\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b"
    )
    wrong = []
    for folder in ("src", "tests", "docs", "examples", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".sql", ".toml", ".yml", ".json") and path.name != "test_tidy.py":
                wrong += [
                    f"{path.relative_to(ROOT)}: {m[0]}" for m in pattern.finditer(path.read_text(errors="ignore"))
                ]
    assert not wrong
