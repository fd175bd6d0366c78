"""What IAM accepts as a policy document, and how it words what it does not.

Sources: the policy grammar of the IAM user guide, and messages quoted in issue trackers of the SDKs and of
deployment tools.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from pilotlight.errors import AwsError
from pilotlight.identity.policies import InvalidPolicy, compile_policy

_VENDOR = re.compile(r"[a-zA-Z0-9\-]+")
_STATEMENT_KEYS = frozenset(
    ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition")
)
_PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "*")
_IAM_PATHS = (
    "*",
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
)


def malformed(text: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", text)


def check_identity(document: str) -> None:
    """An inline or managed policy. Raises MalformedPolicyDocument."""
    for statement in _statements(_read(document, "Syntax errors in policy.")):
        if "Principal" in statement or "NotPrincipal" in statement:
            raise malformed("Policy document should not specify a principal.")
        _check_actions(statement)
        _check_resources(statement)
    _check_evaluable(document)


def check_trust(document: str) -> None:
    """A role's trust policy. Raises MalformedPolicyDocument."""
    for statement in _statements(_read(document, "This policy contains invalid Json")):
        if "Resource" in statement or "NotResource" in statement:
            raise malformed("Has prohibited field Resource")
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise malformed("Missing required field Principal")
        if "Action" not in statement and "NotAction" not in statement:
            raise malformed("Missing required field Action")
        for action in _texts(statement.get("Action", statement.get("NotAction"))):
            if not action.lower().startswith("sts:"):
                raise malformed("AssumeRole policy may only specify STS AssumeRole actions.")
        _check_principals(statement.get("Principal", statement.get("NotPrincipal")))
    _check_evaluable(document)


def _read(document: str, invalid: str) -> Mapping[str, Any]:
    try:
        value = orjson.loads(document)
    except ValueError:
        raise malformed(invalid) from None
    if not isinstance(value, dict) or set(value) - {"Version", "Id", "Statement"}:
        raise malformed("Syntax errors in policy.")
    version = value.get("Version")
    if version is not None and version not in ("2012-10-17", "2008-10-17"):
        raise malformed("Policy document must be version 2012-10-17 or greater.")
    return value


def _statements(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    many = value.get("Statement")
    statements: list[Any] = many if isinstance(many, list) else [many]
    sids: set[str] = set()
    for statement in statements:
        if not isinstance(statement, dict) or set(statement) - _STATEMENT_KEYS:
            raise malformed("Syntax errors in policy.")
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise malformed("Syntax errors in policy.")
        for name in ("Action", "Resource", "Principal"):
            if name in statement and f"Not{name}" in statement:
                raise malformed("Syntax errors in policy.")
        sid = statement.get("Sid")
        if sid is not None:
            if not isinstance(sid, str):
                raise malformed("Syntax errors in policy.")
            if sid and sid in sids:
                raise malformed("Statement IDs (SID) in a single policy must be unique.")
            sids.add(sid)
    return statements


def _check_actions(statement: Mapping[str, Any]) -> None:
    actions = _texts(statement.get("Action", statement.get("NotAction")))
    if not actions:
        raise malformed("Policy statement must contain actions.")
    for action in actions:
        if action == "*":
            continue
        vendor, colon, name = action.partition(":")
        if not colon:
            raise malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if ":" in name:
            raise malformed("Actions/Condition can contain only one colon.")
        if not _VENDOR.fullmatch(vendor):
            raise malformed(f"Vendor {vendor} is not valid")


def _check_resources(statement: Mapping[str, Any]) -> None:
    resources = _texts(statement.get("Resource", statement.get("NotResource")))
    if not resources:
        raise malformed("Policy statement must contain resources.")
    for resource in resources:
        if resource == "*":
            continue
        if not resource.startswith("arn:"):
            raise malformed(f'Resource {resource} must be in ARN format or "*".')
        parts = resource.split(":", 5)
        if len(parts) > 1 and parts[1] not in _PARTITIONS:
            raise malformed(f'Partition "{parts[1]}" is not valid for resource "{resource}".')
        if len(parts) < 3 or (len(parts) < 6 and not resource.endswith("*")):
            raise malformed("The policy failed legacy parsing")
        if parts[2] != "*" and not _VENDOR.fullmatch(parts[2].rstrip("*")):
            raise malformed(f'Vendor "{parts[2]}" is not valid for resource "{resource}".')
        _check_paths(parts)


def _check_paths(parts: list[str]) -> None:
    if len(parts) < 6:
        return
    if parts[2] == "s3" and parts[3]:
        text = ":".join(parts)
        raise malformed(f"Resource {text} can not contain region information.")
    if parts[2] == "iam" and not (parts[5] in ("root",) or parts[5].startswith(_IAM_PATHS)):
        allowed = ", ".join(_IAM_PATHS[1:])
        raise malformed(f'IAM resource path must either be "*" or start with {allowed}.')


def _check_principals(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict):
        raise malformed(f'Invalid principal in policy: "{principal}"' if principal else "Syntax errors in policy.")
    for kind, values in principal.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
            raise malformed(f'Invalid principal in policy: "{kind}"')
        for value in _texts(values):
            if not _principal_valid(kind, value):
                raise malformed(f'Invalid principal in policy: "{kind.upper()}":"{value}"')


def _principal_valid(kind: str, value: str) -> bool:
    if kind == "Service":
        return "." in value or value == "*"
    if kind == "AWS":
        # AWS: the unique id of a principal that was deleted stays in the document that named it.
        unique = value.isalnum() and value.startswith(("AROA", "AIDA"))
        return value == "*" or unique or (len(value) == 12 and value.isdigit()) or value.startswith("arn:")
    return bool(value)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    many = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in many):
        raise malformed("Syntax errors in policy.")
    return many


def _check_evaluable(document: str) -> None:
    try:
        compile_policy(document)
    except InvalidPolicy:
        raise malformed("Syntax errors in policy.") from None
