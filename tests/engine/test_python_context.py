"""What a Python handler is given: its event, its context, its environment, its files."""

from __future__ import annotations

import json

import pytest

from tests.engine.world import ACCOUNT, REGION, World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ECHO = "def handler(event, context): return event"


@pytest.mark.parametrize(
    "event",
    [
        {"a": [1, 2.5, None, True, "text"]},
        [],
        "text",
        17,
        None,
        {"é": "日本語 🎈", "nul": "\u0000"},
        {"number": 12345678901234567890123},
    ],
    ids=repr,
)
async def test_events_come_and_go_unchanged(plain: World, event: object) -> None:
    version = plain.version(ECHO)
    assert await plain.answer(version, event) == event


async def test_an_empty_payload_is_an_empty_object(each: World) -> None:
    outcome = await each.invoke(each.version(ECHO), payload=b"")
    assert outcome.payload == b"{}"


async def test_characters_are_answered_as_they_are(each: World) -> None:
    outcome = await each.invoke(each.version("def handler(event, context): return 'é🎈'"))
    assert outcome.payload == '"é🎈"'.encode()


async def test_six_megabytes_come_and_go(each: World) -> None:
    event = "x" * (6 * 1024 * 1024 - 2)
    outcome = await each.invoke(each.version(ECHO), event)
    assert len(outcome.payload) == 6 * 1024 * 1024
    assert not outcome.function_error


async def test_the_context_says_who_and_where(each: World) -> None:
    version = each.version(
        """
        NAMES = ("function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "aws_request_id",
                 "log_group_name", "log_stream_name")
        def handler(event, context):
            return {name: getattr(context, name) for name in NAMES}
        """,
        memory_mb=320,
    )
    context = await each.answer(version, request_id="11111111-2222-4333-8444-555555555555")
    stream = context.pop("log_stream_name")
    assert context == {
        "function_name": version.name,
        "function_version": "$LATEST",
        "invoked_function_arn": version.arn,
        "memory_limit_in_mb": "320",
        "aws_request_id": "11111111-2222-4333-8444-555555555555",
        "log_group_name": version.log_group,
    }
    assert stream[4] == stream[7] == "/"
    assert "/[$LATEST]" in stream
    assert len(stream.rpartition("]")[2]) == 32


async def test_the_context_shows_the_arn_that_was_invoked(plain: World) -> None:
    version = plain.version("def handler(event, context): return context.invoked_function_arn")
    assert await plain.answer(version, invoked_arn=version.arn + ":live") == version.arn + ":live"


async def test_the_context_has_no_identity_and_no_client_of_its_own(plain: World) -> None:
    version = plain.version(
        """
        def handler(event, context):
            identity = context.identity
            return [identity.cognito_identity_id, identity.cognito_identity_pool_id, context.client_context]
        """
    )
    assert await plain.answer(version) == [None, None, None]


async def test_the_client_context_is_what_the_caller_sent(plain: World) -> None:
    version = plain.version(
        """
        def handler(event, context):
            client = context.client_context
            return [client.custom, client.env, client.client.app_title, client.client.installation_id]
        """
    )
    sent = {"custom": {"a": 1}, "env": {"locale": "en"}, "client": {"app_title": "shop"}}
    assert await plain.answer(version, client_context=json.dumps(sent)) == [{"a": 1}, {"locale": "en"}, "shop", None]


async def test_the_identity_is_what_cognito_says(plain: World) -> None:
    version = plain.version(
        "def handler(event, c): return [c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id]"
    )
    sent = json.dumps({"cognitoIdentityId": "eu-west-1:1", "cognitoIdentityPoolId": "eu-west-1:2"})
    assert await plain.answer(version, cognito_identity=sent) == ["eu-west-1:1", "eu-west-1:2"]


async def test_remaining_time_runs_down_from_the_timeout(each: World) -> None:
    version = each.version("def handler(event, c): return c.get_remaining_time_in_millis()", timeout_seconds=7)
    ahead_ms = int(each.clock.ahead_seconds * 1000)  # the function's own clock is not moved
    assert 4500 < await each.answer(version) - ahead_ms <= 7001


async def test_remaining_time_goes_by_the_deadline_that_was_given(plain: World) -> None:
    version = plain.version("def handler(event, c): return c.get_remaining_time_in_millis()")
    deadline_ms = plain.clock.wall_ms() + 60_000
    now_ahead_ms = int(plain.clock.ahead_seconds * 1000)
    remaining = await plain.answer(version, deadline_ms=deadline_ms)
    assert 58_000 < remaining - now_ahead_ms <= 60_001


