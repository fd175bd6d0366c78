"""`pilotlight cost`: what this month's use would cost on AWS."""

from __future__ import annotations

import json

import click

from pilotlight.cli.client import page


@click.command("cost")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show this month's use, metered here, at AWS's list prices, after the free tier."""
    report = page("GET", "/_pilotlight/cost")
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for line in report["lines"]:
        click.echo(f"{line['what']:<52} {line['quantity']:>14,.3f} {line['unit']:<12} ${line['dollars']:>10.4f}")
    click.echo(f"{'total for ' + report['month']:<52} {'':>14} {'':<12} ${report['dollars']:>10.4f}")
