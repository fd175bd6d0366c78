"""The pytest plug-in: a fixture that gives a test its own cloud.

    def test_a_function(pilotlight):
        pilotlight.client("s3").create_bucket(Bucket="pictures")
        pilotlight.clock.advance(hours=1)

One cloud is started for the test run, on a free port and with a directory of its own; between tests it forgets
everything. Options go to `pilotlight up`: `--pilotlight-option=--isolation=none`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pilotlight.testing.cloud import Cloud


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pilotlight")
    group.addoption(
        "--pilotlight-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="An option for `pilotlight up`; may be given again.",
    )


@pytest.fixture(scope="session")
def pilotlight_process(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """The cloud of this test run."""
    from pilotlight.testing.cloud import start

    with start(options=request.config.getoption("--pilotlight-option")) as cloud:
        yield cloud


@pytest.fixture
def pilotlight(pilotlight_process: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An empty cloud. boto3, the AWS CLI and other SDKs find it by the environment."""
    for name, value in pilotlight_process.environment.items():
        monkeypatch.setenv(name, value)
    pilotlight_process.reset()
    return pilotlight_process
