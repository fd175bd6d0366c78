"""Stacks over the wire: made, changed, rolled back, deleted; change sets; exports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from pilotlight.testing.cloud import Cloud

pytestmark = pytest.mark.slow

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
FAST = {"Delay": 1, "MaxAttempts": 60}


class Stacks:
    def __init__(self, cloud: Cloud) -> None:
        self.client = cloud.client("cloudformation")
        self.cloud = cloud

    def create(self, resources: Any, *, name: str = "s", wait: bool = True, **options: Any) -> str:
        body = json.dumps({"Resources": resources, **options.pop("sections", {})})
        stack = self.client.create_stack(
            StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"], **options
        )["StackId"]
        if wait:
            self.client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=FAST)
        return str(stack)

    def update(self, resources: Any, *, name: str = "s", **sections: Any) -> None:
        body = json.dumps({"Resources": resources, **sections})
        self.client.update_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"])
        self.client.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=FAST)

    def delete(self, name: str = "s") -> None:
        self.client.delete_stack(StackName=name)
        self.client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=FAST)

    def status(self, name: str = "s") -> str:
        return str(self.client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    def events(self, name: str = "s") -> list[tuple[str, str]]:
        pages = self.client.get_paginator("describe_stack_events").paginate(StackName=name)
        events = [event for page in pages for event in page["StackEvents"]]
        return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(events)]

    def physical(self, logical_id: str, name: str = "s") -> str:
        detail = self.client.describe_stack_resource(StackName=name, LogicalResourceId=logical_id)
        return str(detail["StackResourceDetail"]["PhysicalResourceId"])


@pytest.fixture
def stacks(cloud: Cloud) -> Stacks:
    return Stacks(cloud)


def group(name: str | None = None, **properties: Any) -> dict[str, Any]:
    named = {"LogGroupName": name} if name else {}
    return {"Type": "AWS::Logs::LogGroup", "Properties": {**named, **properties}}


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


def test_a_stack_is_made_in_order_and_deleted_in_reverse(stacks: Stacks) -> None:
    stack = stacks.create(
        {
            "Second": {**group(), "DependsOn": "First"},
            "First": {"Type": "AWS::S3::Bucket"},
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
        }
    )
    events = stacks.events()
    assert events[0] == ("s", "CREATE_IN_PROGRESS")
    assert events[-1] == ("s", "CREATE_COMPLETE")
    assert events.index(("First", "CREATE_COMPLETE")) < events.index(("Second", "CREATE_IN_PROGRESS"))
    assert stacks.physical("First").startswith("s-first-")
    stacks.delete()
    events = stacks.events(stack)
    assert events.index(("Second", "DELETE_COMPLETE")) < events.index(("First", "DELETE_IN_PROGRESS"))
    assert stacks.status(stack) == "DELETE_COMPLETE"
    assert stacks.cloud.client("s3").list_buckets()["Buckets"] == []
    with pytest.raises(ClientError) as error:
        stacks.status()
    assert refused(error) == ("ValidationError", "Stack with id s does not exist")


def test_an_update_changes_adds_replaces_and_removes(stacks: Stacks) -> None:
    stacks.create({"Kept": group("kept"), "Replaced": group("old"), "Removed": group("removed")})
    stacks.update({"Kept": group("kept", RetentionInDays=7), "Replaced": group("new"), "Added": group("added")})
    groups = stacks.cloud.client("logs").describe_log_groups()["logGroups"]
    assert {one["logGroupName"]: one.get("retentionInDays") for one in groups} == {
        "kept": 7,
        "new": None,
        "added": None,
    }
    assert stacks.physical("Replaced") == "new"
    with pytest.raises(ClientError) as error:
        stacks.update({"Kept": group("kept", RetentionInDays=7), "Replaced": group("new"), "Added": group("added")})
    assert refused(error) == ("ValidationError", "No updates are to be performed.")


def test_a_failed_creation_is_rolled_back(stacks: Stacks) -> None:
    bad = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 8}, "DependsOn": "Good"}
    with pytest.raises(WaiterError):
        stacks.create({"Good": {"Type": "AWS::S3::Bucket"}, "Bad": bad})
    assert stacks.status() == "ROLLBACK_COMPLETE"
    assert ("Good", "DELETE_COMPLETE") in stacks.events()
    assert stacks.cloud.client("s3").list_buckets()["Buckets"] == []


def test_a_failed_update_goes_back_to_what_was(stacks: Stacks) -> None:
    stacks.create({"Group": group("g", RetentionInDays=7)})
    with pytest.raises(WaiterError):
        stacks.update({"Group": group("g", RetentionInDays=14), "Bad": {**group(Nonsense=1), "DependsOn": "Group"}})
    stacks.client.get_waiter("stack_rollback_complete").wait(StackName="s", WaiterConfig=FAST)
    assert stacks.status() == "UPDATE_ROLLBACK_COMPLETE"
    (found,) = stacks.cloud.client("logs").describe_log_groups()["logGroups"]
    assert found["retentionInDays"] == 7


def test_a_bucket_with_objects_stands_in_the_way(stacks: Stacks) -> None:
    stacks.create({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "full"}}})
    stacks.cloud.client("s3").put_object(Bucket="full", Key="k", Body=b"x")
    with pytest.raises(WaiterError):
        stacks.delete()
    assert stacks.status() == "DELETE_FAILED"
    stacks.cloud.client("s3").delete_object(Bucket="full", Key="k")
    stacks.delete()


def test_a_change_set_is_shown_and_executed(stacks: Stacks) -> None:
    body = json.dumps({"Resources": {"Group": group("g")}})
    made = stacks.client.create_change_set(
        StackName="s", ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=body
    )
    stacks.client.get_waiter("change_set_create_complete").wait(ChangeSetName=made["Id"], WaiterConfig=FAST)
    assert stacks.status() == "REVIEW_IN_PROGRESS"
    found = stacks.client.describe_change_set(ChangeSetName=made["Id"])
    assert [change["ResourceChange"]["Action"] for change in found["Changes"]] == ["Add"]
    stacks.client.execute_change_set(ChangeSetName=made["Id"])
    stacks.client.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig=FAST)
    again = stacks.client.create_change_set(StackName="s", ChangeSetName="same", TemplateBody=body)
    found = stacks.client.describe_change_set(ChangeSetName=again["Id"])
    assert found["Status"] == "FAILED"
    assert found["StatusReason"].startswith("The submitted information didn't contain changes.")


def test_exports_are_shared_and_protected(stacks: Stacks) -> None:
    outputs = {"Outputs": {"Name": {"Value": {"Ref": "Group"}, "Export": {"Name": "the-group"}}}}
    stacks.create({"Group": group("exported")}, name="giver", sections=outputs)
    imported = {"Fn::Join": ["-", [{"Fn::ImportValue": "the-group"}, "copy"]]}
    stacks.create({"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": imported}}}, name="taker")
    assert stacks.physical("Group", "taker") == "exported-copy"
    assert stacks.client.list_imports(ExportName="the-group")["Imports"] == ["taker"]
    with pytest.raises(ClientError) as error:
        stacks.client.delete_stack(StackName="giver")
    assert refused(error)[1] == "Export the-group cannot be deleted as it is in use by taker"
    stacks.delete("taker")
    stacks.delete("giver")
    assert stacks.client.list_exports()["Exports"] == []


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ({"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}}, "InsufficientCapabilitiesException"),
        ({"R": {"Type": "AWS::EC2::Instance"}}, "ValidationError"),
        ({}, "ValidationError"),
    ],
)
def test_what_cannot_be_a_stack_is_refused_at_once(stacks: Stacks, template: Any, code: str) -> None:
    with pytest.raises(ClientError) as error:
        stacks.client.create_stack(StackName="s", TemplateBody=json.dumps({"Resources": template}))
    assert refused(error)[0] == code


def test_a_name_that_is_taken_is_refused(stacks: Stacks) -> None:
    stacks.create({"Group": group()})
    with pytest.raises(ClientError) as error:
        stacks.create({"Group": group()}, wait=False)
    assert refused(error) == ("AlreadyExistsException", "Stack [s] already exists")


def test_protection_stands_in_the_way_of_deletion(stacks: Stacks) -> None:
    stacks.create({"Group": group()}, EnableTerminationProtection=True)
    with pytest.raises(ClientError) as error:
        stacks.client.delete_stack(StackName="s")
    assert refused(error)[1] == "Stack [s] cannot be deleted while TerminationProtection is enabled"


def test_a_reference_to_what_a_condition_leaves_out_fails_the_stack_and_no_other(stacks: Stacks) -> None:
    never = {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}}
    gone = {**group("gone"), "Condition": "Never"}
    with pytest.raises(WaiterError):
        stacks.create({"Gone": gone, "User": group(LogGroupName={"Ref": "Gone"})}, sections=never)
    assert stacks.status() == "ROLLBACK_COMPLETE"
    outputs = {**never, "Outputs": {"Name": {"Value": {"Ref": "Gone"}}}}
    with pytest.raises(WaiterError):
        stacks.create({"Gone": gone, "Here": group("here")}, name="t", sections=outputs)
    assert stacks.status("t") == "ROLLBACK_COMPLETE"
    stacks.create({"Group": group()}, name="other")


def test_a_condition_that_is_not_there_is_refused_at_once(stacks: Stacks) -> None:
    with pytest.raises(ClientError) as error:
        stacks.create({"Group": {**group(), "Condition": "Nope"}}, wait=False)
    where = "in the Resources block of the template"
    assert refused(error)[1] == f"Template format error: Unresolved condition dependency Nope {where}"


def test_a_condition_that_cannot_be_told_stops_no_other_stack(stacks: Stacks) -> None:
    bad = {"Conditions": {"Bad": {"Fn::Equals": [{"Fn::FindInMap": ["No", "such", "map"]}, "a"]}}}
    with pytest.raises(WaiterError):
        stacks.create({"Group": {**group(), "Condition": "Bad"}}, sections=bad)
    assert stacks.status() == "CREATE_FAILED"
    stacks.create({"Group": group()}, name="other")
