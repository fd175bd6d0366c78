"""Durable functions as people write them: under AWS's own SDKs, unmodified, in sandboxes, over the wire."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud, launch, stop
from tests.clouds import ISOLATION
from tests.services.awslambda.durable_handlers import PLAIN, PYTHON, node_package, python_layer, zipped

pytestmark = pytest.mark.slow

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicDurableExecutionRolePolicy"
WEEK = {"ExecutionTimeout": 7 * 86_400, "RetentionPeriodInDays": 3}


class Functions:
    """A cloud with durable functions in it: `long`, `short`, `stranger` (whose role lacks the right) and `plain`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.aws = cloud.client("lambda")
        self.iam = cloud.client("iam")

    def create(self) -> None:
        calls = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
        self.role("durable", calls)
        self.iam.attach_role_policy(RoleName="durable", PolicyArn=POLICY)
        self.role("stranger", {"Effect": "Allow", "Action": "logs:*", "Resource": "*"})
        layer = self.aws.publish_layer_version(LayerName="sdk", Content={"ZipFile": python_layer()})
        for name, config in (("long", WEEK), ("short", {"ExecutionTimeout": 600}), ("stranger", WEEK)):
            self.function(name, PYTHON, Layers=[layer["LayerVersionArn"]], DurableConfig=config, Publish=True)
        self.function("plain", PLAIN)

    def role(self, name: str, allow: dict[str, Any]) -> None:
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [TRUST]}))
        self.iam.put_role_policy(
            RoleName=name, PolicyName="own", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        )

    def function(self, name: str, code: str | bytes, **members: Any) -> None:
        role = "stranger" if name == "stranger" else "durable"
        package = code if isinstance(code, bytes) else zipped({"app.py": code})
        self.aws.create_function(
            FunctionName=name,
            Role=f"arn:aws:iam::000000000000:role/{role}",
            Code={"ZipFile": package},
            **{"Runtime": "python3.13", "Handler": "app.handler", "Timeout": 60, "MemorySize": 512, **members},
        )

    def start(self, what: str, *, function: str = "long:1", **event: Any) -> str:
        """Begin it, and return when it waits or has ended."""
        payload = json.dumps({"what": what, **event})
        begun = self.aws.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
        self.cloud.clock.advance()
        return str(begun["DurableExecutionArn"])

    def get(self, arn: str) -> dict[str, Any]:
        return dict(self.aws.get_durable_execution(DurableExecutionArn=arn))

    def result(self, arn: str) -> Any:
        found = self.get(arn)
        assert found["Status"] == "SUCCEEDED", found.get("Error")
        return json.loads(found["Result"])

    def history(self, arn: str) -> list[dict[str, Any]]:
        return list(self.aws.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=1000)["Events"])

    def kinds(self, arn: str) -> list[str]:
        return [event["EventType"] for event in self.history(arn)]

    def callback(self, arn: str) -> str:
        (event,) = [event for event in self.history(arn) if event["EventType"] == "CallbackStarted"]
        return str(event["CallbackStartedDetails"]["CallbackId"])


@pytest.fixture(scope="module")
def functions(sqlite_cloud: Cloud) -> Iterator[Functions]:
    sqlite_cloud.reset()
    made = Functions(sqlite_cloud)
    made.create()
    sqlite_cloud.clock.freeze()
    yield made
    sqlite_cloud.reset()


def test_a_step_that_fails_twice_succeeds_at_its_third_try(functions: Functions) -> None:
    arn = functions.start("steps", order=functions.cloud.clock.now_ms())
    assert functions.get(arn)["Status"] == "RUNNING"
    functions.cloud.clock.advance(seconds=15)
    assert functions.result(arn) == {"tries": 3}
    failures = [event for event in functions.history(arn) if event["EventType"] == "StepFailed"]
    assert [one["StepFailedDetails"]["RetryDetails"] for one in failures] == [
        {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 5},
        {"CurrentAttempt": 2, "NextAttemptDelaySeconds": 10},
    ]


def test_a_step_that_is_given_up_fails_the_execution(functions: Functions) -> None:
    arn = functions.start("steps", order="never", attempts=2)
    functions.cloud.clock.advance(minutes=1)
    found = functions.get(arn)
    assert (found["Status"], found["Error"]["ErrorMessage"]) == ("FAILED", "try 2")


