"""Which definitions are refused: published cases, and AWS's places and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.workflows.validation import parse

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "asl"
OTHERWISE = {
    "invalid-duplicate-fields-nested.json": "names of fields that intrinsic functions make are not known beforehand",
    "invalid-math-add.json": "types of arguments are looked at when the function is called",
    "invalid-missing-terminal.json": "AWS takes a machine that never ends",
    "valid-path-array-context.json": "a function is no path",
    "valid-task-intrisic-function.json": "a template's functions stand where the ARN will be",
    "valid-task-parameters.json": "that resource is no service's",
}


@pytest.mark.skipif(not VECTORS.exists(), reason="the published cases are not here")
def test_published_definitions() -> None:
    missed, lacking = set(), 0
    for path in VECTORS.glob("*.json"):
        _, findings = parse(path.read_text())
        if any(one.lacking for one in findings):
            lacking += 1
        elif bool(findings) == path.name.startswith("valid"):
            missed.add(path.name)
    assert missed == set(OTHERWISE)
    assert lacking < 40


@pytest.mark.parametrize(
    ("definition", "finding"),
    [
        ({"States": {"A": {"Type": "Succeed"}}}, "SCHEMA_VALIDATION_FAILED: These fields are required: [StartAt] at /"),
        (
            {"StartAt": "B", "States": {"A": {"Type": "Succeed"}}},
            "MISSING_TRANSITION_TARGET: Missing 'StartAt' target: B at /StartAt",
        ),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}},
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: B at /States/A/Next",
        ),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass"}}},
            "SCHEMA_VALIDATION_FAILED: Missing 'Next' or 'End' field at /States/A",
        ),
    ],
)
def test_what_is_found(definition: dict[str, Any], finding: str) -> None:
    assert finding in [str(one) for one in parse(json.dumps(definition))[1]]


def test_what_is_missing_here_is_told_apart() -> None:
    definition = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    _, findings = parse(json.dumps(definition))
    assert [one.lacking for one in findings] == [True]
