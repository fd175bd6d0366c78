"""`pilotlight reset`: forget everything, keep running."""

from __future__ import annotations

import click

from pilotlight.cli.client import endpoint, page


@click.command("reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(yes: bool) -> None:
    """Forget every function, bucket, table and stack of this cloud; cloud time is wall time again."""
    if not yes:
        click.confirm(f"Forget everything at {endpoint()}?", abort=True)
    page("POST", "/_pilotlight/reset", {})
    click.echo("Everything is forgotten.")
