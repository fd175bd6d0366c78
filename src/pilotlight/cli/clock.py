"""`pilotlight clock`: cloud time, which schedules, delays, retries and retention go by."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from pilotlight.cli.client import page

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@click.group("clock", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show cloud time; `freeze`, `advance` and `resume` change it. Handlers and clients see the host's time."""
    context.obj = as_json
    if context.invoked_subcommand is None:
        show(page("GET", "/_pilotlight/clock"), as_json)


@command.command()
@click.pass_obj
def freeze(as_json: bool) -> None:
    """Cloud time stands still."""
    show(page("POST", "/_pilotlight/clock", {"action": "freeze"}), as_json)


@command.command()
@click.pass_obj
def resume(as_json: bool) -> None:
    """Cloud time runs again, from where it stands."""
    show(page("POST", "/_pilotlight/clock", {"action": "resume"}), as_json)


@command.command()
@click.argument("duration")
@click.pass_obj
def advance(as_json: bool, duration: str) -> None:
    """Move cloud time forward by DURATION, such as 90, 5m, 1h30m or 30d. What falls due happens in order."""
    show(page("POST", "/_pilotlight/clock", {"action": "advance", "seconds": seconds_of(duration)}), as_json)


def seconds_of(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"{text!r} is no duration; write 90, 5m, 1h30m or 30d", param_hint="DURATION")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def show(state: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(state))
        return
    click.echo(f"cloud time {state['cloud_time']}" + (" (frozen)" if state["frozen"] else ""))
    if state["ahead_seconds"]:
        click.echo(f"{state['ahead_seconds']:+.0f} s from wall time")
