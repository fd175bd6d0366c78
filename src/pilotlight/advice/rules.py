"""What to do about what was measured, in sentences, the most worthwhile first. Pure."""

from __future__ import annotations

from pilotlight.advice.analysis import Analysis
from pilotlight.advice.packages import OWN

CLIENT_MS_MIN = 2.0
IMPORT_SHARE_MIN = 0.25
IMPORT_MS_MIN = 10.0
LAYER_BYTES_MIN = 5_000_000
NEEDLESS_BYTES_MIN = 100_000
INIT_MS_MIN = 100.0
MEMORY_SHARE_MAX = 0.5
MEMORY_MB_MIN = 128


def advise(analysis: Analysis) -> list[str]:
    return [*_invocation(analysis), *_imports(analysis), *_package(analysis), *_settings(analysis)]


def _invocation(analysis: Analysis) -> list[str]:
    if not analysis.invocation:
        return []
    duration = analysis.invocation["duration_ms"]
    advice = []
    for made in analysis.invocation["made"]:
        if made["ms"] >= CLIENT_MS_MIN:
            where = f" ({made['at']})" if made["at"] else ""
            advice.append(
                f"{made['call']} is made in every invocation{where} and takes {made['ms']:.0f} of its {duration:.0f} "
                "ms: make it once, outside the handler"
            )
    return advice


def _imports(analysis: Analysis) -> list[str]:
    advice = []
    for one in analysis.imports:
        if one.depth != 1 or one.total < max(IMPORT_MS_MIN, analysis.import_ms * IMPORT_SHARE_MIN):
            continue
        advice.append(
            f"importing {one.module} takes {one.total:.0f} of {analysis.import_ms:.0f} ms: where not every event "
            "needs it, import it in the function that does"
        )
    return advice


def _package(analysis: Analysis) -> list[str]:
    weight = analysis.weight
    advice = []
    provided = [part for part in weight.parts if part.provided]
    if provided:
        names, size = ", ".join(part.name for part in provided), sum(part.size for part in provided)
        advice.append(f"leave {names} out of the package ({size / 1e6:.1f} MB): {analysis.runtime} brings it")
    if weight.needless >= NEEDLESS_BYTES_MIN:
        advice.append(
            f"leave tests, caches, documentation and source maps out ({weight.needless / 1e6:.1f} MB) "
            "by `package.patterns`"
        )
    large = [part for part in weight.parts if part.size >= LAYER_BYTES_MIN and part.name != OWN and not part.provided]
    if large:
        names = ", ".join(f"{part.name} ({part.size / 1e6:.1f} MB)" for part in large)
        advice.append(f"move {names} to a layer: deployments shrink and functions share it; starts stay as they are")
    return advice


def _settings(analysis: Analysis) -> list[str]:
    advice = []
    restored = any(cure.name == "SnapStart" and cure.after is not None for cure in analysis.cures)
    if analysis.start and analysis.start.init >= INIT_MS_MIN and restored:
        advice.append(f"init takes {analysis.start.init:.0f} ms: SnapStart pays it once, when a version is published")
    used, memory = analysis.memory_used_mb, analysis.memory_mb
    if analysis.invocation and memory > MEMORY_MB_MIN and used < memory * MEMORY_SHARE_MAX:
        advice.append(f"it used {used:.0f} of {memory} MB: `pilotlight tune` shows what less, or more, would cost")
    return advice
