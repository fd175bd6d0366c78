"""SnapStart as the service keeps and shows it."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.engine.contract import RestoreFailed
from pilotlight.errors import AwsError
from tests.services.awslambda.surroundings import Bench

ON = {"ApplyOn": "PublishedVersions"}


async def refused(bench: Bench, operation: str, /, **request: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as refusal:
        await bench.call(operation, **request)
    return refusal.value.code, refusal.value.message


async def test_a_published_version_is_optimised_and_latest_is_not(bench: Bench) -> None:
    made = await bench.create(SnapStart=ON, Runtime="python3.13")
    assert made["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert bench.engine.snapshots == []
    version = await bench.call("publish_version", FunctionName="f")
    assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert [key.rsplit(":", 2)[1] for key in bench.engine.snapshots] == ["1"]
    await bench.call("update_function_configuration", FunctionName="f", SnapStart={"ApplyOn": "None"})
    plain = await bench.call("publish_version", FunctionName="f")
    assert plain["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
    assert len(bench.engine.snapshots) == 1


async def test_publishing_while_creating_takes_the_snapshot_too(bench: Bench) -> None:
    await bench.create(SnapStart=ON, Publish=True)
    assert len(bench.engine.snapshots) == 1


@pytest.mark.parametrize(
    ("changes", "code", "part"),
    [
        ({"Runtime": "nodejs20.x"}, "InvalidParameterValueException", "nodejs20.x is not supported for SnapStart"),
        ({"Runtime": "python3.11"}, "InvalidParameterValueException", "python3.11 is not supported for SnapStart"),
        ({"EphemeralStorage": {"Size": 513}}, "InvalidParameterValueException", "512 MB"),
    ],
)
async def test_what_snapstart_does_not_go_with_is_refused(
    bench: Bench, changes: dict[str, Any], code: str, part: str
) -> None:
    with pytest.raises(AwsError, match=part) as refusal:
        await bench.create(SnapStart=ON, **changes)
    assert refusal.value.code == code
    await bench.create(SnapStart=ON)
    found = await refused(bench, "update_function_configuration", FunctionName="f", **changes)
    assert found[0] == code


async def test_it_does_not_go_with_provisioned_concurrency(bench: Bench) -> None:
    await bench.create(SnapStart=ON, Publish=True)
    code, message = await refused(
        bench,
        "put_provisioned_concurrency_config",
        FunctionName="f",
        Qualifier="1",
        ProvisionedConcurrentExecutions=1,
    )
    assert code == "InvalidParameterValueException"
    assert "SnapStart" in message


@pytest.mark.parametrize(
    ("timed_out", "code", "status"),
    [(True, "SnapStartTimeoutException", 408), (False, "SnapStartException", 400)],
)
async def test_a_restore_that_fails_is_told_as_aws_tells_it(
    bench: Bench, timed_out: bool, code: str, status: int
) -> None:
    await bench.create(SnapStart=ON, Publish=True)
    bench.engine.answers = [RestoreFailed("KeyError", timed_out=timed_out)]
    with pytest.raises(AwsError) as refusal:
        await bench.call("invoke", FunctionName="f", Qualifier="1")
    assert (refusal.value.code, refusal.value.status) == (code, status)
