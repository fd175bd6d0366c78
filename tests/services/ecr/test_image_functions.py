"""Functions made of container images, from the push to the answer."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud, launch, start, stop
from tests.images import Image, RegistryClient, entry, image, tar

ROLE = "arn:aws:iam::000000000000:role/images"
URI = "000000000000.dkr.ecr.us-east-1.amazonaws.com/app"
BUSYBOX = shutil.which("busybox")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="container images need a sandbox, and that root"),
    pytest.mark.skipif(
        BUSYBOX is None,
        reason="busybox is not installed (Debian: apt-get install busybox-static)",
    ),
]
RUNTIME = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
    headers=$(wget -q -S -O /tmp/event "$api/invocation/next" 2>&1) || exit 1
    id=$(echo "$headers" | sed -n 's/.*[Rr]equest-[Ii]d: *//p' | head -n 1 | tr -d '\\r')
    case $(cat /tmp/event) in
        *look*) sed -n 's/.*"look": *"\\(.*\\)".*/\\1/p' /tmp/event >/tmp/command
            body=$(sh /tmp/command 2>&1 | tr '\\n' ';' | tr -d '"') ;;
        *) body="$0 $* in $PWD, $GREETING" ;;
    esac
    wget -q -O /dev/null --post-data "\\"$body\\"" "$api/invocation/$id/response"
done
"""


def base() -> list[Any]:
    assert BUSYBOX is not None
    tools = ["sh", "wget", "sed", "head", "tr", "cat", "ls", "id", "touch", "echo", "stat", "mount"]
    links = [entry(f"bin/{tool}", tarfile.SYMTYPE, to="busybox") for tool in tools]
    return [("bin/busybox", Path(BUSYBOX).read_bytes(), 0o755), *links, ("bin/serve", RUNTIME.encode(), 0o755)]


def made(*above: bytes, **config: Any) -> Image:
    settings = {"Entrypoint": ["/bin/serve"], "Cmd": ["one", "two"], "Env": ["GREETING=hello", "PATH=/bin"]}
    return image([tar(base()), *above], config={**settings, **config})


