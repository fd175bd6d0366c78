"""How instances come, are used again, freeze and go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pilotlight.engine.contract import Limits, RuntimeUnavailable, Throttled
from tests.engine.world import ACCOUNT, IDLE_SECONDS, REGION, World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

COUNT = """
    import os
    print("init")
    count = 0
    def handler(event, context):
        global count
        count += 1
        return [count, os.getpid()]
    """
SLOW = """
    import os, time
    count = 0
    def handler(event, context):
        global count
        count += 1
        time.sleep(event or 0)
        return count
    """


async def test_globals_persist_and_init_happens_once(each: World) -> None:
    version = each.version(COUNT)
    assert [(await each.answer(version))[0] for _ in range(5)] == [1, 2, 3, 4, 5]
    assert each.written(version) == ["init"]


async def test_one_instance_answers_one_at_a_time(each: World) -> None:
    version = each.version(SLOW)
    assert await asyncio.gather(each.answer(version, 0.2), each.answer(version, 0.2)) == [1, 1]
    assert await each.answer(version) == 2


async def test_another_key_is_another_instance(plain: World) -> None:
    version = plain.version(COUNT)
    changed = plain.version(COUNT, key=version.key + ":changed", arn=version.arn)
    await plain.answer(version)
    assert (await plain.answer(changed))[0] == 1


async def test_an_instance_freezes_when_idle_and_thaws_when_needed(each: World) -> None:
    version = each.version(
        """
        import threading, time
        ticks = 0
        def tick():
            global ticks
            while True:
                time.sleep(0.005)
                ticks += 1
        threading.Thread(target=tick, daemon=True).start()
        def handler(event, context): return ticks
        """
    )
    await each.answer(version)
    each.later(1)
    before = await each.answer(version)
    each.later(1)
    await asyncio.sleep(0.3)
    after = await each.answer(version)
    assert after - before < 30, "a thread went on while the instance was idle"


async def test_idle_instances_go_after_their_time(each: World) -> None:
    version = each.version(COUNT)
    await each.answer(version)
    each.later(IDLE_SECONDS - 10)
    assert (await each.answer(version))[0] == 2
    each.later(IDLE_SECONDS + 1)
    assert (await each.answer(version))[0] == 1


async def test_what_goes_leaves_no_process(plain: World) -> None:
    version = plain.version(COUNT)
    _, pid = await plain.answer(version)
    assert _alive(pid)
    plain.later(IDLE_SECONDS + 1)
    await plain.settled(lambda: not _alive(pid))


async def test_the_endpoint_closes_with_its_instance(sandboxed: World) -> None:
    version = sandboxed.version(COUNT)
    await sandboxed.answer(version)
    assert sandboxed.endpoints.open > 0
    sandboxed.later(IDLE_SECONDS + 1)
    await sandboxed.settled(lambda: sandboxed.endpoints.open == 0)


async def test_an_instance_that_dies_idle_is_not_used_again(each: World) -> None:
    version = each.version(
        """
        import os, threading
        def handler(event, context):
            if event:
                threading.Timer(0.05, os._exit, [1]).start()
            return os.urandom(4).hex()
        """
    )
    await each.answer(version, 1)
    await asyncio.sleep(0.2)
    assert await each.answer(version)


async def test_retired_versions_end(each: World) -> None:
    version = each.version(COUNT)
    await each.answer(version)
    await each.agent.retire(version.arn, keep_keys=[version.key])
    assert (await each.answer(version))[0] == 2
    await each.agent.retire(version.arn)
    assert (await each.answer(version))[0] == 1


async def test_retired_instances_end_after_what_they_do(each: World) -> None:
    version = each.version(SLOW)
    await each.answer(version)
    under_way = asyncio.ensure_future(each.answer(version, 0.2))
    await asyncio.sleep(0)
    await each.agent.retire(version.arn)
    assert await under_way == 2
    assert await each.answer(version) == 1


async def test_credentials_that_end_soon_are_not_used(plain: World) -> None:
    version = plain.version(COUNT)
    await plain.answer(version)
    plain.later(2_000_000_000)
    assert (await plain.answer(version))[0] == 1
    plain.clock.ahead_seconds -= 2_000_000_000


async def test_an_instance_does_not_live_for_days_however_much_it_is_used(plain: World) -> None:
    version = plain.version(COUNT)
    await plain.answer(version)
    for hours in range(12):
        assert (await plain.answer(version))[0] == hours + 2
        plain.clock.ahead_seconds += 3600
    assert (await plain.answer(version))[0] == 1


async def test_provisioned_instances_do_not_live_for_days_either(plain: World) -> None:
    version = plain.version(COUNT)
    key = version.arn + ":live"
    await plain.agent.provision(key, version, 1)
    await plain.settled(lambda: plain.agent.provision_status(key).status == "READY")
    _, before = await plain.answer(version, provisioned_key=key)
    plain.later(13 * 3600)
    await plain.settled(lambda: plain.agent.provision_status(key).status == "READY")
    _, after = await plain.answer(version, provisioned_key=key)
    assert after != before
    await plain.agent.provision(key, version, 0)


async def test_a_runtime_that_nobody_has(plain: World) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"dotnet8 is not supported"):
        await plain.invoke(plain.version(COUNT, runtime="dotnet8"))


async def test_a_caller_that_hangs_up_does_not_end_the_function(each: World) -> None:
    version = each.version(SLOW)
    await each.answer(version)
    under_way = asyncio.ensure_future(each.answer(version, 0.15))
    await asyncio.sleep(0.05)
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    reports = len([line for line in each.lines(version) if line.startswith("REPORT")])
    await each.settled(lambda: len([line for line in each.lines(version) if line.startswith("REPORT")]) == reports + 1)
    assert await each.answer(version) == 3


async def test_instances_share_no_randomness(each: World) -> None:
    version = each.version(
        """
        import os, random, uuid, tempfile, time
        seen = [random.random(), str(uuid.uuid4()), os.urandom(8).hex(), next(tempfile._get_candidate_names())]
        def handler(event, context):
            time.sleep(0.1)
            return seen + [random.random(), str(uuid.uuid1())]
        """
    )
    first, second = await asyncio.gather(each.answer(version), each.answer(version))
    assert all(one != other for one, other in zip(first, second, strict=True))


# Concurrency.


def limits(concurrent: int, group: str = "one") -> Limits:
    return Limits(group=group, concurrent=concurrent, reason="ReservedFunctionConcurrentInvocationLimitExceeded")


async def test_a_full_group_is_throttled_with_its_reason(plain: World) -> None:
    version = plain.version(SLOW)
    under_way = asyncio.ensure_future(plain.answer(version, 0.2, limits=limits(1)))
    await asyncio.sleep(0)
    assert plain.agent.running("one") == 1
    with pytest.raises(Throttled) as refused:
        await plain.invoke(version, 0, limits=limits(1))
    assert refused.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert await plain.answer(version, 0, limits=limits(1, "other")) == 1
    assert await under_way == 1
    assert plain.agent.running("one") == 0


async def test_a_group_of_none_is_always_throttled(plain: World) -> None:
    with pytest.raises(Throttled):
        await plain.invoke(plain.version(SLOW), limits=limits(0))


async def test_failures_leave_their_group(plain: World) -> None:
    await plain.failure(plain.version("raise ValueError"), limits=limits(1))
    with pytest.raises(RuntimeUnavailable):
        await plain.invoke(plain.version(COUNT, runtime="cobol85"), limits=limits(1))
    assert plain.agent.running("one") == 0


# Provisioned concurrency.


async def test_provisioned_instances_are_initialised_before_they_are_invoked(each: World) -> None:
    version = each.version(
        "import os\nprint('init')\ndef handler(e, c): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']"
    )
    key = version.arn + ":live"
    await each.agent.provision(key, version, 2)
    assert each.agent.provision_status(key).requested == 2
    await each.settled(lambda: each.agent.provision_status(key).status == "READY")
    status = each.agent.provision_status(key)
    assert (status.requested, status.allocated, status.available) == (2, 2, 2)
    assert each.written(version) == ["init", "init"]
    outcome = await each.invoke(version, provisioned_key=key)
    assert (outcome.payload, outcome.provisioned) == (b'"provisioned-concurrency"', True)
    await each.agent.provision(key, version, 0)


async def test_more_than_provisioned_spills_over(plain: World) -> None:
    version = plain.version(SLOW)
    key = version.arn + ":live"
    await plain.agent.provision(key, version, 1)
    await plain.settled(lambda: plain.agent.provision_status(key).status == "READY")
    outcomes = await asyncio.gather(*(plain.invoke(version, 0.1, provisioned_key=key) for _ in range(2)))
    assert [one.provisioned for one in outcomes] == [True, False]
    await plain.agent.provision(key, version, 0)


async def test_a_provisioned_instance_that_dies_is_replaced(each: World) -> None:
    version = each.version("import os\ndef handler(e, c): os._exit(1) if e else None")
    key = version.arn + ":live"
    await each.agent.provision(key, version, 1)
    await each.settled(lambda: each.agent.provision_status(key).status == "READY")
    outcome = await each.invoke(version, 1, provisioned_key=key)
    assert outcome.function_error
    each.later(0)
    await each.settled(lambda: each.agent.provision_status(key).status == "READY")
    assert (await each.invoke(version, 0, provisioned_key=key)).provisioned
    await each.agent.provision(key, version, 0)


async def test_provisioning_what_cannot_be_initialised_fails(plain: World) -> None:
    version = plain.version("raise ValueError('no')")
    key = version.arn + ":live"
    await plain.agent.provision(key, version, 1)
    await plain.settled(lambda: plain.agent.provision_status(key).status == "FAILED")
    assert plain.agent.provision_status(key).reason == "ValueError"
    await plain.agent.provision(key, version, 0)


async def test_provisioned_instances_are_not_reaped(plain: World) -> None:
    version = plain.version(COUNT)
    key = version.arn + ":live"
    await plain.agent.provision(key, version, 1)
    await plain.settled(lambda: plain.agent.provision_status(key).status == "READY")
    plain.later(IDLE_SECONDS * 2)
    assert (await plain.invoke(version, provisioned_key=key)).provisioned
    await plain.agent.provision(key, version, 0)


async def test_nothing_was_asked_for(plain: World) -> None:
    status = plain.agent.provision_status(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:none:live")
    assert (status.requested, status.allocated, status.available) == (0, 0, 0)


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before the open, or between the open and the read
        return False
