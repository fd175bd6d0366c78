"""Functions in a real cloud, made with boto3."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from pilotlight.testing.cloud import Cloud

ROLE = "arn:aws:iam::000000000000:role/worker"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


def zipped(**files: str) -> bytes:
    """`index_mjs="…"` is a file `index.mjs`."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("_", "."), (2026, 1, 1, 0, 0, 0)), text)
    return data.getvalue()


def make_role(cloud: Cloud) -> None:
    cloud.client("iam").create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(TRUST))


def make_function(cloud: Cloud, name: str, code: bytes, **changes: Any) -> Any:
    """A Python function `app.handler`, unless it is said otherwise."""
    request = {"Runtime": "python3.11", "Handler": "app.handler", "Role": ROLE, "Code": {"ZipFile": code}}
    return cloud.client("lambda").create_function(FunctionName=name, **(request | changes))
