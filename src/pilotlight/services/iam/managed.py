"""The AWS managed policies that serverless projects name, as data: `managed_policies.json`.

The documents are written after AWS's managed policy reference, narrowed to the services that exist here.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from pilotlight.services.iam.entities import ManagedPolicy, PolicyVersion

PREFIX = "arn:aws:iam::aws:policy"
CREATED_MS = 1_423_180_800_000
"""February 2015, when AWS made the first of them."""


@dataclass(frozen=True, slots=True)
class AwsPolicy:
    policy: ManagedPolicy
    version: PolicyVersion


def load() -> Mapping[str, AwsPolicy]:
    """By ARN."""
    text = resources.files("pilotlight.services.iam").joinpath("managed_policies.json").read_text("utf-8")
    found = {}
    for name, entry in json.loads(text).items():
        arn = f"{PREFIX}{entry['path']}{name}"
        policy = ManagedPolicy(
            account="aws",
            arn=arn,
            name=name,
            path=entry["path"],
            id="ANPA" + b32encode(hashlib.sha256(arn.encode()).digest())[:17].decode(),
            description=entry["description"],
            default_version=entry["version"],
            last_version=entry["version"],
            created_ms=CREATED_MS,
            updated_ms=CREATED_MS,
        )
        document = json.dumps(entry["document"], indent=4)
        found[arn] = AwsPolicy(
            policy, PolicyVersion(arn=arn, version=entry["version"], document=document, created_ms=CREATED_MS)
        )
    return found
