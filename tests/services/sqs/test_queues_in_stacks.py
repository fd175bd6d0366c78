"""Queues made, changed and removed by CloudFormation."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.testing.cloud import Cloud

TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Orders": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": "orders",
                "VisibilityTimeout": 60,
                "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 3},
                "Tags": [{"Key": "team", "Value": "a"}],
            },
        },
        "Policy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": "Orders"}],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": []},
            },
        },
        "Line": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": True, "ContentBasedDeduplication": True}},
    },
    "Outputs": {"Url": {"Value": {"Ref": "Orders"}}, "Line": {"Value": {"Fn::GetAtt": ["Line", "QueueName"]}}},
}


def test_a_stack_has_queues(cloud: Cloud) -> None:
    stacks, sqs = cloud.client("cloudformation"), cloud.client("sqs")
    stacks.create_stack(StackName="queues", TemplateBody=json.dumps(TEMPLATE))
    stacks.get_waiter("stack_create_complete").wait(StackName="queues", WaiterConfig={"Delay": 1})
    (stack,) = stacks.describe_stacks(StackName="queues")["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    told = sqs.get_queue_attributes(QueueUrl=outputs["Url"], AttributeNames=["All"])["Attributes"]
    assert told["VisibilityTimeout"] == "60"
    assert json.loads(told["RedrivePolicy"])["maxReceiveCount"] == 3
    assert "Policy" in told
    assert sqs.list_queue_tags(QueueUrl=outputs["Url"])["Tags"]["team"] == "a"
    assert outputs["Line"].endswith(".fifo")

    changed = json.loads(json.dumps(TEMPLATE))
    del changed["Resources"]["Orders"]["Properties"]["VisibilityTimeout"]
    del changed["Resources"]["Policy"]
    stacks.update_stack(StackName="queues", TemplateBody=json.dumps(changed))
    stacks.get_waiter("stack_update_complete").wait(StackName="queues", WaiterConfig={"Delay": 1})
    told = sqs.get_queue_attributes(QueueUrl=outputs["Url"], AttributeNames=["All"])["Attributes"]
    assert told["VisibilityTimeout"] == "30"
    assert "Policy" not in told

    stacks.delete_stack(StackName="queues")
    stacks.get_waiter("stack_delete_complete").wait(StackName="queues", WaiterConfig={"Delay": 1})
    assert "QueueUrls" not in sqs.list_queues()
