"""What is asked of the engine when code is published."""

from __future__ import annotations

from tests.services.awslambda.surroundings import Bench


async def test_code_is_prepared_whenever_it_or_its_settings_change(bench: Bench) -> None:
    await bench.create(Runtime="nodejs22.x", Handler="app.handler")
    assert len(bench.engine.prepared) == 1
    await bench.call("update_function_configuration", FunctionName="f", MemorySize=512)
    assert len(set(bench.engine.prepared)) == 2
    await bench.call("publish_version", FunctionName="f")
    assert len(set(bench.engine.prepared)) == 3


async def test_languages_that_prepare_nothing_are_left_alone(bench: Bench) -> None:
    await bench.create(Runtime="python3.13")
    assert bench.engine.prepared == []
