"""`pilotlight invoke`: call a function, and show its answer and its log."""

from __future__ import annotations

import base64
import json
import sys

import click

from pilotlight.cli.client import client
from pilotlight.cli.payloads import read_payload


@click.command("invoke")
@click.argument("function")
@click.option("--payload", default="{}", help="JSON, or @FILE, or - for standard input.")
@click.option("--qualifier", help="A version or an alias.")
@click.option("--async", "asynchronous", is_flag=True, help="Do not wait for the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print status, log and answer as JSON.")
def command(function: str, payload: str, qualifier: str | None, asynchronous: bool, as_json: bool) -> None:
    """Invoke FUNCTION (a name or an ARN). The answer goes to standard output, the log to standard error."""
    from botocore.exceptions import ClientError

    arguments = {"FunctionName": function, "Payload": read_payload(payload).encode()}
    if qualifier:
        arguments["Qualifier"] = qualifier
    arguments |= {"InvocationType": "Event"} if asynchronous else {"LogType": "Tail"}
    try:
        result = client("lambda").invoke(**arguments)
    except ClientError as error:
        raise click.ClickException(str(error)) from None
    answer = result["Payload"].read().decode()
    log = base64.b64decode(result.get("LogResult", "")).decode(errors="replace")
    if as_json:
        fields = {"status": result["StatusCode"], "error": result.get("FunctionError"), "log": log, "payload": answer}
        click.echo(json.dumps(fields))
    else:
        click.echo(log, err=True, nl=False)
        click.echo(answer or f"accepted, status {result['StatusCode']}")
    if result.get("FunctionError"):
        sys.exit(1)
