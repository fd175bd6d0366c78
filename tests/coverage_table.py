"""`make coverage`: which operations are real and which are refused, read from the code itself."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from pilotlight.gateway.registry import snake
from pilotlight.protocols.model import load_model

ROOT = Path(__file__).parent.parent
SERVICES = {
    "lambda": "awslambda",
    "s3": "s3",
    "dynamodb": "dynamodb",
    "iam": "iam",
    "sts": "sts",
    "logs": "logs",
    "apigatewayv2": "apigatewayv2",
    "cloudformation": "cloudformation",
    "events": "events",
    "stepfunctions": "stepfunctions",
    "sns": "sns",
    "sqs": "sqs",
    "ecr": "ecr",
}
STORED = {
    "ecr": {"PutImageScanningConfiguration": "kept and returned; images are not scanned"},
    "lambda": {"PutRuntimeManagementConfig": "kept and returned; this machine's runtimes are its owner's to update"},
    "s3": {
        "PutBucketRequestPayment": "kept and returned; nobody is billed",
        "PutBucketAccelerateConfiguration": "kept and returned; there is nothing to accelerate",
    },
}
STORED_PARAMETERS = {
    "DynamoDB": "provisioned throughput, table class, on-demand limits, AWS-managed encryption",
    "Lambda": "tracing mode; SnapStart where the engine has no template; ids of subnets and security groups (a VPC "
    "means no internet); `arm64` runs on the host's architecture and is metered as arm64",
    "S3": "storage classes (labels; archived objects refuse reads), request payment, acceleration, default encryption",
    "CloudFormation": "notification settings are refused; `Metadata` is kept",
    "SNS": "encryption, tracing, display names, feedback roles, `FifoThroughputScope`, `SubscriptionRoleArn`",
    "SQS": "encryption settings, `FifoThroughputLimit` (nothing is throttled)",
    "Step Functions": "logging, tracing and encryption settings",
    "ECR": "scan on push is kept and returned; images are not scanned, and asking for findings is refused",
    "API Gateway v2": "detailed metrics of stages",
}


def methods(service: str) -> set[str]:
    """The public async methods of a service's classes."""
    found = set()
    for path in (ROOT / "src" / "pilotlight" / "services" / service).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found |= {
                    item.name
                    for item in node.body
                    if isinstance(item, ast.AsyncFunctionDef) and not item.name.startswith("_")
                }
    return found


def table() -> str:
    lines = [
        "# Coverage",
        "",
        "Made by `make coverage` from the code. What is not listed as real answers 501 with its name.",
    ]
    lines += ["", "## Stored, without an effect", ""]
    lines += [f"* {service}: {what}." for service, what in STORED_PARAMETERS.items()]
    for name, folder in SERVICES.items():
        model, have = load_model(name), methods(folder)
        real = sorted(operation for operation in model.operations if snake(operation) in have)
        refused = sorted(set(model.operations) - set(real))
        stored = STORED.get(name, {})
        lines += ["", f"## {model.service_id}: {len(real)} of {len(model.operations)}", ""]
        lines.append("**Real:** " + ", ".join(one for one in real if one not in stored))
        if stored:
            lines += ["", "**Stored:** " + ", ".join(f"{one} ({why})" for one, why in sorted(stored.items()))]
        lines += ["", "**Refused by name:** " + (", ".join(refused) or "none")]
    return "\n".join(lines) + "\n"


def main() -> None:
    target = ROOT / "docs" / "reference" / "coverage.md"
    if "--check" in sys.argv:
        sys.exit(0 if target.read_text() == table() else "docs/reference/coverage.md is old: run `make coverage`")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(table())


if __name__ == "__main__":
    main()
