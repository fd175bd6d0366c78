"""`pilotlight analyze`: what a function's starts and invocations are made of, and what each cure would save."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pilotlight.cli.client import client
from pilotlight.cli.payloads import read_payload

if TYPE_CHECKING:
    from pilotlight.advice.analysis import Analysis

PARTS_SHOWN = 12


@click.command("analyze")
@click.argument("function")
@click.option("--qualifier", help="A version or an alias; else $LATEST.")
@click.option("--payload", help="Also invoke the handler with this: JSON, or @FILE, or - for standard input.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 50), help="Cold starts to measure.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(function: str, qualifier: str | None, payload: str | None, rounds: int, as_json: bool) -> None:
    """Show package size by dependency, import time by module, cold and warm starts, and what would help FUNCTION.

    Short-lived copies of the function are measured, and removed. Without --payload its handler is not called.
    """
    from botocore.exceptions import ClientError

    from pilotlight.advice.analysis import Analyst
    from pilotlight.advice.copies import Unsuitable, read_original
    from pilotlight.advice.rules import advise

    event = json.loads(read_payload(payload)) if payload is not None else None
    functions = client("lambda")
    analyst = Analyst(functions, client("logs"), lambda what: click.echo(f"measuring: {what}", err=True), rounds=rounds)
    try:
        original = read_original(functions, function, qualifier)
        analysis = analyst.analyse(original, event, run=payload is not None)
    except (ClientError, Unsuitable) as error:
        raise click.ClickException(str(error)) from None
    advice = advise(analysis)
    if as_json:
        click.echo(json.dumps({**asdict(analysis), "advice": advice}, indent=2))
    else:
        for line in [*_package(analysis), *_starts(analysis), *_invocation(analysis), *_cures(analysis, advice)]:
            click.echo(line)


def _package(analysis: Analysis) -> list[str]:
    weight = analysis.weight
    lines = [
        f"{analysis.function}: {analysis.runtime}, {analysis.memory_mb} MB",
        "",
        f"package          {_size(weight.size)} unpacked, {_size(weight.packed)} packed",
    ]
    for part in weight.parts[:PARTS_SHOWN]:
        note = "  (the runtime brings it)" if part.provided else ""
        lines.append(f"  {part.name:<28} {_size(part.size):>10} {part.files:>7} files{note}")
    if len(weight.parts) > PARTS_SHOWN:
        rest = weight.parts[PARTS_SHOWN:]
        lines.append(f"  {f'{len(rest)} more':<28} {_size(sum(part.size for part in rest)):>10}")
    if weight.needless:
        lines.append(f"  of it tests, caches, documents {_size(weight.needless):>8}")
    lines += [
        f"  layer {arn.split(':layer:')[-1]:<22} {_size(size):>10} packed" for arn, size in analysis.layers.items()
    ]
    return lines


def _starts(analysis: Analysis) -> list[str]:
    if analysis.start is None:
        return ["", f"starts and imports are looked into for Python and Node.js, not for {analysis.runtime}"]
    start = analysis.start
    lines = [
        "",
        f"start            cold {start.caller:.1f} ms (init {start.init:.1f}), warm {start.warm:.1f} ms for the caller",
        f"imports          {analysis.import_ms:.1f} ms in a fresh interpreter",
    ]
    for one in analysis.imports:
        lines.append(f"  {'  ' * (one.depth - 1)}{one.module:<40} {one.total:>8.1f} ms, its own {one.own:.1f}")
    return lines


def _invocation(analysis: Analysis) -> list[str]:
    found = analysis.invocation
    if found is None:
        return []
    lines = ["", f"invocation       {found['duration_ms']:.1f} ms, {analysis.memory_used_mb:.0f} MB"]
    if found["failure"]:
        lines.append(f"  failed: {found['failure']}")
    lines += [f"  {made['call']:<40} {made['ms']:>8.1f} ms  {made['at']}" for made in found["made"]]
    for row in found["top"]:
        lines.append(f"  {row['function']:<40} {row['own_ms']:>8.1f} ms in {row['calls']} calls  {row['at']}")
    return lines


def _cures(analysis: Analysis, advice: list[str]) -> list[str]:
    lines = ["", "what each cure would make of a cold start, measured here"] if analysis.cures else []
    for cure in analysis.cures:
        after = f"{cure.before:>8.1f} → {cure.after:.1f} ms" if cure.after is not None else "    not measured"
        lines.append(f"  {cure.name:<52} {after}{'  ' if cure.note else ''}{cure.note}")
    return [*lines, "", "advice", *(f"  * {sentence}" for sentence in advice or ["nothing stands out"])]


def _size(size: Any) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
