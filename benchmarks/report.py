"""What was measured: a JSON line at once, and at the end tables to paste."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

_ROWS: list[tuple[str, dict[str, Any]]] = []
HEADINGS = {
    "memory_mb": "MB",
    "callers": "callers",
    "rate": "per second",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "cpu_us": "CPU each, µs",
    "first_ms": "ms",
    "fastest_ms": "fastest, ms",
    "ratio": "ratio",
    "prepared_seconds": "prepared after, s",
}


def say(measure: str, **figures: Any) -> None:
    figures = {k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()}
    _ROWS.append((measure, figures))
    print(json.dumps({"measure": measure, **figures}))
    sys.stdout.flush()


def load_average() -> float:
    return os.getloadavg()[0]


def conditions(load_before: float) -> str:
    """The machine, in a line."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return (
        f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}; "
        f"load {load_before:.1f} before, {load_average():.1f} after."
    )


def tables() -> str:
    """What was said, as Markdown: what has the same figures stands in one table."""
    kinds: dict[tuple[str, ...], list[tuple[str, dict[str, Any]]]] = {}
    for measure, figures in _ROWS:
        kinds.setdefault(tuple(figures), []).append((measure, figures))
    parts = []
    for names, rows in kinds.items():
        headings = ["measure", *(HEADINGS.get(name, name) for name in names)]
        lines = [_row(headings), _row(["---"] * len(headings))]
        lines += [_row([measure, *(_shown(figures[name]) for name in names)]) for measure, figures in rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
