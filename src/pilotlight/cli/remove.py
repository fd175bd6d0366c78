"""`pilotlight remove`: a deployed service out of the cloud."""

from __future__ import annotations

from pathlib import Path

import click

from pilotlight.cli.deploy import prepare, readable_errors


@click.command("remove")
@click.argument("directory", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--stage", "-s", help="Stage (default: provider.stage, else dev).")
@click.option("--region", "-r", help="Region (default: provider.region, else us-east-1).")
@click.option("--param", "parameters", multiple=True, metavar="KEY=VALUE", help="A value for ${param:KEY}.")
@click.option("--empty-buckets", is_flag=True, help="Delete what the service's buckets hold, too.")
def command(
    directory: Path, stage: str | None, region: str | None, parameters: tuple[str, ...], empty_buckets: bool
) -> None:
    """Remove the service in DIRECTORY. As on AWS, a bucket that holds objects stands in the way."""
    deployment, service = prepare(directory, stage, region, parameters, quiet=False)
    with readable_errors():
        deployment.remove(empty_buckets=empty_buckets)
    click.echo(f"{service.name} is removed")
