"""`pilotlight logs`: a function's log, as it stands or as it grows."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from pilotlight.cli.client import client

FOLLOW_SECONDS = 0.3


@click.command("logs")
@click.argument("function")
@click.option("--follow", "-f", is_flag=True, help="Go on showing new lines until interrupted.")
@click.option("--filter", "pattern", default="", help="A CloudWatch Logs filter pattern.")
@click.option("--limit", default=200, show_default=True, help="The last lines to begin with.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def command(function: str, follow: bool, pattern: str, limit: int, as_json: bool) -> None:
    """Show the log of FUNCTION (a name, or a whole log group that starts with a slash)."""
    from botocore.exceptions import ClientError

    group = function if function.startswith("/") else f"/aws/lambda/{function}"
    logs = client("logs")
    seen: set[str] = set()
    since = 0
    try:
        while True:
            events = _events(logs, group, pattern, since)
            fresh = [event for event in events if event["eventId"] not in seen]
            for event in fresh if since else fresh[-limit:]:
                _show(event, as_json)
            seen |= {event["eventId"] for event in fresh}
            since = max([since, *(event["timestamp"] for event in events)])
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise click.ClickException(f"{group} does not exist: nothing was logged yet") from None
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        return


def _events(logs: Any, group: str, pattern: str, since: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for found in logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern=pattern, startTime=since
    ):
        events += found["events"]
    return sorted(events, key=lambda event: event["timestamp"])


def _show(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        fields = {"timestamp": event["timestamp"], "stream": event["logStreamName"], "message": event["message"]}
        click.echo(json.dumps(fields))
    else:
        click.echo(event["message"].rstrip("\n"))