@pytest.fixture
def cloud(sqlite_only_cloud: Cloud) -> Cloud:
    """What is tested has little to do with the database."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    sqlite_only_cloud.client("iam").create_role(RoleName="images", AssumeRolePolicyDocument=document)
    sqlite_only_cloud.client("ecr").create_repository(repositoryName="app")
    return sqlite_only_cloud


@pytest.fixture
def functions(cloud: Cloud) -> Any:
    return cloud.client("lambda")


@pytest.fixture
def push(cloud: Cloud) -> Any:
    registry = RegistryClient(cloud.endpoint)
    return lambda pushed, tag="v1": registry.push("app", pushed, tag)


def create(functions: Any, uri: str = f"{URI}:v1", *, wait: bool = True, **changes: Any) -> dict[str, Any]:
    answer = functions.create_function(
        **{
            "FunctionName": "app",
            "PackageType": "Image",
            "Code": {"ImageUri": uri},
            "Role": ROLE,
            "Timeout": 10,
            **changes,
        }
    )
    if wait:
        settled(functions)
    return dict(answer)


def settled(functions: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        found = functions.get_function_configuration(FunctionName="app")
        if found["State"] != "Pending" and found["LastUpdateStatus"] != "InProgress":
            return dict(found)
        assert time.monotonic() < deadline


def invoke(functions: Any, event: Any = None) -> Any:
    answer = functions.invoke(FunctionName="app", Payload=json.dumps(event or {}).encode(), LogType="Tail")
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return body


def look(functions: Any, command: str) -> str:
    return str(invoke(functions, {"look": command}))


def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_an_image_runs_with_its_entry_point_command_and_environment(functions: Any, push: Any) -> None:
    digest = push(made(WorkingDir="/bin"))
    answer = create(functions)
    assert (answer["State"], answer["StateReasonCode"]) == ("Pending", "Creating")
    assert (answer["CodeSha256"], answer["PackageType"]) == (digest.removeprefix("sha256:"), "Image")
    assert not {"Runtime", "Handler"} & set(answer)
    assert settled(functions)["State"] == "Active"
    assert invoke(functions) == "/bin/serve one two in /bin, hello"
    code = functions.get_function(FunctionName="app")["Code"]
    assert code == {"RepositoryType": "ECR", "ImageUri": f"{URI}:v1", "ResolvedImageUri": f"{URI}@{digest}"}


def test_image_config_overrides_the_image(functions: Any, push: Any) -> None:
    push(made())
    config = {"EntryPoint": ["sh", "/bin/serve"], "Command": ["three"], "WorkingDirectory": "/tmp"}
    answer = create(functions, ImageConfig=config, Environment={"Variables": {"GREETING": "good evening"}})
    assert answer["ImageConfigResponse"] == {"ImageConfig": config}
    assert invoke(functions) == "/bin/serve three in /tmp, good evening"


def test_a_higher_layer_hides_and_replaces(functions: Any, push: Any) -> None:
    first = tar([("data/kept", b"1"), ("data/gone", b"2"), ("data/changed", b"3"), ("old/inside", b"4")])
    second = tar([("data/.wh.gone", b""), ("data/changed", b"new"), ("old/.wh..wh..opq", b""), ("old/young", b"")])
    push(made(first, second))
    create(functions)
    assert look(functions, "ls /data /old") == "/data:;changed;kept;;/old:;young;"
    assert look(functions, "cat /data/changed") == "new"


def test_the_root_is_read_only_and_nothing_of_the_host_is_in_it(functions: Any, push: Any) -> None:
    push(made())
    create(functions)
    assert "Read-only" in look(functions, "touch /bin/x")
    assert look(functions, "ls /") == "bin;dev;etc;mnt;proc;tmp;"
    assert look(functions, "touch /tmp/x && ls /tmp") == "command;event;x;"
    assert look(functions, "ls /etc") == "hosts;resolv.conf;"
    assert "Read-only" in look(functions, "touch /dev/x /etc/hosts")
    assert "uid=0" not in look(functions, "id")
    assert look(functions, "cat /dev/null") == ""


def test_special_files_and_set_user_ids_do_nothing(functions: Any, push: Any) -> None:
    pipe, device = entry("odd/pipe", tarfile.FIFOTYPE), entry("odd/device", tarfile.CHRTYPE)
    push(made(tar([pipe, device, ("odd/tool", b"x", 0o6755), entry("odd/link", tarfile.LNKTYPE, to="odd/tool")])))
    create(functions)
    assert look(functions, "ls /odd") == "link;tool;"
    assert look(functions, "stat -c %a /odd/tool") == "755;"


@pytest.mark.parametrize(
    "layer",
    [
        tar([("../outside", b"x")]),
        tar([("/absolute", b"x")]),
        tar([entry("a", tarfile.SYMTYPE, to="/etc"), ("a/passwd", b"x")]),
        tar([entry("a", tarfile.LNKTYPE, to="../../etc/passwd")]),
        tar([entry("a", tarfile.LNKTYPE, to="not/there")]),
        b"not a tar at all" * 100,
    ],
    ids=["dots", "absolute", "through-a-link", "hard-link-out", "hard-link-to-nothing", "no-tar"],
)
def test_a_hostile_layer_fails_the_function(functions: Any, push: Any, layer: bytes) -> None:
    push(made(layer))
    create(functions)
    found = settled(functions)
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "InvalidImage")
    code, message = refused(lambda: invoke(functions))
    assert (code, message.rpartition(": ")[2]) == ("ResourceConflictException", "Failed")


def test_an_update_goes_to_the_new_image_and_a_moved_tag_does_not(functions: Any, push: Any) -> None:
    push(made(Cmd=["old"]))
    create(functions)
    digest = push(made(Cmd=["new"]))
    assert invoke(functions) == "/bin/serve old in /, hello"
    answer = functions.update_function_code(FunctionName="app", ImageUri=f"{URI}:v1")
    assert (answer["LastUpdateStatus"], answer["CodeSha256"]) == ("InProgress", digest.removeprefix("sha256:"))
    assert settled(functions)["LastUpdateStatus"] == "Successful"
    assert invoke(functions) == "/bin/serve new in /, hello"


def test_a_failed_update_leaves_the_old_code_running(functions: Any, push: Any) -> None:
    push(made(Cmd=["old"]))
    create(functions)
    push(made(b"no tar" * 200), "v2")
    functions.update_function_code(FunctionName="app", ImageUri=f"{URI}:v2")
    found = settled(functions)
    assert (found["State"], found["LastUpdateStatus"]) == ("Active", "Failed")
    assert found["LastUpdateStatusReasonCode"] == "InvalidImage"
    assert invoke(functions) == "/bin/serve old in /, hello"


def test_a_version_is_published_of_what_is_pulled(functions: Any, push: Any) -> None:
    push(made())
    answer = create(functions, Publish=True)
    assert (answer["Version"], answer["State"]) == ("1", "Active")
    assert invoke(functions) == "/bin/serve one two in /, hello"


def test_lambda_gives_itself_the_permission_to_read_the_repository(cloud: Cloud, functions: Any, push: Any) -> None:
    push(made())
    create(functions)
    policy = json.loads(cloud.client("ecr").get_repository_policy(repositoryName="app")["policyText"])
    assert [one["Sid"] for one in policy["Statement"]] == ["LambdaECRImageRetrievalPolicy"]


def test_a_repository_that_denies_lambda_is_not_read(cloud: Cloud, functions: Any, push: Any) -> None:
    push(made())
    deny = {"Effect": "Deny", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "ecr:*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    cloud.client("ecr").set_repository_policy(repositoryName="app", policyText=text)
    code, message = refused(lambda: create(functions))
    assert (code, message) == (
        "AccessDeniedException",
        "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
    )


def test_an_entry_point_that_is_not_there_is_invalid(functions: Any, push: Any) -> None:
    push(made(Entrypoint=["/bin/none"]))
    create(functions)
    answer = functions.invoke(FunctionName="app")
    assert json.loads(answer["Payload"].read())["errorType"] == "Runtime.InvalidEntrypoint"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Handler": "a.b"}, "Please don't provide Handler or Runtime or Layer when the intended function "
         "PackageType is Image."),
        ({"Runtime": "python3.12"}, "Please don't provide Handler or Runtime or Layer when the intended function "
         "PackageType is Image."),
        ({"Code": {"ImageUri": f"{URI}:none"}}, f"Source image {URI}:none does not exist. Provide a valid source "
         "image."),
        ({"Code": {"ImageUri": URI}}, f"Source image {URI} is not valid. Provide a valid source image."),
        ({"Code": {"ImageUri": f"{URI}x:v1"}}, f"Source image {URI}x:v1 does not exist. Provide a valid source image."),
        ({"Code": {"ImageUri": "000000000000.dkr.ecr.eu-west-1.amazonaws.com/app:v1"}}, "Source image "
         "000000000000.dkr.ecr.eu-west-1.amazonaws.com/app:v1 is not valid. Provide a valid source image."),
        ({"Code": {"ZipFile": b"zip"}}, "Please do not provide other FunctionCode parameters when providing an "
         "ImageUri."),
        ({"ImageConfig": {"WorkingDirectory": "relative"}}, "ImageConfig.WorkingDirectory must be an absolute path of "
         "at most 1000 characters."),
    ],
)  # fmt: skip
def test_creation_refuses(functions: Any, push: Any, changes: dict[str, Any], message: str) -> None:
    push(made())
    assert refused(lambda: create(functions, **changes)) == ("InvalidParameterValueException", message)


def test_a_list_of_images_is_not_supported(cloud: Cloud, functions: Any, push: Any) -> None:
    pushed = made()
    push(pushed)
    index = "application/vnd.oci.image.index.v1+json"
    described = {"mediaType": pushed.media_type, "digest": pushed.digest, "size": len(pushed.manifest)}
    listed = json.dumps({"schemaVersion": 2, "mediaType": index, "manifests": [described]}).encode()
    push(Image(listed, {}, index), "many")
    _, message = refused(lambda: create(functions, f"{URI}:many"))
    assert message == (
        f"The image manifest, config or layer media type for the source image {URI}:many is not supported."
    )


def test_an_unnamed_foreign_registry_is_refused_by_name(functions: Any) -> None:
    code, message = refused(lambda: create(functions, "registry.example.com/app:v1"))
    assert (code, "PILOTLIGHT_REGISTRIES" in message) == ("NotImplemented", True)


def test_a_stack_waits_until_its_function_is_active(cloud: Cloud, functions: Any, push: Any) -> None:
    push(made())
    push(made(b"no tar" * 100), "broken")
    stacks = cloud.client("cloudformation")

    def template(tag: str) -> str:
        code = {"ImageUri": f"{URI}:{tag}"}
        properties = {"FunctionName": "app", "PackageType": "Image", "Role": ROLE, "Code": code, "Timeout": 10}
        return json.dumps({"Resources": {"App": {"Type": "AWS::Lambda::Function", "Properties": properties}}})

    quickly = {"Delay": 0.1, "MaxAttempts": 200}
    stacks.create_stack(StackName="s", TemplateBody=template("v1"))
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig=quickly)
    assert invoke(functions) == "/bin/serve one two in /, hello"
    stacks.update_stack(StackName="s", TemplateBody=template("broken"))
    deadline = time.monotonic() + 30
    while stacks.describe_stacks(StackName="s")["Stacks"][0]["StackStatus"] != "UPDATE_ROLLBACK_COMPLETE":
        assert time.monotonic() < deadline
    assert invoke(functions) == "/bin/serve one two in /, hello"


@pytest.mark.slow
def test_an_image_of_another_registry_that_the_operator_named(cloud: Cloud, push: Any) -> None:
    """The first cloud is the other one's foreign registry, with a password of its own."""
    pushed = made()
    push(pushed)
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    place = cloud.endpoint.removeprefix("http://")
    login = base64.b64decode(token).decode()
    with start(environment={"PILOTLIGHT_REGISTRIES": f"public.ecr.aws,{login}@{place}"}) as other:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        other.client("iam").create_role(RoleName="images", AssumeRolePolicyDocument=document)
        functions = other.client("lambda")
        create(functions, f"{place}/app:v1")
        assert invoke(functions) == "/bin/serve one two in /, hello"
        code = functions.get_function(FunctionName="app")["Code"]
        assert code["ResolvedImageUri"] == f"{place}/app@{pushed.digest}"


