"""The article's AWS CLI calls, as it prints them, with the real AWS CLI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pilotlight.testing.cloud import Cloud
from tests.journeys.commands import SAMPLES
from tests.services.awslambda import wire

BIN = Path(sys.executable).parent
SNIPPETS = SAMPLES / "snippets" / "aws-cli.sh"


def shell(cloud: Cloud, command: str) -> Any:
    environment = {**os.environ, **cloud.environment, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not SNIPPETS.is_file(), reason="the article's snippets are not beside this checkout")
@pytest.mark.skipif(not (BIN / "aws").exists(), reason="the AWS CLI is not installed beside this Python")
def test_the_first_two_commands_of_the_article(sqlite_only_cloud: Cloud) -> None:
    cloud = sqlite_only_cloud
    wire.make_role(cloud)
    wire.make_function(cloud, "my-api-handler", wire.zipped(app_py="def handler(e, c): return e"), Publish=True)
    cloud.client("lambda").create_alias(FunctionName="my-api-handler", Name="prod", FunctionVersion="1")
    code = wire.zipped(Handler_class="none is run here")
    wire.make_function(cloud, "my-java-function", code, Runtime="java21", Handler="example.Handler::handleRequest")

    provision, snap_start, *_ = re.findall(r"^aws (?:.*\\\n)*.*$", SNIPPETS.read_text(), re.M)
    told = shell(cloud, provision)
    assert (told["RequestedProvisionedConcurrentExecutions"], told["Status"]) == (50, "IN_PROGRESS")
    told = shell(cloud, snap_start)
    assert told["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}


@pytest.mark.slow
@pytest.mark.skipif(not SNIPPETS.is_file(), reason="the article's snippets are not beside this checkout")
@pytest.mark.skipif(not (BIN / "aws").exists(), reason="the AWS CLI is not installed beside this Python")
def test_the_third_command_reads_orders_from_their_queue(sqlite_only_cloud: Cloud) -> None:
    cloud = sqlite_only_cloud
    wire.make_role(cloud)
    rights = {"Statement": [{"Effect": "Allow", "Action": ["sqs:*", "logs:*"], "Resource": "*"}]}
    cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="read", PolicyDocument=json.dumps(rights))
    queue = cloud.client("sqs").create_queue(QueueName="order-queue")["QueueUrl"]
    code = "def handler(e, c): print('orders', len(e['Records'])); return {'batchItemFailures': []}"
    wire.make_function(cloud, "process-orders", wire.zipped(app_py=code))

    *_, mapping = re.findall(r"^aws (?:.*\\\n)*.*$", SNIPPETS.read_text(), re.M)
    told = shell(cloud, mapping)
    assert told["EventSourceArn"] == "arn:aws:sqs:us-east-1:000000000000:order-queue"
    assert (told["BatchSize"], told["MaximumBatchingWindowInSeconds"]) == (10, 5)
    cloud.clock.freeze()
    for number in range(3):
        cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=str(number))
    cloud.clock.advance(seconds=6)
    events = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/process-orders")["events"]
    assert "orders 3\n" in [event["message"] for event in events]
