"""What is the same for every language: AWS's reserved variables, and where code and layers are."""

from __future__ import annotations

from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.sandbox.contract import API_PORT, ENDPOINT_PORT, Sandbox
from pilotlight.engine.sandbox.plain import PlainSandbox

PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
RUNTIME_API = f"127.0.0.1:{API_PORT}"


def endpoint_of(sandbox: Sandbox, outside: str) -> str:
    """Where a function finds its cloud; `outside` is for those without a sandbox."""
    return f"http://127.0.0.1:{ENDPOINT_PORT}" if sandbox.isolated else outside


def runtime_api_of(sandbox: Sandbox) -> str:
    if sandbox.isolated or sandbox.api_listener is None:
        return RUNTIME_API
    host, port = sandbox.api_listener.getsockname()
    return f"{host}:{port}"


def places(version: FunctionVersion, sandbox: Sandbox) -> tuple[str, list[str]]:
    """Where the code is, and the layers, as the function sees them."""
    if sandbox.isolated:
        return "/var/task", ["/opt"] if version.layers else []
    return str(version.code), [str(layer) for layer in reversed(version.layers)]


def scratch(sandbox: Sandbox) -> dict[str, str]:
    """Without a sandbox there is no /tmp of its own: this is the next best thing."""
    return {"TMPDIR": str(sandbox.scratch)} if isinstance(sandbox, PlainSandbox) else {}


def reserved(version: FunctionVersion, sandbox: Sandbox, task_root: str, runtime_dir: str) -> dict[str, str]:
    """Over the function's own variables. Credentials are added by the agent."""
    # AWS: only functions with the JSON format see these; libraries go by them.
    json = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": version.application_log_level or "INFO"}
    return {
        **(json if version.log_format == "JSON" else {}),
        "_HANDLER": version.handler,
        "LAMBDA_TASK_ROOT": task_root,
        "LAMBDA_RUNTIME_DIR": runtime_dir,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{version.runtime}",
        "AWS_REGION": version.region,
        "AWS_DEFAULT_REGION": version.region,
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "AWS_LAMBDA_RUNTIME_API": runtime_api_of(sandbox),
    }


def about(version: FunctionVersion, stream: str) -> dict[str, Any]:
    """The part of a start frame that every bootstrap of ours is told."""
    return {
        "handler": version.handler,
        "log_group": version.log_group,
        "log_stream": stream,
        "log_format": version.log_format,
        "application_log_level": version.application_log_level,
        "function_name": version.name,
        "function_version": version.version,
        "memory_mb": version.memory_mb,
    }