def test_a_day_is_waited_without_running(functions: Functions) -> None:
    arn = functions.start("day")
    functions.cloud.clock.advance(hours=23)
    assert functions.get(arn)["Status"] == "RUNNING"
    functions.cloud.clock.advance(hours=1)
    assert functions.result(arn) == "before/after"
    assert functions.kinds(arn).count("InvocationCompleted") == 2


def test_a_callback_is_answered_from_outside(functions: Functions) -> None:
    arn = functions.start("callback")
    callback = functions.callback(arn)
    functions.cloud.clock.advance(minutes=9)
    functions.aws.send_durable_execution_callback_heartbeat(CallbackId=callback)
    functions.cloud.clock.advance(minutes=9)
    functions.aws.send_durable_execution_callback_success(CallbackId=callback, Result=b'{"approved":true}')
    functions.cloud.clock.advance()
    assert functions.result(arn) == '{"approved":true}'
    with pytest.raises(functions.aws.exceptions.CallbackTimeoutException):
        functions.aws.send_durable_execution_callback_success(CallbackId=callback)


def test_a_callback_fails_or_comes_too_late(functions: Functions) -> None:
    arns = [functions.start("callback") for _ in range(2)]
    functions.aws.send_durable_execution_callback_failure(
        CallbackId=functions.callback(arns[0]), Error={"ErrorMessage": "denied", "ErrorType": "Denied"}
    )
    functions.cloud.clock.advance(minutes=10)
    first, second = (functions.get(arn) for arn in arns)
    assert (first["Status"], second["Status"]) == ("FAILED", "FAILED")
    assert "denied" in first["Error"]["ErrorMessage"]
    assert "heartbeat" in second["Error"]["ErrorMessage"]
    assert "CallbackTimedOut" in functions.kinds(arns[1])


def test_map_and_parallel(functions: Functions) -> None:
    assert functions.result(functions.start("squares")) == [1, 4, 9]
    arn = functions.start("branches")
    functions.cloud.clock.advance(hours=2)
    assert functions.result(arn) == ["quick", "slow"]


def test_functions_call_functions(functions: Functions) -> None:
    arn = functions.start("chain", plain="plain", durable="long:1")
    functions.cloud.clock.advance(days=1)
    assert functions.result(arn) == [{"plain": {"n": 1}}, "before/after"]
    begun = [event for event in functions.history(arn) if event["EventType"] == "ChainedInvokeStarted"]
    child = begun[1]["ChainedInvokeStartedDetails"]["DurableExecutionArn"]
    assert functions.result(child) == "before/after"
    assert "Function not found" in functions.result(functions.start("missing"))


def test_a_state_that_is_too_large_for_one_event_is_fetched_page_by_page(functions: Functions) -> None:
    arn = functions.start("large", count=8)
    functions.cloud.clock.advance(seconds=1)
    assert functions.result(arn) == 8


def test_a_synchronous_invocation_waits_for_the_end(functions: Functions) -> None:
    answer = functions.aws.invoke(FunctionName="short:1", Payload=json.dumps({"what": "squares"}))
    assert json.load(answer["Payload"]) == [1, 4, 9]
    arn = answer["DurableExecutionArn"]
    assert (answer["ExecutedVersion"], functions.get(arn)["Status"]) == ("1", "SUCCEEDED")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-durable-execution-arn"] == arn
    with pytest.raises(ClientError, match="executionTimeout greater than 15 minutes"):
        functions.aws.invoke(FunctionName="long:1")
    failed = functions.aws.invoke(FunctionName="short:1", Payload=json.dumps({"what": "nothing"}))
    assert failed["FunctionError"] == "Unhandled"
    assert json.load(failed["Payload"])["errorType"] == "KeyError"


