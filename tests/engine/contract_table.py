"""`make contract`: the contract over every runtime and each of AWS's own clients, and its table for the docs."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "reference" / "contract.md"
HEAD = """# The contract of the runtimes

Written by `make contract`: do not edit. `tests/engine/test_contract.py` asks the same of every runtime. A number is
how many cases passed; a letter says below why one means nothing there.

* Bootstraps of ours: {ours}.
* Programs for `provided.al2023` with AWS's own library in them: {binaries}.
* AWS's own clients as custom runtimes, with the very programs of ours: {clients}.

"""


class Outcomes:
    """A plug-in that remembers: behaviour → language → how each of its cases went."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.languages: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            name = item.callspec.params["case"].name  # type: ignore[attr-defined]
            item.user_properties += [("behaviour", item.originalname), ("language", name)]  # type: ignore[attr-defined]
            self.rows[item.originalname][name] = []  # type: ignore[attr-defined]
            if name not in self.languages:
                self.languages.append(name)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            told = dict(report.user_properties)
            why = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else report.outcome
            self.rows[str(told["behaviour"])][str(told["language"])].append(why)

    def page(self) -> str:
        from tests.engine.contract import languages

        known = {one.name: one for one in languages()}
        ours = [name for name in self.languages if known[name].managed]
        clients = [name for name in self.languages if known[name].client]
        binaries = [name for name in self.languages if name not in (*ours, *clients)]
        kinds = {"ours": ours, "binaries": binaries, "clients": clients}
        lines = [HEAD.format(**{kind: ", ".join(names) for kind, names in kinds.items()})]
        lines.append(f"| behaviour | {' | '.join(self.languages)} |\n| --- |{' --- |' * len(self.languages)}\n")
        reasons: dict[str, str] = {}
        for behaviour, row in self.rows.items():
            cells = [_cell(row[name], reasons) for name in self.languages]
            lines.append(f"| {behaviour.removeprefix('test_').replace('_', ' ')} | {' | '.join(cells)} |\n")
        passed = [sum(row[name].count("passed") for row in self.rows.values()) for name in self.languages]
        lines.append(f"| **all that pass** | {' | '.join(map(str, passed))} |\n\n")
        lines += [f"* {letter}: {why}.\n" for why, letter in reasons.items()]
        return "".join(lines)


def _cell(outcomes: list[str], reasons: dict[str, str]) -> str:
    passed, failed = outcomes.count("passed"), outcomes.count("failed")
    letters = []
    for why in dict.fromkeys(one for one in outcomes if one not in ("passed", "failed")):
        number = len(reasons)
        name = "abcdefghijklmnopqrstuvwxyz"[number % 26] * (number // 26 + 1)
        letters.append(reasons.setdefault(why, name))
    parts = [str(passed)] if passed else []
    return " ".join([*parts, *letters, *([f"**{failed} failed**"] if failed else [])]) or "–"


def main() -> int:
    outcomes = Outcomes()
    status = pytest.main(["-q", str(HERE / "test_contract.py")], plugins=[outcomes])
    if status == 0:
        PAGE.write_text(outcomes.page())
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
