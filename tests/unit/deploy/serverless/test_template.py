"""The article's samples make the very template that the Serverless Framework 3 makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.commands import SAMPLES

from pilotlight.deploy.serverless import naming, package, service, template
from pilotlight.deploy.serverless.service import ServiceError

ORACLE = Path(__file__).parents[3] / "deploy" / "oracle"


def oracle(sample: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ORACLE / sample / f"{kind}.json").read_text())
    return found


def without_hashes(value: dict[str, Any]) -> Any:
    """A version's logical id ends in a hash of ours, or of theirs."""
    return json.loads(re.sub(r"LambdaVersion[0-9A-Za-z]+", "LambdaVersion", json.dumps(value)))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the article's samples are not beside this checkout")
@pytest.mark.parametrize("sample", ["image-processor", "keep-warm"])
def test_the_template_is_the_frameworks(sample: str) -> None:
    made = service.load(SAMPLES / sample, options={}, environment={})
    theirs = oracle(sample, "update")
    keys, digests = {}, {}
    for function in made.functions:
        resource = theirs["Resources"][naming.function(function.key)]
        keys[function.key] = resource["Properties"]["Code"]["S3Key"]
        for one in theirs["Resources"].values():
            if one["Type"] == "AWS::Lambda::Version" and one["Properties"]["FunctionName"] == {
                "Ref": naming.function(function.key)
            }:
                digests[function.key] = one["Properties"]["CodeSha256"]
    assert without_hashes(template.full_template(made, keys, digests)) == without_hashes(theirs)


def test_the_first_template_is_the_frameworks() -> None:
    assert template.first_template() == oracle("image-processor", "create")


def write(folder: Path, text: str) -> Path:
    (folder / "serverless.yml").write_text(text)
    return folder


BASE = "service: s\nprovider:\n  name: aws\n  runtime: python3.12\nfunctions:\n  f:\n    handler: a.b\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE + "plugins: [serverless-offline]\n", "serverless-offline"),
        (BASE.replace("name: aws", "name: google"), "only 'aws'"),
        (BASE + "    vpc: {}\n", "vpc"),
        (BASE + "    events:\n      - sqs: arn\n", "sqs is not supported yet"),
        (BASE + "    events:\n      - schedule: every day\n", "no rate"),
        (BASE.replace("    handler: a.b\n", "    image: x\n"), "handler"),
        (BASE.replace("  runtime: python3.12\n", ""), "runtime"),
        ("service: s\n", "'provider'"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    def deploy() -> None:
        made = service.load(write(tmp_path, text), options={}, environment={})
        template.full_template(made, {"f": "k"}, {"f": "d"})

    with pytest.raises(ServiceError, match=re.escape(words)):
        deploy()


def test_patterns_take_out_and_put_back() -> None:
    files = ["a.py", "tests/x.py", "tests/keep.py", "node_modules/m.js", ".git/config", "deep/b.pyc", ".env"]
    assert package.selected(files, ["!tests/**", "tests/keep.py", "!**/*.pyc", "!node_modules/**"]) == [
        "a.py",
        "tests/keep.py",
    ]


def test_a_package_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = package.make_zip(tmp_path, ["a.py"])
    (tmp_path / "a.py").touch()
    assert package.make_zip(tmp_path, ["a.py"]) == first
    with pytest.raises(package.PackageError):
        package.make_zip(tmp_path, [])


URLS = """
service: urls
provider: { name: aws, runtime: nodejs20.x }
functions:
  open: { handler: index.handler, url: true }
  signed:
    handler: index.handler
    url: { authorizer: aws_iam, invokeMode: RESPONSE_STREAM, cors: true }
  picky:
    handler: index.handler
    provisionedConcurrency: 1
    url:
      cors: { allowedOrigins: [https://a.example], allowedHeaders: [X-A], allowedMethods: [GET], allowCredentials: true,
              exposedResponseHeaders: [X-B], maxAge: 60 }
"""


def test_function_urls_are_the_frameworks(tmp_path: Path) -> None:
    """The oracle is what serverless 3.40 makes of this document. We add the permission that AWS asks for since 2025."""
    made = service.load(write(tmp_path, URLS), options={}, environment={})
    keys = {function.key: "k" for function in made.functions}
    ours = template.full_template(made, keys, keys)
    theirs = oracle("urls", "urls")
    wanted = ("AWS::Lambda::Url", "AWS::Lambda::Permission")
    found = {name: one for name, one in ours["Resources"].items() if one["Type"] in wanted}
    added = {name: found.pop(name) for name in list(found) if name.endswith("FnUrlInvoke")}
    assert found == theirs["Resources"]
    assert {name: one for name, one in ours["Outputs"].items() if name.endswith("FunctionUrl")} == theirs["Outputs"]
    assert set(added) == {"OpenLambdaPermissionFnUrlInvoke", "PickyLambdaPermissionFnUrlInvoke"}
    assert added["OpenLambdaPermissionFnUrlInvoke"]["Properties"]["InvokedViaFunctionUrl"] is True


@pytest.mark.parametrize("url", ["{ authorizer: nobody }", "{ throttle: 1 }", "{ cors: { who: me } }", "yes please"])
def test_an_unknown_setting_of_a_url_is_refused(tmp_path: Path, url: str) -> None:
    made = service.load(write(tmp_path, f"{BASE}    url: {url}\n"), options={}, environment={})
    with pytest.raises(ServiceError, match=r"functions\.f\.url"):
        template.full_template(made, {"f": "k"}, {"f": "d"})
