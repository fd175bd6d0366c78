"""`pilotlight up`: start a cloud, and run it until it is told to stop."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from pilotlight.settings import Settings


@click.command("up")
@click.option("--port", type=int, help="Port for http and https (default 4566; 0 takes a free one).")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Data directory (default ~/.pilotlight)."
)
@click.option("--host", help="Address to listen on (default 127.0.0.1; any other requires --iam=enforce).")
@click.option("--iam", type=click.Choice(["enforce", "audit"]), help="How people's credentials are judged.")
@click.option("--isolation", type=click.Choice(["sandbox", "none"]), help="none runs functions as plain processes.")
@click.option("--database", help="PostgreSQL connection string (default: the embedded SQLite).")
@click.option("--idle-seconds", type=int, help="How long an idle instance is kept (default 600).")
@click.option("--no-egress", is_flag=True, help="Functions do not reach the internet.")
@click.option("--strict-runtimes", is_flag=True, help="Refuse runtimes whose exact interpreter is missing.")
@click.option("--ephemeral", is_flag=True, help="Forget everything at the end.")
@click.option("--debug", is_flag=True, help="Log every request.")
def command(
    port: int | None,
    data: Path | None,
    host: str | None,
    iam: str | None,
    isolation: str | None,
    database: str | None,
    idle_seconds: int | None,
    no_egress: bool,
    strict_runtimes: bool,
    ephemeral: bool,
    debug: bool,
) -> None:
    """Start a cloud. It is ready when the line that ends in `Ready.` appears.

    Every option can also be set by its variable, such as PILOTLIGHT_PORT.
    """
    # Nothing that starting makes is garbage: looking for it took a tenth of the start. `Node.start` turns it on again.
    gc.disable()
    from pilotlight.app import StartError, run

    settings = Settings.from_environment(
        port=port,
        data=data,
        host=host,
        iam=iam,
        isolation=isolation,
        database=database,
        idle_seconds=idle_seconds,
        egress=False if no_egress else None,
        strict_runtimes=strict_runtimes or None,
        ephemeral=ephemeral or None,
        debug=debug or None,
    )
    try:
        run(settings)
    except StartError as error:
        raise click.ClickException(str(error)) from None
