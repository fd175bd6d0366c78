"""The article's keep-warm service, as it is: HTTP, and a schedule that finds the function warm."""

from __future__ import annotations

import urllib.request

import pytest

from pilotlight.testing.cloud import Cloud
from tests.journeys.commands import SAMPLES, pilotlight

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason="the article's samples are not beside this checkout"),
]


def test_the_schedule_finds_the_function_warm(cloud: Cloud) -> None:
    summary = pilotlight(cloud, "deploy", str(SAMPLES / "keep-warm"))
    url = next(word for word in summary.split() if "/_aws/execute-api/" in word).replace("{proxy+}", "anything")
    with urllib.request.urlopen(url) as response:
        assert (response.status, response.read()) == (200, b"/api/anything")
    cloud.clock.advance(minutes=21)
    log = pilotlight(cloud, "logs", "keep-warm-dev-apiHandler")
    assert log.count("START RequestId") == 5
    assert log.count("INIT_START") == 1
    pilotlight(cloud, "remove", str(SAMPLES / "keep-warm"))
    assert cloud.client("lambda").list_functions()["Functions"] == []
