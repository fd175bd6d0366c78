"""Variables of a serverless.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilotlight.deploy.serverless.variables import MISSING, VariableError, Variables

DOCUMENT: dict[str, Any] = {
    "custom": {"name": "n", "nested": {"list": ["a", "b"]}, "key": "name", "number": 3, "loop": "${self:custom.loop}"}
}


def resolve(text: Any, folder: Path = Path()) -> Any:
    sources = {
        "opt": lambda _, address: {"stage": "prod"}.get(address, MISSING),
        "env": lambda _, address: {"HOME": "/h"}.get(address, MISSING),
        "cf": lambda parameter, address: f"{parameter}/{address}",
    }
    return Variables(DOCUMENT, sources, folder).resolve(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${self:custom.name}", "n"),
        ("a-${self:custom.name}-${opt:stage}", "a-n-prod"),
        ("${self:custom.nested}", {"list": ["a", "b"]}),
        ("${self:custom.nested.list.1}", "b"),
        ("${self:custom.number}", 3),
        ("${self:custom.${self:custom.key}}", "n"),
        ("${opt:missing, 'default'}", "default"),
        ("${opt:missing, self:custom.name}", "n"),
        ("${opt:missing, env:NOT, 5}", 5),
        ("${opt:missing, true}", True),
        ("${opt:missing, ''}", ""),
        ("${cf(eu-west-1):stack.Output}", "eu-west-1/stack.Output"),
        ("${AWS::Region}", "${AWS::Region}"),
        ("arn:${AWS::Partition}:${Resource.Arn}:${env:HOME}", "arn:${AWS::Partition}:${Resource.Arn}:/h"),
        ({"a": ["${self:custom.name}"]}, {"a": ["n"]}),
    ],
)
def test_a_variable_becomes_its_value(text: Any, value: Any) -> None:
    assert resolve(text) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${self:custom.none}", "Cannot resolve"),
        ("${nowhere:x}", "Unknown variable source"),
        ("${self:custom.loop}", "circle"),
        ("x-${self:custom.nested}", "is no text"),
        ("${file(../secret.yml)}", "outside"),
        ("${file(x.js)}", "Cannot resolve"),
    ],
)
def test_what_cannot_be_resolved_is_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(VariableError, match=words):
        resolve(text, tmp_path)


def test_files_are_read_and_walked(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("x:\n  y: 1\n")
    (tmp_path / "b.json").write_text('{"z": [true]}')
    assert resolve("${file(a.yml):x.y}", tmp_path) == 1
    assert resolve("${file(b.json)}", tmp_path) == {"z": [True]}
    assert resolve("${file(none.yml), 'other'}", tmp_path) == "other"
