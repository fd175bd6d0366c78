"""Other parts of the cloud publish: workflows, and the article's dispatcher."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from pilotlight.testing.cloud import Cloud
from tests.services.awslambda.wire import ROLE, make_function, make_role, zipped
from tests.services.sns.conftest import Peer
from tests.services.sns.test_topics import a_queue, received, settle

DISPATCHER = """
import boto3, json
def handler(event, context):
    key = event["Records"][0]["s3"]["object"]["key"]
    boto3.client("sns").publish(TopicArn="arn:aws:sns:us-east-1:123:uploads", Message=key)
"""
WORKER = """
import boto3
def handler(event, context):
    text = context.function_name + " " + event["Records"][0]["Sns"]["Message"]
    boto3.client("sqs").send_message(QueueUrl="http://127.0.0.1:4566/000000000000/out", MessageBody=text)
"""


def grant(cloud: Cloud) -> None:
    make_role(cloud)
    rights = {"Statement": [{"Effect": "Allow", "Action": ["sqs:*", "sns:*"], "Resource": "*"}]}
    cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps(rights))


def test_a_workflow_publishes_to_a_topic_of_the_sample_account(cloud: Cloud) -> None:
    sns, states = cloud.client("sns"), cloud.client("stepfunctions")
    grant(cloud)
    url, arn = a_queue(cloud)
    topic = sns.create_topic(Name="uploads")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicArn": "arn:aws:sns:us-east-1:123:uploads", "Message": "from a workflow"},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Tell", "States": {"Tell": task}})
    machine = states.create_state_machine(name="m", definition=definition, roleArn=ROLE)["stateMachineArn"]
    states.start_execution(stateMachineArn=machine)
    assert [message["Body"] for message in received(cloud, url)] == ["from a workflow"]


@pytest.mark.slow
def test_an_upload_fans_out_to_four_functions(cloud: Cloud) -> None:
    sns, functions = cloud.client("sns"), cloud.client("lambda")
    grant(cloud)
    url, _ = a_queue(cloud, "out")
    topic = sns.create_topic(Name="uploads")["TopicArn"]
    sources: dict[str, Any] = {"dispatcher": ("s3.amazonaws.com", "arn:aws:s3:::pictures", DISPATCHER)}
    sources |= {f"worker-{number}": ("sns.amazonaws.com", topic, WORKER) for number in range(4)}
    arns = {}
    for name, (principal, source, code) in sources.items():
        arns[name] = make_function(cloud, name, zipped(app_py=code), Timeout=60)["FunctionArn"]
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        functions.add_permission(
            FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal=principal, SourceArn=source
        )
        if name != "dispatcher":
            sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arns[name])
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="pictures")
    wanted = {"LambdaFunctionArn": arns["dispatcher"], "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="pictures", NotificationConfiguration={"LambdaFunctionConfigurations": [wanted]}
    )
    s3.put_object(Bucket="pictures", Key="cat.jpg", Body=b"x")
    told = sorted(message["Body"] for message in received(cloud, url))
    assert told == [f"worker-{number} cat.jpg" for number in range(4)]


SUBSCRIBER = """
import boto3
def handler(event, context):
    try:
        return boto3.client(event["service"]).__getattribute__(event["call"])(**event["request"])["ResponseMetadata"]
    except Exception as refused:
        return str(refused)
"""


def test_a_functions_subscription_does_not_borrow_the_hosts_place(cloud: Cloud, peer: Peer) -> None:
    """Whatever the function is allowed: its sandbox does not reach the host, and what it sets in motion does not."""
    make_role(cloud)
    rights = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps(rights))
    make_function(cloud, "f", zipped(app_py=SUBSCRIBER))
    cloud.client("lambda").get_waiter("function_active_v2").wait(FunctionName="f")
    topic = cloud.client("sns").create_topic(Name="news")["TopicArn"]

    def from_inside(service: str, call: str, **request: Any) -> Any:
        event = json.dumps({"service": service, "call": call, "request": request})
        return json.load(cloud.client("lambda").invoke(FunctionName="f", Payload=event)["Payload"])

    wanted = {"TopicArn": topic, "Protocol": "http", "Endpoint": peer.url}
    assert "public IPv4 addresses only" in from_inside("sns", "subscribe", **wanted)
    resource = {"Type": "AWS::SNS::Subscription", "Properties": wanted}
    template = json.dumps({"Resources": {"S": resource}})
    assert from_inside("cloudformation", "create_stack", StackName="s", TemplateBody=template)["HTTPStatusCode"] == 200
    with pytest.raises(WaiterError, match="ROLLBACK_COMPLETE"):
        cloud.client("cloudformation").get_waiter("stack_create_complete").wait(StackName="s")

    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sns:subscribe", "Parameters": wanted, "End": True}
    machine = cloud.client("stepfunctions").create_state_machine(
        name="m", roleArn=ROLE, definition=json.dumps({"StartAt": "T", "States": {"T": task}})
    )["stateMachineArn"]
    begun = cloud.client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"]
    settle(cloud)
    ended = cloud.client("stepfunctions").describe_execution(executionArn=begun)
    assert ended["status"] == "FAILED"
    assert "public IPv4 addresses only" in ended["cause"]

    assert cloud.client("sns").list_subscriptions()["Subscriptions"] == []
    assert peer.seen == []
    cloud.client("sns").subscribe(**wanted)
    settle(cloud)
    assert len(peer.seen) == 1
