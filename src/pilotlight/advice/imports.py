"""Which module costs how much to import: Python's own `-X importtime` lines, and the Node.js probe's. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

LINE = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \|(\s+)(\S+)$")
MARK = "PILOTLIGHT_IMPORTS "
NODE_LINE = re.compile(r"^PILOTLIGHT_REQUIRE (\[.*)$")


@dataclass(frozen=True, slots=True)
class Import:
    """Milliseconds: its own, and with all that it was the first to import."""

    module: str
    own: float
    total: float
    depth: int
    """1: imported by the function's own module."""


def python_imports(lines: list[str]) -> list[Import]:
    """What stands between the probe's marks; Python writes what is imported before who imports it."""
    found: list[Import] = []
    inside = False
    for line in lines:
        if line.startswith(MARK):
            if inside:
                break
            inside = True
        elif inside and (match := LINE.match(line.rstrip())):
            depth = (len(match[3]) - 1) // 2 + 1
            found.append(Import(match[4], int(match[1]) / 1000, int(match[2]) / 1000, depth))
    return found


def node_imports(lines: list[str]) -> list[Import]:
    """From the probe: `[module, own, total, depth]` each."""
    for line in lines:
        match = NODE_LINE.match(line.strip())
        if match:
            return [Import(*entry) for entry in json.loads(match[1])]
    return []


def dearest(imports: list[Import], share_min: float = 0.04, depth_max: int = 5, most: int = 15) -> list[Import]:
    """Those that are worth looking at with what they bring: as a tree, importers before what they import."""
    least = share_min * sum(one.total for one in imports if one.depth == 1)
    # Python and Node.js's probe both finish what is imported before who imports it: backwards, it is a tree.
    return [one for one in reversed(imports) if one.total >= least and one.depth <= depth_max][:most]