async def test_reserved_variables_are_set(each: World) -> None:
    version = each.version("import os\ndef handler(event, context): return dict(os.environ)", memory_mb=192)
    environment = await each.answer(version)
    task_root = "/var/task" if each.isolation == "namespaces" else str(version.code)
    expected = {
        "_HANDLER": "app.handler",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
        "AWS_ACCESS_KEY_ID": "ASIAONE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "LAMBDA_TASK_ROOT": task_root,
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert environment["AWS_LAMBDA_LOG_STREAM_NAME"].startswith("20")
    assert environment["PATH"].startswith("/var/lang/bin:")
    assert "LD_LIBRARY_PATH" in environment
    assert "PYTHONPATH" in environment
    assert "LAMBDA_RUNTIME_DIR" in environment
    assert "AWS_LAMBDA_RUNTIME_API" in environment
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")


async def test_a_functions_own_variables_are_set_and_reserved_ones_stay(each: World) -> None:
    version = each.version(
        "import os\ndef handler(event, context): return [os.environ['COLOUR'], os.environ['AWS_REGION']]",
        environment={"COLOUR": "grün 🎈", "AWS_REGION": "mars"},
    )
    assert await each.answer(version) == ["grün 🎈", REGION]


async def test_nothing_of_the_platforms_environment_is_seen(each: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_SECRET", "1")
    version = each.version(
        """
        import os, subprocess
        def handler(event, context):
            return ["PLATFORM_SECRET" in os.environ, "HOME" in os.environ,
                    subprocess.run(["/usr/bin/env"], capture_output=True, text=True).stdout]
        """
    )
    inside, home, child = await each.answer(version)
    assert not inside
    assert not home
    assert "PLATFORM_SECRET" not in child
    assert "AWS_ACCESS_KEY_ID=ASIAONE" in child


async def test_the_trace_id_is_in_the_environment_of_its_invocation_only(plain: World) -> None:
    version = plain.version("import os\ndef handler(event, context): return os.environ.get('_X_AMZN_TRACE_ID')")
    assert await plain.answer(version, trace_id="Root=1-5759e988-bd862e3fe1be46a994272793") == (
        "Root=1-5759e988-bd862e3fe1be46a994272793"
    )
    assert await plain.answer(version) is None


async def test_modules_are_found_in_the_package_then_layers_then_boto3(each: World) -> None:
    layer = each.folder({"python/own.py": "WHERE = 'layer'", "python/layered.py": "WHERE = 'layer'"})
    version = each.version(
        """
        import sys, own, layered, boto3
        def handler(event, context): return [own.WHERE, layered.WHERE, boto3.__version__, sys.path[0]]
        """,
        {"own.py": "WHERE = 'package'"},
        layers=(layer,),
    )
    own, layered, boto3_version, first = await each.answer(version)
    assert (own, layered) == ("package", "layer")
    assert boto3_version
    assert first == ("/var/task" if each.isolation == "namespaces" else str(version.code))


async def test_a_later_layer_hides_an_earlier_one(each: World) -> None:
    first = each.folder({"python/shared.py": "WHO = 'first'", "python/only.py": "WHO = 'first'"})
    second = each.folder({"python/shared.py": "WHO = 'second'"})
    source = "import shared, only\ndef handler(event, context): return [shared.WHO, only.WHO]"
    assert await each.answer(each.version(source, layers=(first, second))) == ["second", "first"]


async def test_site_packages_of_a_layer_are_found(each: World) -> None:
    layer = each.folder({"python/lib/python3.12/site-packages/deep.py": "WHO = 'site'"})
    source = "import deep\ndef handler(event, context): return deep.WHO"
    assert await each.answer(each.version(source, layers=(layer,))) == "site"


async def test_handlers_in_packages_are_named_with_dots_or_slashes(each: World) -> None:
    files = {"shop/__init__.py": "", "shop/orders/__init__.py": "", "shop/orders/api.py": ECHO}
    for handler in ("shop.orders.api.handler", "shop/orders/api.handler"):
        assert await each.answer(each.version(files=files, handler=handler), 5) == 5


async def test_relative_imports_and_files_beside_the_handler_work(each: World) -> None:
    version = each.version(
        files={
            "shop/__init__.py": "",
            "shop/names.py": "NAME = 'shop'",
            "shop/app.py": """
                from .names import NAME
                def handler(event, context): return [NAME, open("data.txt").read(), __name__]
                """,
            "data.txt": "beside",
        },
        handler="shop.app.handler",
    )
    assert await each.answer(version) == ["shop", "beside", "shop.app"]


async def test_tmp_is_writable_and_kept_between_invocations(each: World) -> None:
    version = each.version(
        """
        import os, tempfile
        def handler(event, context):
            path = os.path.join(tempfile.gettempdir(), "count")
            count = int(open(path).read()) + 1 if os.path.exists(path) else 1
            open(path, "w").write(str(count))
            return count
        """
    )
    assert [await each.answer(version) for _ in range(3)] == [1, 2, 3]


async def test_tmp_is_the_instances_own(sandboxed: World) -> None:
    source = """
        import os
        def handler(event, context):
            seen = os.path.exists("/tmp/mine")
            open("/tmp/mine", "w").close()
            return seen
        """
    assert await sandboxed.answer(sandboxed.version(source)) is False
    assert await sandboxed.answer(sandboxed.version(source)) is False


async def test_the_package_cannot_be_written(sandboxed: World) -> None:
    version = sandboxed.version("def handler(event, context): open('/var/task/app.py', 'a')")
    failure = await sandboxed.failure(version)
    assert failure["errorType"] in ("OSError", "PermissionError")


async def test_boto3_is_there_without_packaging(each: World) -> None:
    version = each.version(
        """
        import boto3
        client = boto3.client("s3")
        def handler(event, context):
            credentials = client._request_signer._credentials
            return [client.meta.region_name, client.meta.endpoint_url, credentials.access_key, credentials.token]
        """
    )
    region, endpoint, key, token = await each.answer(version)
    assert (region, key, token) == (REGION, "ASIAONE", "token")
    assert endpoint.startswith("http://127.0.0.1:")


async def test_who_the_function_is_is_known_at_its_endpoint(sandboxed: World) -> None:
    version = sandboxed.version(ECHO)
    await sandboxed.answer(version)
    identity = sandboxed.endpoints.identities[-1]()
    assert identity is not None
    assert (identity.function_arn, identity.account, identity.access_key_id) == (version.arn, ACCOUNT, "ASIAONE")


async def test_a_package_with_its_own_urllib3_gets_its_own(choosing: World) -> None:
    version = choosing.version(
        "import urllib3\ndef handler(event, context): return urllib3.__version__",
        {"urllib3/__init__.py": "__version__ = 'own'"},
    )
    assert choosing.runtime.road(version) == "bare"
    assert await choosing.answer(version) == "own"


async def test_a_layer_with_its_own_boto3_gets_its_own(choosing: World) -> None:
    layer = choosing.folder({"python/boto3/__init__.py": "__version__ = 'own'"})
    version = choosing.version("import boto3\ndef handler(event, c): return boto3.__version__", layers=(layer,))
    assert choosing.runtime.road(version) == "bare"
    assert await choosing.answer(version) == "own"


@pytest.mark.parametrize(
    ("environment", "road"),
    [
        ({}, "boto3"),
        ({"PYTHONOPTIMIZE": "1"}, "exec"),
        ({"LD_PRELOAD": "/opt/a.so"}, "exec"),
        ({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}, "exec"),
        ({"PY": "1"}, "boto3"),
    ],
)
async def test_the_road_follows_the_environment(choosing: World, environment: dict[str, str], road: str) -> None:
    assert choosing.runtime.road(choosing.version(ECHO, environment=environment)) == road


async def test_the_first_instance_does_not_wait_for_a_zygote(choosing: World) -> None:
    assert await choosing.answer(choosing.version(ECHO, account="999999999999"), 1) == 1


async def test_an_exec_wrapper_starts_the_runtime(sandboxed: World) -> None:
    if sandboxed.road != "exec":
        pytest.skip("only a fresh process has a wrapper")
    layer = sandboxed.folder({"wrap": '#!/bin/bash\nexport WRAPPED=yes\nexec "$@"\n'})
    version = sandboxed.version(
        "import os\ndef handler(event, context): return os.environ.get('WRAPPED')",
        layers=(layer,),
        environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"},
    )
    assert await sandboxed.answer(version) == "yes"
