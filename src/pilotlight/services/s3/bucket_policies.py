"""Bucket policies: checked when they are put, and whether one is public. The guard hands them to the evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.identity.policies import InvalidPolicy, compile_policy
from pilotlight.services.s3 import errors, names, store
from pilotlight.services.s3.access import Shared

Params = Mapping[str, Any]

POLICY_BYTES_MAX = 20 * 1024
STATEMENT_NAMES = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
OBJECT_ACTIONS = ("s3:getobject", "s3:putobject", "s3:deleteobject", "s3:getobjectversion", "s3:putobjectacl")
BUCKET_ACTIONS = ("s3:listbucket", "s3:getbucketlocation", "s3:listbucketversions", "s3:listbucketmultipartuploads")
LIMITING = (
    "aws:sourceip",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceowner",
    "aws:sourceaccount",
    "aws:userid",
    "aws:principalorgid",
    "aws:principalaccount",
    "aws:principalarn",
    "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
)
"""AWS: a condition that fixes one of these to a value keeps a policy from being public."""


class BucketPolicies:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get_bucket_policy(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        return {"Policy": self._policy(bucket)}

    def _policy(self, bucket: store.Bucket) -> str:
        found = bucket.settings.get("policy")
        if found is None:
            message = "The bucket policy does not exist"
            raise errors.missing_configuration("NoSuchBucketPolicy", message, bucket.name)
        return str(found)

    async def put_bucket_policy(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        text = request["Policy"]
        policy = parse(text, bucket.name)
        if bucket.settings.get("public_access_block", {}).get("BlockPublicPolicy") and is_public(policy):
            message = (
                f"User: {caller.arn} is not authorized to perform: s3:PutBucketPolicy on resource: "
                f'"{names.bucket_arn(bucket.name)}" because public policies are prevented by the BlockPublicPolicy '
                "setting in S3 Block Public Access."
            )
            raise AwsError("AccessDenied", message, status=403)
        await self._shared.database.write(store.change_bucket, bucket, "policy", text)

    async def delete_bucket_policy(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        await self._shared.database.write(store.change_bucket, bucket, "policy", None)

    async def get_bucket_policy_status(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        return {"PolicyStatus": {"IsPublic": is_public(json.loads(self._policy(bucket)))}}


def malformed(message: str) -> AwsError:
    return AwsError("MalformedPolicy", message)


def parse(text: str, bucket: str) -> dict[str, Any]:
    """The policy as a mapping. Raises MalformedPolicy in AWS's words."""
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise malformed(f"Normalized policy document exceeds the maximum allowed size of {POLICY_BYTES_MAX} bytes.")
    try:
        policy = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise malformed("Policies must be valid JSON and the first byte must be '{'")
    if "Statement" not in policy:
        raise malformed("Missing required field Statement")
    statements = _listed(policy["Statement"])
    if not statements:
        raise malformed("Could not parse the policy: Statement is empty!")
    for statement in statements:
        _check_statement(statement, bucket)
    try:
        compile_policy(text)
    except InvalidPolicy:
        raise malformed("This policy contains invalid Json") from None
    return policy


def _check_statement(statement: Any, bucket: str) -> None:
    if not isinstance(statement, dict):
        raise malformed("Statement must be an object")
    unknown = sorted(set(statement) - STATEMENT_NAMES)
    if unknown:
        raise malformed(f"Unknown field {unknown[0]}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise malformed(f"Invalid effect: {statement['Effect']}" if "Effect" in statement
                        else "Missing required field Effect")  # fmt: skip
    for name in ("Principal", "Action", "Resource"):
        if name not in statement and f"Not{name}" not in statement:
            raise malformed(f"Missing required field {name}")
    actions = [str(action).lower() for action in _listed(statement.get("Action", statement.get("NotAction")))]
    if any(action != "*" and not action.startswith("s3:") for action in actions):
        raise malformed("Policy has invalid action")
    resources = [str(resource) for resource in _listed(statement.get("Resource", statement.get("NotResource")))]
    arn = names.bucket_arn(bucket)
    fitting = ("*", arn, "arn:aws:s3:::*")
    if not all(resource in fitting or resource.startswith((f"{arn}/", f"{arn}*")) for resource in resources):
        raise malformed("Policy has invalid resource")
    if "Action" in statement and "Resource" in statement and not _actions_apply(actions, resources, arn):
        raise malformed("Action does not apply to any resource(s) in statement")


def _actions_apply(actions: Sequence[str], resources: Sequence[str], arn: str) -> bool:
    """Object actions need an object's ARN, and bucket actions the bucket's. Judged where it is beyond doubt."""
    if any("*" in action or "?" in action for action in actions):
        return True
    if all(action in OBJECT_ACTIONS for action in actions):
        return any(resource != arn for resource in resources)
    if all(action in BUCKET_ACTIONS for action in actions):
        return any(resource == arn or (resource.endswith("*") and "/" not in resource) for resource in resources)
    return True


def is_public(policy: Mapping[str, Any]) -> bool:
    """AWS: a policy is public where a statement allows everybody, and no condition fixes who or from where."""
    return any(
        statement.get("Effect") == "Allow" and _everybody(statement) and not _limited(statement.get("Condition", {}))
        for statement in _listed(policy["Statement"])
    )


def _everybody(statement: Mapping[str, Any]) -> bool:
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        return any("*" in _listed(value) for kind, value in principal.items() if kind == "AWS")
    return principal == "*"


def _limited(condition: Mapping[str, Any]) -> bool:
    for operator, keys in condition.items():
        if operator.lower().startswith(("stringnot", "arnnot", "notip", "null")) or operator.lower().endswith(
            "ifexists"
        ):
            continue
        for key, values in keys.items():
            fixed = [str(value) for value in _listed(values)]
            if key.lower() in LIMITING and all("*" not in value and value != "0.0.0.0/0" for value in fixed):
                return True
    return False


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