def test_a_function_url_answers_when_the_execution_has_ended(functions: Functions) -> None:
    aws = functions.aws
    aws.create_alias(FunctionName="short", Name="live", FunctionVersion="1")
    url = aws.create_function_url_config(FunctionName="short", Qualifier="live", AuthType="NONE")["FunctionUrl"]
    for action in ("InvokeFunctionUrl", "InvokeFunction"):
        aws.add_permission(
            FunctionName="short", Qualifier="live", StatementId=action, Action=f"lambda:{action}", Principal="*"
        )
    request = urllib.request.Request(
        functions.cloud.endpoint, headers={"Host": url.split("/")[2]}, data=b"x", method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as failure, urllib.request.urlopen(request):
        pass
    assert failure.value.code == 502  # the handler does not find `what` in the event of a URL
    failure.value.close()
    failed = aws.list_durable_executions_by_function(FunctionName="short", Statuses=["FAILED"])["DurableExecutions"]
    events = [json.loads(functions.get(one["DurableExecutionArn"])["InputPayload"]) for one in failed]
    methods = [event["requestContext"]["http"]["method"] for event in events if "requestContext" in event]
    assert methods == ["POST"]


def test_a_template_makes_a_durable_function(functions: Functions) -> None:
    properties = {
        "FunctionName": "templated",
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/durable",
        "Code": {"ZipFile": "def handler(event, context): return {'Status': 'SUCCEEDED', 'Result': '1'}"},
        "DurableConfig": {"ExecutionTimeout": "60"},
    }
    template = {"Resources": {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}}
    stacks = functions.cloud.client("cloudformation")
    stacks.create_stack(StackName="durable", TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName="durable", WaiterConfig={"Delay": 0.1})
    answer = functions.aws.invoke(FunctionName="templated:$LATEST")
    assert answer["Payload"].read() == b"1"


def test_stopping_and_running_out_of_time(functions: Functions) -> None:
    stopped, late = functions.start("day"), functions.start("day", function="short:1")
    functions.aws.stop_durable_execution(DurableExecutionArn=stopped, Error={"ErrorType": "Enough"})
    functions.cloud.clock.advance(days=1)
    assert (functions.get(stopped)["Status"], functions.get(stopped)["Error"]) == ("STOPPED", {"ErrorType": "Enough"})
    assert functions.get(late)["Status"] == "TIMED_OUT"
    assert functions.kinds(late)[-1] == "ExecutionTimedOut"


def test_a_role_without_the_right_cannot_checkpoint(functions: Functions) -> None:
    found = functions.get(functions.start("day", function="stranger:1"))
    assert found["Status"] == "FAILED"
    assert "not authorized to perform: lambda:CheckpointDurableExecution" in found["Error"]["ErrorMessage"]


def test_under_the_sdk_for_javascript(functions: Functions, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("AWS's SDK for JavaScript comes from npm (Debian: apt-get install npm)")
    try:
        package = node_package(tmp_path)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("npm cannot reach its registry")
    functions.function("node", package, Runtime="nodejs22.x", Handler="index.handler", DurableConfig=WEEK, Publish=True)
    arn = functions.start("", function="node:1", order="1", plain="plain")
    functions.cloud.clock.advance(days=1, seconds=20)
    functions.aws.send_durable_execution_callback_success(CallbackId=functions.callback(arn), Result=b'"yes"')
    functions.cloud.clock.advance()
    result = functions.result(arn)
    assert (result["flaky"], result["squares"], result["plain"]) == (3, [1, 4, 9], {"plain": {"n": 1}})


def test_an_execution_goes_on_after_the_cloud_was_killed(tmp_path: Path) -> None:
    cloud = launch(tmp_path, options=list(ISOLATION))
    try:
        functions = Functions(cloud)
        functions.create()
        cloud.clock.freeze()
        waiting, asked = functions.start("day"), functions.start("callback")
        callback = functions.callback(asked)
        # This one is killed at any moment of its steps: its start is committed, and nothing else is certain.
        event = json.dumps({"what": "squares"})
        caught = functions.aws.invoke(FunctionName="long:1", InvocationType="Event", Payload=event)
        assert cloud.process is not None
        cloud.process.send_signal(signal.SIGKILL)
        cloud.process.wait()
        if cloud.process.stdout is not None:
            cloud.process.stdout.close()
        cloud = launch(tmp_path, options=list(ISOLATION))
        functions = Functions(cloud)
        functions.aws.send_durable_execution_callback_success(CallbackId=callback, Result=b'"yes"')
        cloud.clock.advance(days=1)
        assert functions.result(waiting) == "before/after"
        assert functions.result(asked) == '"yes"'
        assert functions.result(caught["DurableExecutionArn"]) == [1, 4, 9]
    finally:
        stop(cloud)
