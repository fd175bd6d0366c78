"""A stack takes nothing that is somebody else's, gives back what it replaced, and leaves no operation standing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import WaiterError
from tests.services.cloudformation.test_stacks import FAST, TRUST, Stacks, group

from pilotlight.testing.cloud import Cloud

pytestmark = pytest.mark.slow

BAD = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 8}}


@pytest.fixture
def stacks(sqlite_only_cloud: Cloud) -> Stacks:
    return Stacks(sqlite_only_cloud)


def reasons(stacks: Stacks) -> str:
    events = stacks.client.describe_stack_events(StackName="s")["StackEvents"]
    return " | ".join(event.get("ResourceStatusReason", "") for event in events)


def foreign(cloud: Cloud) -> list[dict[str, Any]]:
    cloud.client("s3").create_bucket(Bucket="theirs")
    cloud.client("s3").put_object(Bucket="theirs", Key="k", Body=b"precious")
    cloud.client("logs").create_log_group(logGroupName="theirs")
    cloud.client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument="""{"Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole"}]}""")  # fmt: skip
    return [
        {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "theirs"}},
        group("theirs"),
        {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "theirs", "AssumeRolePolicyDocument": TRUST}},
    ]


def test_what_is_somebody_elses_is_neither_taken_nor_deleted(stacks: Stacks) -> None:
    for number, resource in enumerate(foreign(stacks.cloud)):
        with pytest.raises(WaiterError):
            stacks.create({"Thing": resource}, name=f"s{number}")
        assert stacks.status(f"s{number}") == "ROLLBACK_COMPLETE"
        stacks.delete(f"s{number}")
    assert stacks.cloud.client("s3").get_object(Bucket="theirs", Key="k")["Body"].read() == b"precious"
    assert len(stacks.cloud.client("logs").describe_log_groups()["logGroups"]) == 1
    assert stacks.cloud.client("iam").get_role(RoleName="theirs")


def test_a_second_try_does_not_take_it_either(stacks: Stacks) -> None:
    resource = foreign(stacks.cloud)[0]
    with pytest.raises(WaiterError):
        stacks.create({"Thing": resource}, DisableRollback=True)
    assert stacks.status() == "CREATE_FAILED"
    assert "already exists" in reasons(stacks)
    stacks.delete()
    assert stacks.cloud.client("s3").get_object(Bucket="theirs", Key="k")["Body"].read() == b"precious"


def test_a_half_made_resource_is_removed_by_the_rollback(stacks: Stacks) -> None:
    with pytest.raises(WaiterError):
        stacks.create({"Half": group("half", RetentionInDays=8)})
    assert stacks.status() == "ROLLBACK_COMPLETE"
    assert stacks.cloud.client("logs").describe_log_groups()["logGroups"] == []


def test_a_replacement_that_is_rolled_back_leaves_the_first_one_with_its_data(stacks: Stacks) -> None:
    def resources(name: str, **more: Any) -> dict[str, Any]:
        return {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}}, **more}

    stacks.create(resources("first"))
    s3 = stacks.cloud.client("s3")
    s3.put_object(Bucket="first", Key="k", Body=b"precious")
    with pytest.raises(WaiterError):
        stacks.update(resources("second", Bad={**BAD, "DependsOn": "Bucket"}))
    stacks.client.get_waiter("stack_rollback_complete").wait(StackName="s", WaiterConfig=FAST)
    assert stacks.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.physical("Bucket") == "first"
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["first"]
    assert s3.get_object(Bucket="first", Key="k")["Body"].read() == b"precious"
    stacks.update(resources("first", Good=group("good")))
    assert s3.get_object(Bucket="first", Key="k")["Body"].read() == b"precious"


def test_an_update_whose_outputs_fail_is_rolled_back(stacks: Stacks) -> None:
    stacks.create({"A": group("a")}, name="other", sections={"Outputs": {"O": {"Value": "1", "Export": {"Name": "x"}}}})
    stacks.create({"B": group("b", RetentionInDays=7)})
    with pytest.raises(WaiterError):
        stacks.update({"B": group("b", RetentionInDays=14)}, Outputs={"O": {"Value": "2", "Export": {"Name": "x"}}})
    stacks.client.get_waiter("stack_rollback_complete").wait(StackName="s", WaiterConfig=FAST)
    assert "Export with name x is already exported by stack other" in reasons(stacks)
    groups = stacks.cloud.client("logs").describe_log_groups(logGroupNamePrefix="b")["logGroups"]
    assert [one["retentionInDays"] for one in groups] == [7]


def test_an_update_that_failed_and_was_left_so_is_followed_by_another(stacks: Stacks) -> None:
    stacks.create({"A": group("a", RetentionInDays=7)})
    stacks.client.update_stack(
        StackName="s",
        TemplateBody='{"Resources": {"A": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "a", '
        '"RetentionInDays": 8}}}}',
        DisableRollback=True,
    )
    with pytest.raises(WaiterError):
        stacks.client.get_waiter("stack_update_complete").wait(StackName="s", WaiterConfig=FAST)
    assert stacks.status() == "UPDATE_FAILED"
    stacks.update({"A": group("a", RetentionInDays=14)})
    (found,) = stacks.cloud.client("logs").describe_log_groups()["logGroups"]
    assert found["retentionInDays"] == 14


def test_what_is_to_be_kept_is_kept_by_a_rollback_unless_it_says_except_on_create(stacks: Stacks) -> None:
    resources = {
        "Kept": {**group("kept"), "DeletionPolicy": "Retain"},
        "Gone": {**group("gone"), "DeletionPolicy": "RetainExceptOnCreate"},
        "Bad": {**BAD, "DependsOn": ["Kept", "Gone"]},
    }
    with pytest.raises(WaiterError):
        stacks.create(resources)
    assert [one["logGroupName"] for one in stacks.cloud.client("logs").describe_log_groups()["logGroups"]] == ["kept"]
