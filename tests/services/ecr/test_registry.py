"""The registry over raw HTTP: what clients do, and what they must be refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.testing.cloud import Cloud
from tests.images import OCI_IMAGE, Image, RegistryClient, digest_of, image, tar

HOST = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def ecr(cloud: Cloud) -> Any:
    client = cloud.client("ecr")
    client.create_repository(repositoryName="team/app")
    return client


@pytest.fixture
def registry(cloud: Cloud, ecr: Any) -> RegistryClient:
    return RegistryClient(cloud.endpoint)


@pytest.fixture
def pushed(registry: RegistryClient) -> Image:
    made = image([tar([("hello", b"world" * 1000)])])
    registry.push("team/app", made, "v1")
    return made


def test_a_pushed_image_is_pulled_as_it_was(registry: RegistryClient, pushed: Image) -> None:
    answer = registry("GET", "/v2/team/app/manifests/v1")
    assert (answer.status, answer.body) == (200, pushed.manifest)
    assert answer.headers["content-type"] == OCI_IMAGE
    assert answer.headers["docker-content-digest"] == pushed.digest
    for digest, data in pushed.blobs.items():
        assert registry("GET", f"/v2/team/app/blobs/{digest}").body == data


def test_heads_have_lengths_and_no_bodies(registry: RegistryClient, pushed: Image) -> None:
    digest, data = next(iter(pushed.blobs.items()))
    blob = registry("HEAD", f"/v2/team/app/blobs/{digest}")
    assert (blob.status, blob.headers["content-length"], blob.body) == (200, str(len(data)), b"")
    manifest = registry("HEAD", "/v2/team/app/manifests/v1")
    assert (manifest.headers["content-length"], manifest.body) == (str(len(pushed.manifest)), b"")


@pytest.mark.parametrize(
    ("asked", "status", "piece"),
    [("bytes=2-5", 206, slice(2, 6)), ("bytes=-4", 206, slice(-4, None)), ("bytes=3-", 206, slice(3, None))],
)
def test_a_blob_is_sent_in_part(registry: RegistryClient, pushed: Image, asked: str, status: int, piece: slice) -> None:
    digest, data = next(iter(pushed.blobs.items()))
    answer = registry("GET", f"/v2/team/app/blobs/{digest}", headers={"Range": asked})
    assert (answer.status, answer.body) == (status, data[piece])


def test_a_range_behind_the_end_is_refused(registry: RegistryClient, pushed: Image) -> None:
    digest, data = next(iter(pushed.blobs.items()))
    answer = registry("GET", f"/v2/team/app/blobs/{digest}", headers={"Range": f"bytes={len(data)}-"})
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(data)}")


def test_an_upload_in_chunks_becomes_a_layer(registry: RegistryClient) -> None:
    data = bytes(range(256)) * 500
    started = registry("POST", "/v2/team/app/blobs/uploads/", b"")
    assert started.status == 202
    place = started.headers["location"]
    first = registry("PATCH", place, data[:1000], {"Content-Range": "0-999"})
    assert (first.status, first.headers["range"]) == (202, "0-999")
    assert registry("GET", first.headers["location"]).headers["range"] == "0-999"
    again = registry("PATCH", place, data[:1000], {"Content-Range": "0-999"})
    assert (again.status, again.headers["range"]) == (416, "0-999")
    assert registry("PATCH", place, data[1000:90_000]).status == 202
    done = registry("PUT", f"{place}?digest={digest_of(data)}", data[90_000:])
    assert done.status == 201
    assert registry("GET", done.headers["location"]).body == data
    assert registry("GET", place).codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_an_upload_can_be_given_up(registry: RegistryClient) -> None:
    place = registry("POST", "/v2/team/app/blobs/uploads/", b"").headers["location"]
    assert registry("DELETE", place).status == 204
    assert registry("PATCH", place, b"x").codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_a_layer_is_taken_over_from_another_repository(ecr: Any, registry: RegistryClient, pushed: Image) -> None:
    ecr.create_repository(repositoryName="other")
    digest, data = next(iter(pushed.blobs.items()))
    answer = registry("POST", f"/v2/other/blobs/uploads/?mount={digest}&from=team/app", b"")
    assert answer.status == 201
    ecr.delete_repository(repositoryName="team/app", force=True)
    assert registry("GET", f"/v2/other/blobs/{digest}").body == data


def test_what_cannot_be_taken_over_is_to_be_uploaded(registry: RegistryClient) -> None:
    answer = registry("POST", f"/v2/team/app/blobs/uploads/?mount={digest_of(b'no')}&from=missing", b"")
    assert answer.status == 202


def test_tags_are_listed_in_pages(registry: RegistryClient, pushed: Image) -> None:
    for tag in ("b", "a", "c"):
        registry.push("team/app", pushed, tag)
    first = registry("GET", "/v2/team/app/tags/list?n=3")
    assert json.loads(first.body) == {"name": "team/app", "tags": ["a", "b", "c"]}
    following = first.headers["link"].partition(">")[0].removeprefix("<")
    last = registry("GET", following)
    assert (json.loads(last.body)["tags"], "link" in last.headers) == (["v1"], False)


def test_referrers_are_found_by_their_subject(registry: RegistryClient, pushed: Image) -> None:
    subject = {"mediaType": OCI_IMAGE, "digest": pushed.digest, "size": len(pushed.manifest)}
    signature = image([tar([("s", b"signed")])], subject=subject, artifactType="application/vnd.test.signature")
    digest = registry.push("team/app", signature)
    found = json.loads(registry("GET", f"/v2/team/app/referrers/{pushed.digest}").body)["manifests"]
    assert [(one["digest"], one["artifactType"]) for one in found] == [(digest, "application/vnd.test.signature")]
    none = registry("GET", f"/v2/team/app/referrers/{digest_of(b'?')}")
    assert (none.status, json.loads(none.body)["manifests"]) == (200, [])


def test_the_last_tag_takes_the_image_with_it(registry: RegistryClient, pushed: Image) -> None:
    registry.push("team/app", pushed, "v2")
    assert registry("DELETE", "/v2/team/app/manifests/v2").status == 202
    assert registry("GET", f"/v2/team/app/manifests/{pushed.digest}").status == 200
    assert registry("DELETE", "/v2/team/app/manifests/v1").status == 202
    assert registry("GET", f"/v2/team/app/manifests/{pushed.digest}").codes == ["MANIFEST_UNKNOWN"]


def test_a_host_name_says_which_registry(cloud: Cloud, pushed: Image) -> None:
    assert RegistryClient(cloud.endpoint, host=HOST)("GET", "/v2/team/app/manifests/v1").status == 200
    elsewhere = HOST.replace("000000000000", "111111111111")
    assert RegistryClient(cloud.endpoint, host=elsewhere)("GET", "/v2/team/app/manifests/v1").codes == ["NAME_UNKNOWN"]
    west = HOST.replace("us-east-1", "us-west-2")
    assert RegistryClient(cloud.endpoint, host=west)("GET", "/v2/team/app/manifests/v1").codes == ["NAME_UNKNOWN"]


def test_without_a_password_there_is_a_challenge(registry: RegistryClient) -> None:
    registry.authorization = ""
    answer = registry("GET", "/v2/")
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


WRONG = digest_of(b"something else")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/team/app/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/team/none/manifests/v1", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/Team/app/manifests/v1", 400, "NAME_INVALID"),
        ("GET", "/v2/team/app/manifests/sha256:short", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/team/app/blobs/{WRONG}", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/team/app/blobs/md5:0123", 400, "DIGEST_INVALID"),
        ("DELETE", f"/v2/team/app/blobs/{WRONG}", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/team/app/blobs/uploads/none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("POST", f"/v2/team/app/blobs/uploads/?digest={WRONG}", 400, "DIGEST_INVALID"),
        ("PUT", "/v2/team/app/manifests/v9", 400, "MANIFEST_INVALID"),
        ("PUT", "/v2/team/app/manifests/.wrong", 400, "TAG_INVALID"),
        ("GET", "/v2/team/app/tags/list?n=some", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/team/app/nothing", 404, "NAME_INVALID"),
    ],
)
def test_refusals(registry: RegistryClient, method: str, path: str, status: int, code: str) -> None:
    answer = registry(method, path, b"some bytes" if method != "GET" else None)
    assert (answer.status, answer.codes) == (status, [code])


def test_a_manifest_needs_its_layers(registry: RegistryClient) -> None:
    made = image([tar([("a", b"b")])])
    answer = registry("PUT", "/v2/team/app/manifests/v1", made.manifest, {"Content-Type": OCI_IMAGE})
    assert (answer.status, answer.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"])


def test_a_manifest_is_what_its_digest_says(registry: RegistryClient, pushed: Image) -> None:
    answer = registry("PUT", f"/v2/team/app/manifests/{WRONG}", pushed.manifest, {"Content-Type": OCI_IMAGE})
    assert answer.codes == ["DIGEST_INVALID"]


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b'{"schemaVersion": 1}', b'{"schemaVersion": 2, "mediaType": "text/plain"}',
     b'{"schemaVersion": 2, "config": {}, "layers": []}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(registry: RegistryClient, body: bytes) -> None:
    assert registry("PUT", "/v2/team/app/manifests/v1", body).codes == ["MANIFEST_INVALID"]


def test_an_immutable_tag_does_not_move(ecr: Any, registry: RegistryClient, pushed: Image) -> None:
    ecr.put_image_tag_mutability(repositoryName="team/app", imageTagMutability="IMMUTABLE")
    other = image([tar([("other", b"content")])])
    registry.push("team/app", other)
    answer = registry("PUT", "/v2/team/app/manifests/v1", other.manifest, {"Content-Type": OCI_IMAGE})
    assert (answer.status, answer.codes) == (400, ["TAG_INVALID"])
    registry.push("team/app", pushed, "v1")  # the same again is none


def test_pages_of_the_web_are_refused(registry: RegistryClient) -> None:
    assert registry("GET", "/v2/", headers={"Origin": "https://example.com"}).status == 403
