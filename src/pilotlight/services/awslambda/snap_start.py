"""SnapStart and VPCs as settings of a function: who may have them, with what, and how they are shown.

SnapStart starts published versions from a template of themselves; how, and whether, is the engine's matter
(`FunctionVersion.snap_start`).

Of a VPC there is no network here: its ids are kept, unchecked, and the function loses its way to the internet, as one
in a VPC without a NAT gateway has none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pilotlight.services.awslambda.names import invalid
from pilotlight.services.awslambda.store import Version

EPHEMERAL_MB = 512
RUNTIMES = re.compile(r"java(11|17|21|25)|python3\.(1[2-9])|dotnet(8|10)")
"""AWS: "Improving startup performance with Lambda SnapStart", supported runtimes."""


def check(body: Mapping[str, Any]) -> None:
    """Whether what a function would be may have SnapStart. AWS: the same page, "Supported features and limitations"."""
    if not wanted(body):
        return
    runtime = str(body.get("Runtime", ""))
    if not RUNTIMES.fullmatch(runtime):
        raise invalid(f"{runtime} is not supported for SnapStart enabled functions.")
    if body["EphemeralStorage"]["Size"] > EPHEMERAL_MB:
        raise invalid(f"SnapStart does not support ephemeral storage greater than {EPHEMERAL_MB} MB.")


def wanted(body: Mapping[str, Any]) -> bool:
    return bool((body.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions")


def check_not_provisioned(version: Version | None) -> None:
    """AWS: a version has one cure for cold starts or the other."""
    if version is not None and wanted(version.body):
        raise invalid("Provisioned Concurrency is not supported for functions with SnapStart enabled.")


def shown(version: Version) -> dict[str, str]:
    applied = wanted(version.body)
    return {
        "ApplyOn": "PublishedVersions" if applied else "None",
        "OptimizationStatus": "On" if applied and version.number else "Off",
    }


def check_vpc(vpc: Mapping[str, Any]) -> None:
    if bool(vpc.get("SubnetIds")) != bool(vpc.get("SecurityGroupIds")):
        raise invalid("SubnetIds and SecurityIds must coexist or be both empty list.")


def vpc_response(vpc: Mapping[str, Any]) -> dict[str, Any] | None:
    """As it is kept and shown; None where the function leaves its VPC. The VPC's id stands for its subnets."""
    subnets = list(vpc.get("SubnetIds") or ())
    if not subnets:
        return None
    digest = hashlib.sha256(",".join(sorted(subnets)).encode()).hexdigest()
    return {
        "SubnetIds": subnets,
        "SecurityGroupIds": list(vpc["SecurityGroupIds"]),
        "VpcId": f"vpc-{digest[:17]}",
        "Ipv6AllowedForDualStack": bool(vpc.get("Ipv6AllowedForDualStack")),
    }
