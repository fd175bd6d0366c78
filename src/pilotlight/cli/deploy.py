"""`pilotlight deploy`: a service's serverless.yml into the cloud."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pilotlight.cli.client import client, endpoint
from pilotlight.clock import Clock

if TYPE_CHECKING:
    from pilotlight.deploy.serverless.deployment import Clients, Deployment
    from pilotlight.deploy.serverless.service import ServiceDefinition


@click.command("deploy")
@click.argument("directory", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--stage", "-s", help="Stage (default: provider.stage, else dev).")
@click.option("--region", "-r", help="Region (default: provider.region, else us-east-1).")
@click.option("--param", "parameters", multiple=True, metavar="KEY=VALUE", help="A value for ${param:KEY}.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, and no progress.")
def command(directory: Path, stage: str | None, region: str | None, parameters: tuple[str, ...], as_json: bool) -> None:
    """Deploy the service in DIRECTORY, and show its endpoints."""
    clock = Clock()
    started = clock.monotonic()
    deployment, service = prepare(directory, stage, region, parameters, quiet=as_json)
    with readable_errors():
        summary = deployment.deploy(endpoint())
    if as_json:
        fields = {
            "stack": summary.stack,
            "functions": dict(summary.functions),
            "endpoints": [{"route": route, "url": url} for route, url in summary.endpoints],
            "outputs": dict(summary.outputs),
        }
        click.echo(json.dumps(fields))
        return
    click.echo(f"\n{service.name} is deployed to {summary.stack} in {clock.monotonic() - started:.1f} s")
    if summary.endpoints:
        click.echo("\nendpoints")
        for route, url in summary.endpoints:
            click.echo(f"  {route:<28} {url}")
    click.echo("\nfunctions")
    for key, name in summary.functions.items():
        click.echo(f"  {key:<28} {name}")


def prepare(
    directory: Path, stage: str | None, region: str | None, parameters: tuple[str, ...], *, quiet: bool
) -> tuple[Deployment, ServiceDefinition]:
    from pilotlight.deploy.serverless.deployment import Deployment
    from pilotlight.deploy.serverless.service import load

    options = {name: value for name, value in (("stage", stage), ("region", region)) if value}
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals:
            raise click.BadParameter(f"{parameter!r} is no KEY=VALUE", param_hint="--param")
        options[f"param.{key}"] = value
    with readable_errors():
        service = load(directory, options=options, environment=os.environ, sources=cloud_sources(region))
    deployment = Deployment(
        service,
        clients(service.region),
        now_ms=Clock().wall_ms(),
        progress=(lambda text: None) if quiet else click.echo,
        sleep=time.sleep,
    )
    return deployment, service


def clients(region: str) -> Clients:
    from pilotlight.deploy.serverless.deployment import Clients

    return Clients(
        cloudformation=client("cloudformation", region),
        s3=client("s3", region),
        apigatewayv2=client("apigatewayv2", region),
    )


def cloud_sources(region: str | None) -> dict[str, Any]:
    """`${cf:stack.Output}` and `${aws:accountId}`: what only a cloud can answer."""
    from pilotlight.deploy.serverless.variables import MISSING

    def outputs(parameter: str, address: str) -> Any:
        from botocore.exceptions import ClientError

        stack, _, name = address.partition(".")
        try:
            found = client("cloudformation", parameter or region).describe_stacks(StackName=stack)["Stacks"][0]
        except ClientError:
            return MISSING
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}.get(name, MISSING)

    def aws(_: str, address: str) -> Any:
        if address == "accountId":
            return client("sts", region).get_caller_identity()["Account"]
        return (region or "us-east-1") if address == "region" else MISSING

    return {"cf": outputs, "aws": aws}


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """What the user can mend is one line."""
    from botocore.exceptions import BotoCoreError, ClientError

    from pilotlight.deploy.serverless.deployment import DeploymentFailed
    from pilotlight.deploy.serverless.package import PackageError
    from pilotlight.deploy.serverless.service import ServiceError
    from pilotlight.deploy.serverless.variables import VariableError

    try:
        yield
    except (ServiceError, VariableError, PackageError, DeploymentFailed, ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from None
