"""boto3 against a gateway that has IAM and STS: signatures, enforcement and the shapes on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud
from tests.services.iam.conftest import LAMBDA_TRUST, document

Client = Callable[..., Any]


@pytest.fixture
def endpoint(cloud: Cloud) -> str:
    return cloud.endpoint


@pytest.fixture
def client(endpoint: str) -> Iterator[Client]:
    made = []

    def make(service: str, access_key: str = "test", secret: str = "test", token: str | None = None) -> Any:
        made.append(
            boto3.client(
                service,
                endpoint_url=endpoint,
                region_name="us-east-1",
                aws_access_key_id=access_key,
                aws_secret_access_key=secret,
                aws_session_token=token,
                config=Config(retries={"max_attempts": 0}),
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error, meta = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    return error["Code"], error["Message"], meta["HTTPStatusCode"]


@pytest.mark.slow
def test_roles_and_policies_through_boto3(client: Client) -> None:
    iam = client("iam")
    made = iam.create_role(RoleName="R", AssumeRolePolicyDocument=LAMBDA_TRUST, Tags=[{"Key": "a", "Value": "b"}])
    assert made["Role"]["AssumeRolePolicyDocument"] == json.loads(LAMBDA_TRUST)
    role = iam.get_role(RoleName="R")["Role"]
    assert (role["Tags"], role["CreateDate"].year >= 2026) == ([{"Key": "a", "Value": "b"}], True)
    iam.put_role_policy(RoleName="R", PolicyName="p", PolicyDocument=document("s3:*"))
    assert iam.get_role_policy(RoleName="R", PolicyName="p")["PolicyDocument"] == json.loads(document("s3:*"))
    assert refusal(iam.get_role, RoleName="Q") == ("NoSuchEntity", "The role with name Q cannot be found.", 404)
    assert refusal(iam.delete_role, RoleName="R")[::2] == ("DeleteConflict", 409)
    names = [policy["PolicyName"] for page in iam.get_paginator("list_policies").paginate(Scope="AWS", MaxItems=7)
             for policy in page["Policies"]]  # fmt: skip
    assert len(names) == len(set(names)) > 40
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName="nobody")
    assert refusal(iam.list_mfa_devices)[::2] == ("NotImplemented", 501)
    details = iam.get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
    assert details[0]["RolePolicyList"][0]["PolicyName"] == "p"
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Roles"] == 1


@pytest.mark.slow
def test_users_are_verified_and_enforced(client: Client) -> None:
    iam = client("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    ada = (key["AccessKeyId"], key["SecretAccessKey"])
    assert client("sts", *ada).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/ada"
    code, message, status = refusal(client("iam", *ada).get_role, RoleName="R")
    assert (code, status) == ("AccessDenied", 403)
    assert message == (
        "User: arn:aws:iam::000000000000:user/ada is not authorized to perform: iam:GetRole on resource: "
        "arn:aws:iam::000000000000:role/R because no identity-based policy allows the iam:GetRole action"
    )
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    assert refusal(client("iam", *ada).get_role, RoleName="R")[0] == "NoSuchEntity"
    wrong = client("sts", key["AccessKeyId"], "wrong")
    assert refusal(wrong.get_caller_identity)[::2] == ("SignatureDoesNotMatch", 403)
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refusal(client("sts", *ada).get_caller_identity) == (
        "InvalidClientTokenId", "The security token included in the request is invalid.", 403,
    )  # fmt: skip


@pytest.mark.slow
def test_assumed_roles_act_as_their_role(client: Client) -> None:
    iam, sts = client("iam"), client("sts")
    trust = LAMBDA_TRUST.replace('"Service": "lambda.amazonaws.com"', '"AWS": "000000000000"')
    role = iam.create_role(RoleName="R", AssumeRolePolicyDocument=trust)["Role"]
    iam.put_role_policy(RoleName="R", PolicyName="p", PolicyDocument=document("iam:ListUsers"))
    taken = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="one")
    assert taken["Credentials"]["Expiration"] > role["CreateDate"]
    keys = [taken["Credentials"][name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    identity = client("sts", *keys).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/R/one"
    assert identity["UserId"] == f"{role['RoleId']}:one"
    assert client("iam", *keys).list_users()["Users"] == []
    assert refusal(client("iam", *keys).list_roles)[0] == "AccessDenied"
    assert refusal(client("sts", *keys[:2]).get_caller_identity)[0] == "InvalidClientTokenId"
    chosen = client("sts", "123456789012", "x").get_caller_identity()
    assert chosen["Account"] == "123456789012"
