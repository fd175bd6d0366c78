"""AWS's own runtime clients as custom runtimes: what they expect of the Runtime API is what Lambda gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion
from tests.engine.native import cached
from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

HEAVY = pytest.mark.skipif(
    not os.environ.get("PILOTLIGHT_TEST_CLIENTS"),
    reason="PILOTLIGHT_TEST_CLIENTS is not set: getting and compiling it takes a minute and more",
)
SYSTEM_PYTHON = "/usr/bin/python3"
PYTHON = """
def handler(event, context):
    if event == "fail":
        raise ValueError("no")
    print("said in Python")
    return [context.aws_request_id, context.invoked_function_arn, context.function_name, context.memory_limit_in_mb,
            context.get_remaining_time_in_millis() > 0, context.client_context and context.client_context.custom]
"""
NODE = """
exports.handler = async (event, context) => {
  if (event === 'fail') throw new TypeError('no')
  console.log('said in Node')
  return [context.awsRequestId, context.invokedFunctionArn, context.functionName, Number(context.memoryLimitInMB),
          context.getRemainingTimeInMillis() > 0, context.clientContext && context.clientContext.custom]
}
"""
JAVA = """
import com.amazonaws.services.lambda.runtime.Context;
import java.util.List;

public class App {
    public List<Object> handle(Object event, Context context) {
        if ("fail".equals(event)) throw new IllegalStateException("no");
        System.out.println("said in Java");
        return List.of(context.getAwsRequestId(), context.getInvokedFunctionArn(), context.getFunctionName(),
            context.getMemoryLimitInMB(), context.getRemainingTimeInMillis() > 0,
            context.getClientContext().getCustom());
    }
}
"""
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>x</groupId><artifactId>x</artifactId><version>1</version><dependencies><dependency>
<groupId>com.amazonaws</groupId><artifactId>aws-lambda-java-runtime-interface-client</artifactId>
<version>2.6.0</version></dependency></dependencies></project>"""


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this host")


def python(target: Path) -> None:
    # For the interpreter that the sandbox sees, whichever runs the tests.
    version = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "--only-binary=:all:"]
    subprocess.run([*command, "--python-version", version, "awslambdaric"], check=True, capture_output=True)


def node(target: Path) -> None:
    target.mkdir()
    subprocess.run(["npm", "install", "--silent", "aws-lambda-ric"], cwd=target, check=True, capture_output=True)


def java(target: Path) -> None:
    target.mkdir()
    (target / "pom.xml").write_text(POM)
    (target / "App.java").write_text(JAVA)
    copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={target}/lib"]
    subprocess.run(copy, cwd=target, check=True, capture_output=True)
    subprocess.run(["javac", "-cp", "lib/*", "App.java"], cwd=target, check=True, capture_output=True)


CLIENTS = {
    "python": (python, ("app.py", PYTHON), f'exec {SYSTEM_PYTHON} -m awslambdaric "$_HANDLER"', "app.handler",
               {"errorType": "ValueError", "errorMessage": "no"}),
    "node": (node, ("app.js", NODE), 'exec node node_modules/.bin/aws-lambda-ric "$_HANDLER"', "app.handler",
             {"errorType": "TypeError", "errorMessage": "no"}),
    "java": (java, ("App.txt", ""), 'exec "$JAVA" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$LAMBDA_TASK_ROOT:'
             '$LAMBDA_TASK_ROOT/lib/*" com.amazonaws.services.lambda.runtime.api.client.AWSLambda "$_HANDLER"',
             "App::handle", {"errorType": "java.lang.IllegalStateException", "errorMessage": "no"}),
}  # fmt: skip


def whole_java() -> str:
    """One that keeps its settings beside it, as a bundled one does. Debian keeps them in /etc, outside the sandbox."""
    for java in (*sorted(Path("/usr/lib/jvm").glob("*/bin/java")), Path("/opt/java/bin/java")):
        settings = java.parent.parent / "conf" / "security" / "java.security"
        if settings.is_file() and settings.resolve().is_relative_to(java.resolve().parent.parent):
            return str(java)
    return ""


def deployed(world: World, language: str, **options: Any) -> FunctionVersion:
    make, (name, source), start, handler, _ = CLIENTS[language]
    folder = world.folder({})
    shutil.copytree(cached(f"ric-{language}", make), folder, dirs_exist_ok=True, symlinks=True)
    (folder / name).write_text(source)
    (folder / "bootstrap").write_text(f'#!/bin/sh\ncd "$LAMBDA_TASK_ROOT"\n{start}\n')
    (folder / "bootstrap").chmod(0o755)
    settings: dict[str, Any] = {"runtime": "provided.al2023", "handler": handler, "memory_mb": 512}
    return world.version(code=folder, **(settings | options))


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=HEAVY), pytest.param("java", marks=HEAVY)])
async def test_the_official_client_answers_and_fails(provided: World, language: str) -> None:
    needs(*{"python": [SYSTEM_PYTHON], "node": ["npm", "node"], "java": ["mvn", "javac", "java"]}[language])
    java = whole_java() if provided.isolation == "namespaces" else shutil.which("java")
    if language == "java" and not java:
        pytest.skip("no Java of this host works without the host's /etc")
    version = deployed(provided, language, environment={"JAVA": java or ""})
    told = {"request_id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd", "client_context": '{"custom": {"a": "b"}}'}
    answer = await provided.answer(version, {}, **told)
    answer[3] = int(answer[3])
    assert answer == [told["request_id"], version.arn, version.name, 512, True, {"a": "b"}]
    await provided.quiet()
    failure = await provided.failure(version, "fail")
    wanted = CLIENTS[language][4]
    assert {name: failure[name] for name in wanted} == wanted
    await provided.quiet()
    assert (await provided.answer(version, {}, **told))[0] == told["request_id"]
    await provided.log_line(version, "said in")
    streams = {stream for group, stream, _ in provided.logs.events if group == version.log_group}
    assert len(streams) == 1


async def test_the_official_client_reports_what_it_cannot_load(provided: World) -> None:
    needs(SYSTEM_PYTHON)
    version = deployed(provided, "python", handler="nowhere.handler")
    failure = await provided.failure(version)
    assert failure["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'nowhere'" in failure["errorMessage"]
