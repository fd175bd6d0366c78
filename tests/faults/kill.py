"""`make faults`: under load, the platform is killed at random moments; whatever it acknowledged must be there.

Four loads run at once: objects into S3, items into DynamoDB, asynchronous invocations of a function that writes an
item, and stacks that are created. After each kill the cloud is started again in the same directory, and
everything that was acknowledged is looked up.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pilotlight.testing.cloud import Cloud, launch, stop

BUCKET, TABLE, FUNCTION = "kept", "kept", "writer"
SETTLE_SECONDS = 60
CODE = """
import boto3
table = boto3.resource("dynamodb").Table("kept")
def handler(event, context):
    table.put_item(Item={"id": "event-" + event["id"]})
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
RIGHTS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}]}
QUICK = Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, read_timeout=20, connect_timeout=5)


@dataclass
class Acknowledged:
    """What the cloud said yes to."""

    objects: dict[str, str] = field(default_factory=dict)
    items: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    stacks: dict[str, str] = field(default_factory=dict)
    """Name → created or deleted: the last thing that was accepted."""
    failures: list[str] = field(default_factory=list)


def package() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("writer.py", (2026, 1, 1, 0, 0, 0)), CODE)
    return data.getvalue()


def prepare(cloud: Cloud) -> None:
    cloud.client("s3").create_bucket(Bucket=BUCKET)
    cloud.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    iam = cloud.client("iam")
    iam.create_role(RoleName="writer", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="writer", PolicyName="write", PolicyDocument=json.dumps(RIGHTS))
    cloud.client("lambda").create_function(
        FunctionName=FUNCTION,
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="writer.handler",
        Role="arn:aws:iam::000000000000:role/writer",
        Code={"ZipFile": package()},
        Timeout=30,
    )


class Load:
    """Four threads that work until they are told to stop, or until the cloud is gone."""

    def __init__(self, cloud: Cloud, kept: Acknowledged, round_number: int) -> None:
        self._kept = kept
        self._round = round_number
        self._stop = threading.Event()
        works = {"s3": self._objects, "dynamodb": self._items, "lambda": self._events, "cloudformation": self._stacks}
        clients = {service: cloud.client(service, config=QUICK) for service in works}
        self._threads = [
            threading.Thread(target=self._run, args=(work, clients[service])) for service, work in works.items()
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Any, client: Any) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                work(client, f"{self._round}-{number}")
                number += 1
        except (BotoCoreError, ClientError, OSError) as error:
            # While it dies it may answer nothing, or hang up; it must not answer that a thing is wrong.
            if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                self._kept.failures.append(str(error))

    def _objects(self, client: Any, name: str) -> None:
        body = (name * 20_000).encode()  # too large to be kept in its row
        client.put_object(Bucket=BUCKET, Key=name, Body=body)
        self._kept.objects[name] = hashlib.md5(body).hexdigest()

    def _items(self, client: Any, name: str) -> None:
        for part in range(20):
            client.put_item(TableName=TABLE, Item={"id": {"S": f"item-{name}-{part}"}})
            self._kept.items.add(f"item-{name}-{part}")

    def _events(self, client: Any, name: str) -> None:
        for part in range(5):
            identity = f"{name}-{part}"
            client.invoke(FunctionName=FUNCTION, InvocationType="Event", Payload=json.dumps({"id": identity}).encode())
            self._kept.events.add(f"event-{identity}")

    def _stacks(self, client: Any, name: str) -> None:
        stack = f"s{name}"
        resources = {
            "Group": {"Type": "AWS::Logs::LogGroup"},
            "Bucket": {"Type": "AWS::S3::Bucket", "DependsOn": "Group"},
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
        }
        client.create_stack(
            StackName=stack, TemplateBody=json.dumps({"Resources": resources}), Capabilities=["CAPABILITY_IAM"]
        )
        self._kept.stacks[stack] = "CREATE_COMPLETE"
        self._stop.wait(0.1)


def verify(cloud: Cloud, kept: Acknowledged) -> list[str]:
    """What is missing, in words."""
    missing = list(kept.failures)
    s3, dynamodb, stacks = cloud.client("s3"), cloud.client("dynamodb"), cloud.client("cloudformation")
    found = {
        entry["Key"]: entry["ETag"].strip('"')
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for entry in page.get("Contents", [])
    }
    missing += [f"object {key}" for key, digest in kept.objects.items() if found.get(key) != digest]
    for key in list(kept.objects)[-5:]:
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        if hashlib.md5(body).hexdigest() != kept.objects[key]:
            missing.append(f"content of {key}")
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        items = {
            item["id"]["S"]
            for page in dynamodb.get_paginator("scan").paginate(TableName=TABLE)
            for item in page["Items"]
        }
        if kept.events <= items or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    missing += [f"item {one}" for one in sorted(kept.items - items)]
    missing += [f"event {one}" for one in sorted(kept.events - items)]
    for name, status in kept.stacks.items():
        while True:
            state = stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
            if not state.endswith("IN_PROGRESS") or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if state != status:
            missing.append(f"stack {name} is {state}")
    return missing


def orphans(cloud: Cloud, directory: Path) -> list[str]:
    """Blobs that no object has, once the cloud has had the time to collect them."""
    pages = cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    objects = sum(page["KeyCount"] for page in pages)
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        blobs = sum(1 for path in (directory / "data" / "blobs").glob("*/*/*") if path.is_file())
        if blobs == objects:
            return []
        if time.monotonic() > deadline:
            return [f"{blobs} blobs for {objects} objects"]
        time.sleep(0.1)


def remains(directory: Path) -> list[str]:
    """Processes and mounts that outlive the cloud."""
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in command:
            left.append(f"process {folder.name}: {command[:120]}")
    mounts = Path("/proc/mounts").read_text().splitlines()
    return left + [f"mount {line}" for line in mounts if str(directory) in line]


def run(rounds: int, seed: int, options: list[str], say: Any) -> list[str]:
    """Kill and verify `rounds` times; everything that went wrong, in words."""
    dice, kept = random.Random(seed), Acknowledged()
    with tempfile.TemporaryDirectory(prefix="pilotlight-faults-") as name:
        directory = Path(name)
        cloud = launch(directory, options=options)
        prepare(cloud)
        for number in range(rounds):
            with Load(cloud, kept, number):
                time.sleep(dice.uniform(0.05, 1.5))
                assert cloud.process is not None
                cloud.process.kill()
                cloud.process.wait()
            assert cloud.process.stdout is not None
            cloud.process.stdout.close()
            started = time.monotonic()
            cloud = launch(directory, options=options)
            took = time.monotonic() - started
            wrong = verify(cloud, kept)
            say(
                f"round {number + 1}: {len(kept.objects)} objects, {len(kept.items)} items, {len(kept.events)} events, "
                f"{len(kept.stacks)} stacks kept; ready again in {took:.2f} s"
                + (f"; WRONG: {wrong[:3]}" if wrong else "")
            )
            if wrong:
                stop(cloud)
                return wrong
        left = orphans(cloud, directory)
        stop(cloud)
        return left + remains(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="options for `pilotlight up`")
    given = parser.parse_args()
    wrong = run(given.rounds, given.seed, given.options, print)
    print("nothing lost, nothing left" if not wrong else "\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
