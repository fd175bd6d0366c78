"""Repositories and image functions from a CloudFormation template, as CDK's bootstrap writes the first."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.testing.cloud import Cloud

LAMBDA = {"Service": "lambda.amazonaws.com"}
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
UNTAGGED = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 365}
RULES = {"rules": [{"rulePriority": 1, "selection": UNTAGGED, "action": {"type": "expire"}}]}
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Images": {
            "Type": "AWS::ECR::Repository",
            "Properties": {
                "RepositoryName": "cdk-images",
                "ImageTagMutability": "IMMUTABLE",
                "ImageScanningConfiguration": {"ScanOnPush": "true"},
                "LifecyclePolicy": {"LifecyclePolicyText": json.dumps(RULES)},
                "RepositoryPolicyText": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Principal": LAMBDA, "Action": PULL}],
                },
                "Tags": [{"Key": "a", "Value": "b"}],
            },
        }
    },
    "Outputs": {
        "Uri": {"Value": {"Fn::GetAtt": ["Images", "RepositoryUri"]}},
        "Arn": {"Value": {"Fn::GetAtt": ["Images", "Arn"]}},
        "Name": {"Value": {"Ref": "Images"}},
    },
}
QUICKLY = {"Delay": 0.1, "MaxAttempts": 200}


def test_a_repository_is_made_changed_and_deleted(sqlite_only_cloud: Cloud) -> None:
    stacks, ecr = sqlite_only_cloud.client("cloudformation"), sqlite_only_cloud.client("ecr")
    stacks.create_stack(StackName="s", TemplateBody=json.dumps(TEMPLATE))
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig=QUICKLY)
    outputs = stacks.describe_stacks(StackName="s")["Stacks"][0]["Outputs"]
    found = ecr.describe_repositories(repositoryNames=["cdk-images"])["repositories"][0]
    named = {one["OutputKey"]: one["OutputValue"] for one in outputs}
    assert named == {"Uri": found["repositoryUri"], "Arn": found["repositoryArn"], "Name": "cdk-images"}
    assert (found["imageTagMutability"], found["imageScanningConfiguration"]) == ("IMMUTABLE", {"scanOnPush": True})
    assert json.loads(ecr.get_lifecycle_policy(repositoryName="cdk-images")["lifecyclePolicyText"]) == RULES
    changed = json.loads(json.dumps(TEMPLATE))
    properties = changed["Resources"]["Images"]["Properties"]
    del properties["ImageTagMutability"], properties["LifecyclePolicy"]
    properties["Tags"] = [{"Key": "c", "Value": "d"}]
    stacks.update_stack(StackName="s", TemplateBody=json.dumps(changed))
    stacks.get_waiter("stack_update_complete").wait(StackName="s", WaiterConfig=QUICKLY)
    found = ecr.describe_repositories(repositoryNames=["cdk-images"])["repositories"][0]
    assert found["imageTagMutability"] == "MUTABLE"
    tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert [one for one in tags if not one["Key"].startswith("aws:")] == [{"Key": "c", "Value": "d"}]
    stacks.delete_stack(StackName="s")
    stacks.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig=QUICKLY)
    assert ecr.describe_repositories()["repositories"] == []
