"""`pilotlight status`: what this cloud runs, and what the host gives it."""

from __future__ import annotations

import json
from typing import Any

import click

from pilotlight.cli.client import endpoint, page


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show services, functions' isolation, runtimes, instances and stacks."""
    status = page("GET", "/_pilotlight/status")
    if as_json:
        click.echo(json.dumps(status, indent=2))
        return
    click.echo(f"Pilotlight {status['version']} at {endpoint()}, data in {status['data']}")
    for title in ("isolation", "runtimes", "instances"):
        click.echo(f"\n{title}")
        _table(status.get(title, {}))
    for warning in status.get("warnings", []):
        click.secho(f"\nwarning: {warning}", fg="yellow")


def _table(value: Any) -> None:
    if isinstance(value, dict):
        width = max((len(key) for key in value), default=0)
        for key, item in value.items():
            click.echo(f"  {key:<{width}}  {item if not isinstance(item, dict | list) else json.dumps(item)}")
    else:
        click.echo(f"  {value}")
