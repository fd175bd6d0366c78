"""Runtimes as AWS lists them: which may be used for new functions, and which are over.

AWS: the dates are those of "Block function create" in the Lambda runtimes table; one who deploys today gets the same
answer here. Whether this host has an interpreter is the engine's matter, and shows at the first invocation.
"""

from __future__ import annotations

from pilotlight.services.awslambda.names import invalid

CURRENT = (
    "nodejs24.x", "nodejs22.x", "nodejs20.x", "nodejs18.x", "nodejs16.x",
    "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8",
    "java25", "java21", "java17", "java11", "java8.al2",
    "dotnet10", "dotnet8", "dotnet6",
    "ruby4.0", "ruby3.4", "ruby3.3", "ruby3.2",
    "provided.al2023", "provided.al2",
)  # fmt: skip

OWN = ("wasip1",)
"""Ours, and not AWS's: WebAssembly."""

DEPRECATED = (
    "nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
    "python2.7", "python3.6", "python3.7",
    "java8", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "go1.x",
    "ruby2.5", "ruby2.7", "provided",
)  # fmt: skip


def check_runtime(runtime: str) -> None:
    if runtime in DEPRECATED:
        raise invalid(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
    if runtime not in (*CURRENT, *OWN):
        raise invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(CURRENT)}] or be a valid ARN"
        )
