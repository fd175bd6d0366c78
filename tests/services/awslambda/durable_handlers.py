"""The functions that the durable tests run, under AWS's own SDKs, and how they are packaged."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import zipfile
from pathlib import Path

PYTHON = """
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration, JitterStrategy, StepConfig
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

tries = {}


def flaky(order):
    def attempt(step):
        tries[order] = tries.get(order, 0) + 1
        if tries[order] < 3:
            raise ValueError(f"try {tries[order]}")
        return {"tries": tries[order]}
    return attempt


def steps(event, context):
    strategy = RetryStrategyConfig(
        max_attempts=event.get("attempts", 4),
        initial_delay=Duration.from_seconds(5),
        jitter_strategy=JitterStrategy.NONE,
    )
    return context.step(
        flaky(event["order"]), name="flaky", config=StepConfig(retry_strategy=create_retry_strategy(strategy))
    )


def day(event, context):
    before = context.step(lambda step: "before", name="before")
    context.wait(Duration.from_days(1), name="a day")
    return before + context.step(lambda step: "/after", name="after")


def callback(event, context):
    config = CallbackConfig(timeout=Duration.from_hours(1), heartbeat_timeout=Duration.from_minutes(10))
    return context.create_callback(name="approval", config=config).result()


def squares(event, context):
    found = context.map(
        [1, 2, 3], lambda inner, item, index, items: inner.step(lambda step: item * item, name=f"square {item}")
    )
    return found.get_results()


def branches(event, context):
    def slow(inner):
        inner.wait(Duration.from_hours(2))
        return "slow"
    return context.parallel([lambda inner: inner.step(lambda step: "quick"), slow]).get_results()


def chain(event, context):
    plain = context.invoke(event["plain"], {"n": 1}, name="plain")
    return [plain, context.invoke(event["durable"], {"what": "day"}, name="durable")]


def missing(event, context):
    try:
        context.invoke("nowhere", {}, name="nowhere")
    except Exception as error:
        return str(error)


def large(event, context):
    count = event["count"]
    for number in range(count):
        context.step(lambda step: "x" * 700_000, name=f"large {number}")
    context.wait(Duration.from_seconds(1))
    return sum(len(context.step(lambda step: "y", name=f"small {number}")) for number in range(count))


@durable_execution
def handler(event, context: DurableContext):
    return globals()[event["what"]](event, context)
"""

NODE = """
const { withDurableExecution, createRetryStrategy } = require('@aws/durable-execution-sdk-js')
const tries = {}

exports.handler = withDurableExecution(async (event, context) => {
  const flaky = await context.step('flaky', async () => {
    tries[event.order] = (tries[event.order] || 0) + 1
    if (tries[event.order] < 3) throw new Error('try ' + tries[event.order])
    return tries[event.order]
  }, { retryStrategy: (error, attempt) => ({ shouldRetry: attempt < 4, delay: { seconds: 5 } }) })
  await context.wait('a day', { days: 1 })
  const squares = await context.map('squares', [1, 2, 3], async (inner, item) => inner.step(async () => item * item))
  const [promise, id] = await context.createCallback('approval', { timeout: { hours: 1 } })
  const approval = await promise
  const plain = await context.invoke('plain', event.plain, { n: 1 })
  return { flaky, squares: squares.getResults(), approval, plain }
})
"""

PLAIN = "def handler(event, context):\n    return {'plain': event}\n"


def zipped(files: dict[str, bytes | str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return data.getvalue()


def python_layer() -> bytes:
    """AWS's SDK for Python, as it was installed for these tests."""
    spec = importlib.util.find_spec("aws_durable_execution_sdk_python")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    return zipped(
        {f"python/{path.relative_to(folder.parent)}": path.read_bytes() for path in sorted(folder.rglob("*.py"))}
    )


def node_package(folder: Path) -> bytes:
    """AWS's SDK for JavaScript, from npm. Raises CalledProcessError where that cannot be had."""
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run([*command, "@aws/durable-execution-sdk-js@2.3.1"], check=True, capture_output=True, timeout=120)
    files: dict[str, bytes | str] = {"index.js": NODE}
    for path in sorted((folder / "node_modules").rglob("*")):
        if path.is_file() and path.suffix in (".js", ".cjs", ".json"):
            files[str(path.relative_to(folder))] = path.read_bytes()
    return zipped(files)
