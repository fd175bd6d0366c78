"""`make demo`: start a cloud, deploy the picture service, use it, and tell what happened and what it would cost."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from pilotlight.testing.cloud import Cloud, start

FOLDER = Path(__file__).parent / "pictures"
BUCKET = "pictures-dev"
WAIT_SECONDS = 30


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(cloud: Cloud, *arguments: str) -> str:
    """A command of ours, as a user types it."""
    environment = {**os.environ, **cloud.environment}
    done = subprocess.run(
        [sys.executable, "-m", "pilotlight", *arguments], env=environment, check=True, text=True, stdout=subprocess.PIPE
    )
    return done.stdout


def picture() -> bytes:
    """A photograph's stand-in: 1600 × 1200, with something in it."""
    image = Image.radial_gradient("L").resize((1600, 1200)).convert("RGB")
    data = io.BytesIO()
    image.save(data, "JPEG", quality=92)
    return data.getvalue()


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    raise SystemExit("it did not happen in time; see the log of the cloud")


def timed(functions: Any, function: str, event: dict[str, Any]) -> float:
    started = time.perf_counter()
    answer = functions.invoke(FunctionName=function, Payload=json.dumps(event).encode())
    milliseconds = (time.perf_counter() - started) * 1000
    payload = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise SystemExit(f"{function} failed: {payload}")
    return milliseconds


def main() -> None:
    say("starting a cloud …")
    with start(options=sys.argv[1:]) as cloud:
        say(f"  {cloud.endpoint}")
        say(run(cloud, "deploy", str(FOLDER), "--param", f"minor={sys.version_info.minor}"))
        tell(cloud)
        run(cloud, "remove", str(FOLDER), "--empty-buckets", "--param", f"minor={sys.version_info.minor}")
        say("\nremoved. `pilotlight up` starts a cloud that stays.")


def tell(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    data = picture()
    say(f"uploading uploads/sunset.jpg, {len(data):,} bytes, 1600 × 1200")
    started = time.perf_counter()
    s3.put_object(Bucket=BUCKET, Key="uploads/sunset.jpg", Body=data, ContentType="image/jpeg")
    wait_for(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="thumbnails/").get("Contents"))
    took = (time.perf_counter() - started) * 1000
    thumbnail = s3.get_object(Bucket=BUCKET, Key="thumbnails/sunset.jpg")["Body"].read()
    width, height = Image.open(io.BytesIO(thumbnail)).size
    say(
        f"  thumbnails/sunset.jpg, {len(thumbnail):,} bytes, {width} × {height}, {took:.0f} ms after the upload began\n"
    )

    routes = cloud.client("apigatewayv2")
    api = routes.get_apis()["Items"][0]["ApiId"]
    url = f"{cloud.endpoint}/_aws/execute-api/{api}/pictures/sunset"
    with urllib.request.urlopen(url) as response:
        say(f"GET {url}\n  {response.status} {response.read().decode()}\n")

    record = {"s3": {"bucket": {"name": BUCKET}, "object": {"key": "uploads/sunset.jpg"}}}
    events = {
        "pictures-dev-shrink": {"Records": [record]},
        "pictures-dev-describe": {"pathParameters": {"name": "sunset"}},
    }
    functions = cloud.client("lambda")
    say("invoking by name           cold        warm")
    for function, event in events.items():
        # The HTTP request has warmed `describe`: a new environment makes its next start a cold one again.
        functions.update_function_configuration(FunctionName=function, Description="cold again")
        cold = timed(functions, function, event)
        warm = min(timed(functions, function, event) for _ in range(3))
        say(f"  {function:<22} {cold:>7.1f} ms  {warm:>7.1f} ms")

    say("\nthe last lines of the log of `shrink`")
    for line in run(cloud, "logs", "pictures-dev-shrink").splitlines()[-5:]:
        say(f"  {line}")
    say("\nthis month on AWS")
    say(run(cloud, "cost"))


main()