@pytest.mark.slow
def test_a_pull_goes_on_after_a_kill(tmp_path: Path) -> None:
    """What was acknowledged as Pending becomes Active, whoever was killed meanwhile."""
    first = launch(tmp_path)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    first.client("iam").create_role(RoleName="images", AssumeRolePolicyDocument=document)
    first.client("ecr").create_repository(repositoryName="app")
    RegistryClient(first.endpoint).push("app", made(tar([("big", os.urandom(8 << 20))])), "v1")
    create(first.client("lambda"), wait=False)
    assert first.process is not None
    first.process.kill()
    stop(first)
    second = launch(tmp_path)
    try:
        functions = second.client("lambda")
        assert settled(functions)["State"] == "Active"
        assert invoke(functions) == "/bin/serve one two in /, hello"
    finally:
        stop(second)


def test_extensions_of_the_image_start_beside_it(functions: Any, push: Any) -> None:
    extension = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
name='Lambda-Extension-Name: beside'
headers=$(wget -q -S -O /dev/null --header "$name" --post-data '{"events": []}' "$api/register" 2>&1)
id=$(echo "$headers" | sed -n 's/.*[Ee]xtension-[Ii]dentifier: *//p' | head -n 1 | tr -d '\\r')
echo here >/tmp/beside
wget -q -O /dev/null --header "Lambda-Extension-Identifier: $id" "$api/event/next"
"""
    gone = tar([("opt/extensions/gone", b"#!/bin/none", 0o755)])
    push(made(gone, tar([("opt/extensions/.wh.gone", b""), ("opt/extensions/beside", extension.encode(), 0o755)])))
    create(functions)
    assert look(functions, "cat /tmp/beside") == "here;"
