"""Templates: reading, refusing, intrinsic functions, parameters, order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.errors import AwsError
from pilotlight.services.cloudformation.intrinsics import Made, NotYet, Scope, parameter_values
from pilotlight.services.cloudformation.template import Template, order, parse, required_capabilities

TYPES = {"AWS::S3::Bucket", "AWS::IAM::Role", "AWS::Lambda::Function"}


def template(resources: Any = None, **sections: Any) -> Template:
    body = {"Resources": resources or {"A": {"Type": "AWS::S3::Bucket"}}, **sections}
    return parse(json.dumps(body), TYPES)


def scope(**sections: Any) -> Scope:
    found = template({"A": {"Type": "AWS::S3::Bucket"}, "B": {"Type": "AWS::S3::Bucket"}}, **sections)
    made = {"A": Made("bucket-a", {"Arn": "arn:aws:s3:::bucket-a"})}
    return Scope(
        template=found,
        parameters={"P": "value", "L": ["x", "y"]},
        account="123456789012",
        region="us-east-1",
        stack_id="arn:stack",
        stack_name="s",
        exports={"shared": "exported"},
        made=made.get,
    )


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"Ref": "A"}, "bucket-a"),
        ({"Ref": "P"}, "value"),
        ({"Ref": "AWS::AccountId"}, "123456789012"),
        ({"Ref": "AWS::URLSuffix"}, "amazonaws.com"),
        ({"Fn::GetAtt": ["A", "Arn"]}, "arn:aws:s3:::bucket-a"),
        ({"Fn::GetAtt": "A.Arn"}, "arn:aws:s3:::bucket-a"),
        (
            {"Fn::Sub": "x-${A}-${A.Arn}-${AWS::Region}-${!Literal}"},
            "x-bucket-a-arn:aws:s3:::bucket-a-us-east-1-${Literal}",
        ),
        ({"Fn::Sub": ["${name}/${P}", {"name": {"Ref": "A"}}]}, "bucket-a/value"),
        ({"Fn::Join": ["-", ["a", {"Ref": "P"}, 3]]}, "a-value-3"),
        ({"Fn::Join": [",", {"Ref": "L"}]}, "x,y"),
        ({"Fn::Select": [1, {"Ref": "L"}]}, "y"),
        ({"Fn::Split": ["-", "a-b"]}, ["a", "b"]),
        ({"Fn::Base64": "hi"}, "aGk="),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, None),
        ({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": 1}, {"b": 1}),
        ({"Fn::FindInMap": ["M", "k", "n"]}, "mapped"),
        ({"Fn::ImportValue": "shared"}, "exported"),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::Cidr": ["10.0.0.0/24", 2, 5]}, ["10.0.0.0/27", "10.0.0.32/27"]),
    ],
)
def test_a_function_gives_its_value(given: Any, value: Any) -> None:
    conditions = {
        "Yes": {"Fn::Equals": ["a", "a"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
    }
    found = scope(Conditions=conditions, Mappings={"M": {"k": {"n": "mapped"}}}).value(given)
    assert found == value if value is not None else type(found).__name__ == "_NoValue"


def test_what_is_not_made_yet_is_told_apart() -> None:
    with pytest.raises(NotYet):
        scope().value({"Ref": "B"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "JSON not well-formed"),
        ("a: [", "YAML not well-formed"),
        ("[]", "unsupported structure"),
        ("{}", "At least one Resources member must be defined"),
        ('{"Resources": {"A": {}}}', "Every Resources object must contain a Type member"),
        ('{"Resources": {"A-b": {"Type": "AWS::S3::Bucket"}}}', "non alphanumeric"),
        ('{"Resources": {"A": {"Type": "AWS::No::Such"}}}', r"Unrecognized resource types: \[AWS::No::Such\]"),
        ('{"Resources": {"A": {"Type": "AWS::S3::Bucket", "Propertys": {}}}}', "Invalid template resource property"),
        (
            '{"Resources": {"A": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Ref": "X"}}}}}',
            r"Unresolved resource dependencies \[X\] in the Resources block",
        ),
        ('{"Resources": {"A": {"Type": "AWS::S3::Bucket", "DependsOn": "Z"}}}', r"dependencies \[Z\]"),
        ('{"Nonsense": 1, "Resources": {"A": {"Type": "AWS::S3::Bucket"}}}', "Invalid template property"),
    ],
)
def test_what_is_no_template_is_refused(text: str, words: str) -> None:
    with pytest.raises(AwsError, match=words) as caught:
        parse(text, TYPES)
    assert caught.value.code == "ValidationError"


def test_a_circle_is_refused() -> None:
    resources = {
        "A": {"Type": "AWS::S3::Bucket", "DependsOn": "B"},
        "B": {"Type": "AWS::S3::Bucket", "DependsOn": "A"},
    }
    with pytest.raises(AwsError, match=r"Circular dependency between resources: \[A, B\]"):
        template(resources)


def test_resources_come_after_what_they_need() -> None:
    resources = {
        "A": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "${B}-x"}}},
        "B": {"Type": "AWS::S3::Bucket", "DependsOn": ["C"]},
        "C": {"Type": "AWS::S3::Bucket"},
    }
    assert order(template(resources)) == ["C", "B", "A"]


def test_short_tags_are_long_ones() -> None:
    text = (
        "Resources:\n  A:\n    Type: AWS::S3::Bucket\n    Properties:\n      BucketName: !Sub '${AWS::StackName}-x'\n"
    )
    assert parse(text, TYPES).resources["A"].properties == {"BucketName": {"Fn::Sub": "${AWS::StackName}-x"}}


def test_iam_needs_to_be_acknowledged() -> None:
    assert required_capabilities(template({"R": {"Type": "AWS::IAM::Role"}})) == ["CAPABILITY_IAM"]
    named = {"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "x"}}}
    assert required_capabilities(template(named)) == ["CAPABILITY_NAMED_IAM"]
    assert required_capabilities(template()) == []


@pytest.mark.parametrize(
    ("declared", "given", "value"),
    [
        ({"Type": "String", "Default": "d"}, {}, "d"),
        ({"Type": "String"}, {"P": "x"}, "x"),
        ({"Type": "Number"}, {"P": "3"}, "3"),
        ({"Type": "CommaDelimitedList"}, {"P": "a, b"}, ["a", "b"]),
        ({"Type": "String", "Default": "d"}, {"P": None}, "before"),
    ],
)
def test_a_parameter_takes_its_value(declared: Any, given: Any, value: Any) -> None:
    assert parameter_values(template(Parameters={"P": declared}), given, {"P": "before"}) == {"P": value}


@pytest.mark.parametrize(
    ("declared", "given", "words"),
    [
        ({"Type": "String"}, {}, r"Parameters: \[P\] must have values"),
        ({"Type": "String", "Default": ""}, {"Q": "x"}, r"Parameters: \[Q\] do not exist in the template"),
        ({"Type": "Number"}, {"P": "x"}, "must be a number"),
        ({"Type": "String", "AllowedValues": ["a"]}, {"P": "b"}, "must be one of AllowedValues"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, {"P": "A"}, "failed to satisfy constraint"),
        ({"Type": "String", "MinLength": 2}, {"P": "a"}, "at least 2 characters"),
    ],
)
def test_a_parameter_that_breaks_its_rules_is_refused(declared: Any, given: Any, words: str) -> None:
    with pytest.raises(AwsError, match=words):
        parameter_values(template(Parameters={"P": declared}), given, {})
