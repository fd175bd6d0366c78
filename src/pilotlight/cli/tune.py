"""`pilotlight tune`: one payload at several memory sizes, cost against latency."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pilotlight.cli.client import client
from pilotlight.cli.payloads import read_payload

DEFAULT_SIZES = "128,256,512,1024,1769,3008"
MEMORY_MIN, MEMORY_MAX = 128, 10_240


def _sizes(_: click.Context, __: click.Parameter, value: str) -> list[int]:
    try:
        sizes = sorted({int(size) for size in value.split(",")})
    except ValueError:
        raise click.BadParameter(f"sizes in MB, with commas: {DEFAULT_SIZES}") from None
    if not all(MEMORY_MIN <= size <= MEMORY_MAX for size in sizes):
        raise click.BadParameter(f"memory is between {MEMORY_MIN} and {MEMORY_MAX} MB")
    return sizes


@click.command("tune")
@click.argument("function")
@click.option("--payload", default="{}", help="JSON, or @FILE, or - for standard input.")
@click.option("--qualifier", help="A version or an alias; else $LATEST.")
@click.option("--sizes", default=DEFAULT_SIZES, show_default=True, callback=_sizes, help="Memory sizes in MB.")
@click.option("--runs", default=10, show_default=True, type=click.IntRange(1, 1000), help="Invocations at each size.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(function: str, payload: str, qualifier: str | None, sizes: list[int], runs: int, as_json: bool) -> None:
    """Invoke a copy of FUNCTION at several memory sizes and draw cost against latency.

    The handler really runs, RUNS + 1 times at each size. CPU is memory / 1,769 MB of this machine's, as on AWS; where
    functions have no sandbox it is the whole machine's, and sizes differ by price alone.
    """
    from botocore.exceptions import ClientError

    from pilotlight.advice.copies import Unsuitable, read_original
    from pilotlight.advice.tuning import chart, choose, measure

    functions = client("lambda")
    try:
        original = read_original(functions, function, qualifier)
        points = measure(
            functions,
            client("logs"),
            original,
            read_payload(payload).encode(),
            sizes,
            runs,
            lambda what: click.echo(f"measuring: {what}", err=True),
        )
    except (ClientError, Unsuitable) as error:
        raise click.ClickException(str(error)) from None
    choice = choose(points)
    if as_json:
        click.echo(json.dumps({"points": [asdict(point) for point in points], **asdict(choice)}, indent=2))
        return
    for line in chart(points):
        click.echo(line)
    click.echo(f"\ncheapest {choice.cheapest} MB, fastest {choice.fastest} MB, balanced {choice.balanced} MB")
    click.echo(
        f"now {original.configuration['MemorySize']} MB; warm invocations at AWS's list prices, without the free tier"
    )
