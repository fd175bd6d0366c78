"""A bucket's settings from a CloudFormation template."""

from __future__ import annotations

import json

from pilotlight.testing.cloud import Cloud

TEMPLATE = {
    "Resources": {
        "Site": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": "stacked",
                "ObjectLockEnabled": True,
                "ObjectLockConfiguration": {
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": "1"}},
                },
                "LifecycleConfiguration": {
                    "Rules": [
                        {"Id": "tmp", "Status": "Enabled", "Prefix": "tmp/", "ExpirationInDays": "7"},
                        {
                            "Id": "old",
                            "Status": "Enabled",
                            "TagFilters": [{"Key": "a", "Value": "b"}],
                            "ObjectSizeGreaterThan": "5",
                            "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
                        },
                    ]
                },
                "WebsiteConfiguration": {
                    "IndexDocument": "index.html",
                    "RoutingRules": [
                        {"RoutingRuleCondition": {"KeyPrefixEquals": "a"}, "RedirectRule": {"ReplaceKeyWith": "b"}}
                    ],
                },
            },
        }
    }
}


def test_settings_are_made_and_taken_away(sqlite_only_cloud: Cloud) -> None:
    stacks, s3 = sqlite_only_cloud.client("cloudformation"), sqlite_only_cloud.client("s3")
    stacks.create_stack(StackName="s", TemplateBody=json.dumps(TEMPLATE))
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig={"Delay": 0.1, "MaxAttempts": 100})
    rules = s3.get_bucket_lifecycle_configuration(Bucket="stacked")["Rules"]
    assert rules[0] == {
        "ID": "tmp", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 7},
    }  # fmt: skip
    assert rules[1]["Filter"] == {"And": {"ObjectSizeGreaterThan": 5, "Tags": [{"Key": "a", "Value": "b"}]}}
    site = s3.get_bucket_website(Bucket="stacked")
    assert site["IndexDocument"] == {"Suffix": "index.html"}
    assert site["RoutingRules"] == [{"Condition": {"KeyPrefixEquals": "a"}, "Redirect": {"ReplaceKeyWith": "b"}}]
    lock = s3.get_object_lock_configuration(Bucket="stacked")["ObjectLockConfiguration"]
    assert lock["Rule"] == {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
