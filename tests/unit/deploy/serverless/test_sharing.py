"""Layers of a neighbour in the same module."""

from __future__ import annotations

from pathlib import Path

from pilotlight.deploy.serverless.service import load
from pilotlight.deploy.serverless.sharing import share_layers

SERVICE = """
service: s
provider: {name: aws, runtime: python3.12}
functions:
  one:
    handler: a.one
    layers: [arn:one]
  two: {handler: a.two}
  three: {handler: b.three}
"""


def test_a_function_that_misses_a_module_gets_its_neighbours_layers(tmp_path: Path) -> None:
    (tmp_path / "serverless.yml").write_text(SERVICE)
    (tmp_path / "a.py").write_text("import json\nimport boto3\nimport b\nfrom PIL import Image\n")
    (tmp_path / "b.py").write_text("import nowhere\n")
    service, told = share_layers(load(tmp_path, options={}, environment={}))
    assert [list(function.layers) for function in service.functions] == [["arn:one"], ["arn:one"], []]
    assert len(told) == 1
    assert "two imports PIL" in told[0]


def test_a_function_that_misses_nothing_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "serverless.yml").write_text(SERVICE)
    (tmp_path / "a.py").write_text("import json\nimport boto3\nimport b\n")
    (tmp_path / "b.py").write_text("")
    service, told = share_layers(load(tmp_path, options={}, environment={}))
    assert [list(function.layers) for function in service.functions] == [["arn:one"], [], []]
    assert told == []
