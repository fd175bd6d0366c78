"""Access control lists, in buckets that still take them."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

NAMED = {"Bucket": "lists", "Key": "k"}
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(Bucket="lists", ObjectOwnership="ObjectWriter")
    client.delete_public_access_block(Bucket="lists")
    client.put_object(**NAMED, Body=b"x")
    return client


def visit(cloud: Cloud, path: str) -> int:
    try:
        with urllib.request.urlopen(cloud.endpoint + path) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_canned_list_lets_everybody_read(sqlite_only_cloud: Cloud, s3: Any) -> None:
    assert visit(sqlite_only_cloud, "/lists/k") == 403
    s3.put_object_acl(**NAMED, ACL="public-read")
    assert visit(sqlite_only_cloud, "/lists/k") == 200
    grants = s3.get_object_acl(**NAMED)["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL", "READ"]
    assert grants[1]["Grantee"] == {"Type": "Group", "URI": EVERYBODY}
    assert visit(sqlite_only_cloud, "/lists?list-type=2") == 403
    s3.put_bucket_acl(Bucket="lists", ACL="public-read")
    assert visit(sqlite_only_cloud, "/lists?list-type=2") == 200
    s3.put_object_acl(**NAMED, ACL="private")
    assert visit(sqlite_only_cloud, "/lists/k") == 403
    s3.put_object(**NAMED, Body=b"x", ACL="public-read")
    assert visit(sqlite_only_cloud, "/lists/k") == 200
    s3.put_object(**NAMED, Body=b"x")
    assert visit(sqlite_only_cloud, "/lists/k") == 403


def test_public_lists_are_blocked_or_ignored(sqlite_only_cloud: Cloud, s3: Any) -> None:
    s3.put_object_acl(**NAMED, ACL="public-read")
    s3.put_public_access_block(Bucket="lists", PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert visit(sqlite_only_cloud, "/lists/k") == 403
    s3.put_public_access_block(Bucket="lists", PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    assert visit(sqlite_only_cloud, "/lists/k") == 200
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object_acl(**NAMED, ACL="public-read")
    s3.put_bucket_ownership_controls(
        Bucket="lists", OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    assert visit(sqlite_only_cloud, "/lists/k") == 403
    assert len(s3.get_object_acl(**NAMED)["Grants"]) == 1
    with pytest.raises(ClientError, match="AccessControlListNotSupported"):
        s3.put_object_acl(**NAMED, ACL="public-read")


def test_grants_come_as_headers_or_as_a_document(s3: Any) -> None:
    owner = s3.get_bucket_acl(Bucket="lists")["Owner"]
    s3.put_object_acl(**NAMED, GrantRead=f'uri="{EVERYBODY}", id="{owner["ID"]}"')
    assert [grant["Permission"] for grant in s3.get_object_acl(**NAMED)["Grants"]] == ["READ", "READ"]
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": owner["ID"]}, "Permission": "WRITE_ACP"}]
    s3.put_bucket_acl(Bucket="lists", AccessControlPolicy={"Owner": owner, "Grants": grants})
    assert s3.get_bucket_acl(Bucket="lists")["Grants"] == grants
    for given, code in (
        ({"ACL": "public-read", "GrantRead": f'uri="{EVERYBODY}"'}, "InvalidRequest"),
        ({"GrantRead": 'id="nobody"'}, "InvalidArgument"),
        ({"GrantRead": 'uri="http://elsewhere"'}, "InvalidArgument"),
        ({"ACL": "public"}, "InvalidArgument"),
        ({}, "MissingSecurityHeader"),
    ):
        with pytest.raises(ClientError, match=code):
            s3.put_object_acl(**NAMED, **given)


def test_new_bucket_blocks_public_lists(sqlite_only_cloud: Cloud, s3: Any) -> None:
    with pytest.raises(ClientError, match="InvalidBucketAclWithObjectOwnership"):
        s3.create_bucket(Bucket="other", ACL="public-read")
    with pytest.raises(ClientError, match="InvalidBucketAclWithBlockPublicAccessError"):
        s3.create_bucket(Bucket="other", ACL="public-read", ObjectOwnership="ObjectWriter")
