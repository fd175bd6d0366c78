"""The commands `pilotlight` and `pl`: one file each, imported when it is asked for."""

from __future__ import annotations

import importlib
import sys

import click

from pilotlight import __version__

COMMANDS = {
    "up": "Start a cloud.",
    "deploy": "Deploy a serverless.yml.",
    "remove": "Remove a deployed service.",
    "invoke": "Invoke a function.",
    "logs": "Show a function's log.",
    "analyze": "What a function's starts are made of, and what would help.",
    "tune": "Cost against latency at several memory sizes.",
    "status": "What this cloud runs, and what the host gives.",
    "cost": "What this month's use would cost on AWS.",
    "clock": "Show, freeze, advance or resume cloud time.",
    "reset": "Forget everything.",
}


class LazyGroup(click.Group):
    """`--help` needs no command's code; a command loads only its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"pilotlight.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pilotlight")
def cli() -> None:
    """A serverless cloud you own, speaking AWS's protocols.

    Start one with `pilotlight up`. The other commands, boto3 and the AWS CLI find it by AWS_ENDPOINT_URL
    (default http://127.0.0.1:4566).
    """


def main() -> None:
    """The entry point: what the user can mend is one line, not a traceback."""
    from pilotlight.cli.client import Unreachable

    try:
        cli()
    except Unreachable as error:
        click.echo(f"pilotlight: {error}", err=True)
        sys.exit(1)
