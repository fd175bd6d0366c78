"""ECR's API through boto3: repositories, images, layers, policies, passwords."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud
from tests.images import OCI_IMAGE, Image, RegistryClient, digest_of, image, tar

ARN = "arn:aws:ecr:us-east-1:000000000000:repository/app"


@pytest.fixture
def ecr(cloud: Cloud) -> Any:
    client = cloud.client("ecr")
    client.create_repository(repositoryName="app")
    return client


@pytest.fixture
def registry(cloud: Cloud, ecr: Any) -> RegistryClient:
    return RegistryClient(cloud.endpoint)


def made(text: str = "a") -> Image:
    return image([tar([("file", text.encode())])])


def refused(call: Any, *arguments: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_repository_is_made_shown_and_deleted(cloud: Cloud) -> None:
    ecr = cloud.client("ecr")
    port = cloud.endpoint.rpartition(":")[2]
    shown = ecr.create_repository(repositoryName="a/b", tags=[{"Key": "k", "Value": "v"}])["repository"]
    assert shown["repositoryArn"] == "arn:aws:ecr:us-east-1:000000000000:repository/a/b"
    assert shown["repositoryUri"] == f"000000000000.dkr.ecr.us-east-1.localhost.localstack.cloud:{port}/a/b"
    assert (shown["imageTagMutability"], shown["imageScanningConfiguration"]) == ("MUTABLE", {"scanOnPush": False})
    assert ecr.list_tags_for_resource(resourceArn=shown["repositoryArn"])["tags"] == [{"Key": "k", "Value": "v"}]
    assert ecr.describe_repositories()["repositories"] == [shown]
    ecr.delete_repository(repositoryName="a/b")
    code, message = refused(ecr.describe_repositories, repositoryNames=["a/b"])
    assert code == "RepositoryNotFoundException"
    assert message == "The repository with name 'a/b' does not exist in the registry with id '000000000000'"


def test_repositories_are_listed_in_pages(ecr: Any) -> None:
    for name in ("bb", "cc"):
        ecr.create_repository(repositoryName=name)
    pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
    assert [[one["repositoryName"] for one in page["repositories"]] for page in pages] == [["app", "bb"], ["cc"]]


def test_accounts_and_regions_have_registries_of_their_own(cloud: Cloud, ecr: Any) -> None:
    other = cloud.client("ecr", aws_access_key_id="111111111111", aws_secret_access_key="x")
    assert other.describe_repositories()["repositories"] == []
    assert cloud.client("ecr", region="eu-west-1").describe_repositories()["repositories"] == []


@pytest.mark.parametrize("name", ["ab-", "Upper", "trailing/", "a//b", "-a", "x" * 257])
def test_names_that_cannot_be_are_refused(ecr: Any, name: str) -> None:
    assert refused(ecr.create_repository, repositoryName=name)[0] == "InvalidParameterException"


def test_a_repository_is_made_once_and_kept_while_it_has_images(ecr: Any, registry: RegistryClient) -> None:
    code, message = refused(ecr.create_repository, repositoryName="app")
    assert code == "RepositoryAlreadyExistsException"
    assert message == "The repository with name 'app' already exists in the registry with id '000000000000'"
    registry.push("app", made())
    assert refused(ecr.delete_repository, repositoryName="app")[0] == "RepositoryNotEmptyException"
    ecr.delete_repository(repositoryName="app", force=True)


def test_an_image_is_put_got_and_described(ecr: Any, registry: RegistryClient) -> None:
    pushed = made()
    registry.push("app", pushed, "v1")
    again = ecr.put_image(repositoryName="app", imageManifest=pushed.manifest.decode(), imageTag="v2")["image"]
    assert again["imageId"] == {"imageDigest": pushed.digest, "imageTag": "v2"}
    got = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}, {"imageTag": "none"}, {}])
    assert [one["imageManifest"].encode() for one in got["images"]] == [pushed.manifest]
    assert [one["failureCode"] for one in got["failures"]] == ["ImageNotFound", "MissingDigestAndTag"]
    detail = ecr.describe_images(repositoryName="app")["imageDetails"][0]
    assert (detail["imageTags"], detail["imageManifestMediaType"]) == (["v1", "v2"], OCI_IMAGE)
    assert detail["imageSizeInBytes"] == sum(map(len, pushed.blobs.values()))
    assert "lastRecordedPullTime" in detail


def test_images_are_listed_by_tag_and_without(ecr: Any, registry: RegistryClient) -> None:
    tagged, untagged = made("1"), made("2")
    registry.push("app", tagged, "v1")
    registry.push("app", untagged)
    both = [{"imageDigest": tagged.digest, "imageTag": "v1"}, {"imageDigest": untagged.digest}]
    key = lambda one: one["imageDigest"]  # noqa: E731
    assert sorted(ecr.list_images(repositoryName="app")["imageIds"], key=key) == sorted(both, key=key)
    assert ecr.list_images(repositoryName="app", filter={"tagStatus": "TAGGED"})["imageIds"] == both[:1]
    assert ecr.list_images(repositoryName="app", filter={"tagStatus": "UNTAGGED"})["imageIds"] == both[1:]
    pages = ecr.get_paginator("list_images").paginate(repositoryName="app", PaginationConfig={"PageSize": 1})
    assert sorted([one for page in pages for one in page["imageIds"]], key=key) == sorted(both, key=key)


def test_the_same_image_with_the_same_tag_exists_already(ecr: Any, registry: RegistryClient) -> None:
    pushed = made()
    registry.push("app", pushed, "v1")
    put = {"repositoryName": "app", "imageManifest": pushed.manifest.decode(), "imageTag": "v1"}
    assert refused(ecr.put_image, **put)[0] == "ImageAlreadyExistsException"


def test_deleting_by_tag_and_by_digest(ecr: Any, registry: RegistryClient) -> None:
    pushed = made()
    for tag in ("v1", "v2", "v3"):
        registry.push("app", pushed, tag)
    one = ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    assert one["imageIds"] == [{"imageDigest": pushed.digest, "imageTag": "v1"}]
    rest = ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": pushed.digest}])
    assert [image["imageTag"] for image in rest["imageIds"]] == ["v2", "v3"]
    again = ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": pushed.digest}])
    assert [one["failureCode"] for one in again["failures"]] == ["ImageNotFound"]


def test_an_image_of_a_list_stays_while_the_list_does(ecr: Any, registry: RegistryClient) -> None:
    pushed, index = made(), "application/vnd.oci.image.index.v1+json"
    registry.push("app", pushed)
    described = {"mediaType": OCI_IMAGE, "digest": pushed.digest, "size": len(pushed.manifest)}
    listed = json.dumps({"schemaVersion": 2, "mediaType": index, "manifests": [described]}).encode()
    registry.push("app", Image(listed, {}, index), "many")
    answer = ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": pushed.digest}])
    assert [one["failureCode"] for one in answer["failures"]] == ["ImageReferencedByManifestList"]
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "many"}])
    assert ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": pushed.digest}])["failures"] == []


def test_mutability_with_exclusions(ecr: Any, registry: RegistryClient) -> None:
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    answer = ecr.put_image_tag_mutability(
        repositoryName="app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
    )
    assert answer["imageTagMutabilityExclusionFilters"] == filters
    first, second = made("1"), made("2")
    for tag in ("v1", "dev-1"):
        registry.push("app", first, tag)
    registry.push("app", second, "dev-1")
    put = {"repositoryName": "app", "imageManifest": second.manifest.decode(), "imageTag": "v1"}
    assert refused(ecr.put_image, **put)[0] == "ImageTagAlreadyExistsException"


def test_a_layer_by_the_api(cloud: Cloud, ecr: Any) -> None:
    data = bytes(range(256)) * 100
    upload = ecr.initiate_layer_upload(repositoryName="app")
    part = {"repositoryName": "app", "uploadId": upload["uploadId"]}
    code, _ = refused(ecr.upload_layer_part, **part, partFirstByte=1, partLastByte=3, layerPartBlob=b"abc")
    assert code == "InvalidLayerPartException"
    ecr.upload_layer_part(**part, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
    wrong = digest_of(b"other")
    assert refused(ecr.complete_layer_upload, **part, layerDigests=[wrong])[0] == "InvalidLayerException"
    digest = digest_of(data)
    assert ecr.complete_layer_upload(**part, layerDigests=[digest])["layerDigest"] == digest
    checked = ecr.batch_check_layer_availability(repositoryName="app", layerDigests=[digest, wrong])["layers"]
    assert [one["layerAvailability"] for one in checked] == ["AVAILABLE", "UNAVAILABLE"]
    address = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]
    host = address.split("/")[2]
    request = urllib.request.Request(address.replace(host, cloud.endpoint.split("/")[2]), headers={"Host": host})
    with urllib.request.urlopen(request) as response:
        assert response.read() == data
    stolen = request.full_url.replace(digest, wrong)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(stolen, headers={"Host": host}))


@pytest.mark.parametrize(
    "text",
    ["not json", "{}", '{"Statement": [{"Effect": "Allow", "Action": "s3:*", "Principal": "*"}]}',
     '{"Statement": [{"Effect": "Maybe", "Action": "ecr:*", "Principal": "*"}]}',
     '{"Statement": [{"Effect": "Allow", "Action": "ecr:*"}]}'],
)  # fmt: skip
def test_policies_that_say_nothing_are_refused(ecr: Any, text: str) -> None:
    code, message = refused(ecr.set_repository_policy, repositoryName="app", policyText=text)
    assert code == "InvalidParameterException"
    assert message == (
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"
    )


def test_a_policy_that_locks_its_author_out_wants_force(ecr: Any) -> None:
    text = '{"Statement": [{"Effect": "Deny", "Action": "ecr:*", "Principal": "*"}]}'
    assert refused(ecr.set_repository_policy, repositoryName="app", policyText=text)[0] == "InvalidParameterException"
    ecr.set_repository_policy(repositoryName="app", policyText=text, force=True)
    assert ecr.get_repository_policy(repositoryName="app")["policyText"] == text
    ecr.delete_repository_policy(repositoryName="app")
    assert refused(ecr.get_repository_policy, repositoryName="app")[0] == "RepositoryPolicyNotFoundException"


@pytest.fixture
def reader(cloud: Cloud, ecr: Any) -> RegistryClient:
    """A user who may ask for a password, and otherwise what policies say, at the registry."""
    iam = cloud.client("iam")
    iam.create_user(UserName="reader")
    allow = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    own = cloud.client("ecr", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    token = own.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return RegistryClient(cloud.endpoint, user=user, password=password)


def test_a_password_stands_for_who_asked_for_it(ecr: Any, registry: RegistryClient, reader: RegistryClient) -> None:
    registry.push("app", made(), "v1")
    assert reader("GET", "/v2/").status == 200
    denied = reader("GET", "/v2/app/manifests/v1")
    assert (denied.status, denied.codes) == (403, ["DENIED"])
    principal = {"AWS": "arn:aws:iam::000000000000:user/reader"}
    allow = {"Effect": "Allow", "Principal": principal, "Action": "ecr:BatchGetImage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    ecr.set_repository_policy(repositoryName="app", policyText=policy)
    assert reader("GET", "/v2/app/manifests/v1").status == 200
    assert reader("PUT", "/v2/app/manifests/v2", b"{}").codes == ["DENIED"]


def test_another_account_comes_in_by_the_repositorys_policy_and_its_own(cloud: Cloud, ecr: Any) -> None:
    other = cloud.client("ecr", aws_access_key_id="111111111111", aws_secret_access_key="x")
    found = other.describe_repositories(registryId="000000000000", repositoryNames=["app"])["repositories"]
    assert [one["registryId"] for one in found] == ["000000000000"]


LIFECYCLE = {
    "rules": [
        {"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPrefixList": ["keep"],
         "countType": "imageCountMoreThan", "countNumber": 5}, "action": {"type": "expire"}},
        {"rulePriority": 2, "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days",
         "countNumber": 3}, "action": {"type": "expire"}},
    ]
}  # fmt: skip


def test_a_lifecycle_policy_expires_images_when_they_are_due(cloud: Cloud, ecr: Any, registry: RegistryClient) -> None:
    kept, old = made("kept"), made("old")
    registry.push("app", kept, "keep-1")
    registry.push("app", old, "v1")
    text = json.dumps(LIFECYCLE)
    ecr.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=text)
    preview = ecr.get_lifecycle_policy_preview(repositoryName="app")
    assert (preview["status"], preview["previewResults"]) == ("COMPLETE", [])
    assert ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text)["lifecyclePolicyText"] == text
    cloud.clock.advance(days=2)
    assert len(ecr.list_images(repositoryName="app")["imageIds"]) == 2
    cloud.clock.advance(days=1, seconds=1)
    assert [one["imageTag"] for one in ecr.list_images(repositoryName="app")["imageIds"]] == ["keep-1"]
    cloud.clock.advance(days=2)
    layers = [digest for digest in old.blobs if digest not in kept.blobs]
    checked = ecr.batch_check_layer_availability(repositoryName="app", layerDigests=layers)["layers"]
    assert {one["layerAvailability"] for one in checked} == {"UNAVAILABLE"}
    for digest, data in kept.blobs.items():
        assert registry("GET", f"/v2/app/blobs/{digest}").body == data


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"countType": "sinceImagePushed"}, "InvalidParameterException"),
        ({"tagStatus": "tagged"}, "InvalidParameterException"),
        ({"countNumber": 0}, "InvalidParameterException"),
        ({"surprise": 1}, "InvalidParameterException"),
        ({"countType": "sinceImagePulled"}, "NotImplemented"),
    ],
)
def test_lifecycle_policies_that_cannot_be_are_refused(ecr: Any, rule: dict[str, Any], code: str) -> None:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1, **rule}
    body = {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}
    text = json.dumps(body)
    assert refused(ecr.put_lifecycle_policy, repositoryName="app", lifecyclePolicyText=text)[0] == code
    assert refused(ecr.get_lifecycle_policy, repositoryName="app")[0] == "LifecyclePolicyNotFoundException"


def test_what_is_not_here_is_refused_by_name(ecr: Any) -> None:
    kms = {"encryptionType": "KMS"}
    assert refused(ecr.create_repository, repositoryName="k2", encryptionConfiguration=kms)[0] == "NotImplemented"
    rules = {"rules": []}
    for call, parameters in (
        (ecr.start_image_scan, {"repositoryName": "app", "imageId": {"imageTag": "v1"}}),
        (ecr.put_replication_configuration, {"replicationConfiguration": rules}),
        (ecr.describe_image_scan_findings, {"repositoryName": "app", "imageId": {"imageTag": "v1"}}),
    ):
        assert refused(call, **parameters)[0] == "NotImplemented"


def test_tags_of_resources(ecr: Any) -> None:
    ecr.tag_resource(resourceArn=ARN, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ecr.untag_resource(resourceArn=ARN, tagKeys=["a"])
    assert ecr.list_tags_for_resource(resourceArn=ARN)["tags"] == [{"Key": "b", "Value": "2"}]
    assert refused(ecr.tag_resource, resourceArn=ARN, tags=[{"Key": "aws:x", "Value": ""}])[0] == (
        "InvalidTagParameterException"
    )
