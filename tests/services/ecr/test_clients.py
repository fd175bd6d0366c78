"""Real clients over the wire: crane and skopeo, where they are installed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pilotlight.testing.cloud import Cloud
from tests.images import RegistryClient, image, tar

SKOPEO = shutil.which("skopeo")
CRANE = shutil.which("crane")
TRUST = '{"default": [{"type": "insecureAcceptAnything"}]}'


def login(cloud: Cloud) -> str:
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode()


def run(*command: str, **variables: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(SKOPEO is None, reason="skopeo is not installed (Debian: apt-get install skopeo)")
def test_skopeo_copies_in_and_out_by_chunks_and_mounts(sqlite_only_cloud: Cloud, tmp_path: Path) -> None:
    cloud = sqlite_only_cloud
    for name in ("one", "two"):
        cloud.client("ecr").create_repository(repositoryName=name)
    made = image([tar([("a", os.urandom(3_000_000))])])
    RegistryClient(cloud.endpoint).push("one", made, "v1")
    (tmp_path / "policy.json").write_text(TRUST)
    place = f"docker://{cloud.endpoint.removeprefix('http://')}"
    skopeo = ["skopeo", "--policy", str(tmp_path / "policy.json")]
    source = ["--src-tls-verify=false", f"--src-creds={login(cloud)}"]
    target = ["--dest-tls-verify=false", f"--dest-creds={login(cloud)}"]
    run(*skopeo, "copy", *source, f"{place}/one:v1", f"dir:{tmp_path}/out")
    run(*skopeo, "copy", *target, f"dir:{tmp_path}/out", f"{place}/two:v2")
    run(*skopeo, "copy", *source, *target, f"{place}/two:v2", f"{place}/one:v3")
    told = run(*skopeo, "inspect", "--tls-verify=false", f"--creds={login(cloud)}", f"{place}/one:v3")
    assert sorted(json.loads(told)["RepoTags"]) == ["v1", "v3"]
    assert json.loads(told)["Digest"] == made.digest


@pytest.mark.skipif(CRANE is None, reason="crane is not installed (go install …/go-containerregistry/cmd/crane)")
def test_crane_pushes_copies_lists_and_deletes(sqlite_only_cloud: Cloud, tmp_path: Path) -> None:
    cloud = sqlite_only_cloud
    for name in ("one", "two"):
        cloud.client("ecr").create_repository(repositoryName=name)
    place, variables = cloud.endpoint.removeprefix("http://"), {"DOCKER_CONFIG": str(tmp_path)}
    user, _, password = login(cloud).partition(":")
    run("crane", "auth", "login", place, "-u", user, "-p", password, **variables)
    (tmp_path / "layer.tar").write_bytes(tar([("a", os.urandom(2_000_000))]))
    run("crane", "append", "-f", str(tmp_path / "layer.tar"), "-t", f"{place}/one:v1", **variables)
    run("crane", "copy", f"{place}/one:v1", f"{place}/two:v1", **variables)
    digests = {run("crane", "digest", f"{place}/{name}:v1", **variables) for name in ("one", "two")}
    assert len(digests) == 1
    run("crane", "tag", f"{place}/one:v1", "latest", **variables)
    assert run("crane", "ls", f"{place}/one", **variables).split() == ["latest", "v1"]
    assert run("crane", "catalog", place, **variables).split() == ["one", "two"]
    run("crane", "pull", f"{place}/two:v1", str(tmp_path / "out.tar"), **variables)
    run("crane", "validate", "--remote", f"{place}/two:v1", **variables)
    run("crane", "delete", f"{place}/one:latest", **variables)
    assert run("crane", "ls", f"{place}/one", **variables).split() == ["v1"]
