"""Access control lists: read from a request, shown, and what they let a caller do. Pure.

Only buckets that do not own their objects by themselves have any (AWS's default since April 2023 is that they do).
Every object here belongs to its bucket's owner, so canned lists that speak of the bucket's owner add nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import errors, names
from pilotlight.services.s3.store import Bucket

Params = Mapping[str, Any]
Grant = Mapping[str, Any]

GROUPS = "http://acs.amazonaws.com/groups/"
EVERYBODY = GROUPS + "global/AllUsers"
AUTHENTICATED = GROUPS + "global/AuthenticatedUsers"
LOG_DELIVERY = GROUPS + "s3/LogDelivery"
CANNED: Mapping[str, Sequence[tuple[str, str]]] = {
    "private": (),
    "public-read": ((EVERYBODY, "READ"),),
    "public-read-write": ((EVERYBODY, "READ"), (EVERYBODY, "WRITE")),
    "authenticated-read": ((AUTHENTICATED, "READ"),),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
}
HEADERS = {
    "GrantFullControl": "FULL_CONTROL",
    "GrantRead": "READ",
    "GrantReadACP": "READ_ACP",
    "GrantWrite": "WRITE",
    "GrantWriteACP": "WRITE_ACP",
}
OBJECT_ACTIONS = {
    "READ": ("s3:GetObject", "s3:GetObjectVersion"),
    "READ_ACP": ("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
    "WRITE_ACP": ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
}
BUCKET_ACTIONS = {
    "READ": ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"),
    "WRITE": ("s3:PutObject", "s3:DeleteObject"),
    "READ_ACP": ("s3:GetBucketAcl",),
    "WRITE_ACP": ("s3:PutBucketAcl",),
}
GRANTS_MAX = 100


def ownership(bucket: Bucket) -> str:
    rules = bucket.settings.get("ownership", {}).get("Rules", ())
    return str(rules[0]["ObjectOwnership"]) if rules else "ObjectWriter"


def asked(request: Params) -> bool:
    return bool(request.get("ACL") or request.get("AccessControlPolicy")) or any(name in request for name in HEADERS)


def of_write(bucket: Bucket, request: Params) -> dict[str, Any]:
    """`acl` for an object's attributes; empty where it is private. AWS: a bucket that owns its objects takes no list
    but the one that gives its owner full control."""
    if not asked(request):
        return {}
    if ownership(bucket) == "BucketOwnerEnforced":
        if request.get("ACL") == "bucket-owner-full-control" and not any(name in request for name in HEADERS):
            return {}
        raise errors.acl_not_supported()
    grants = read(bucket, request)
    return {"acl": grants} if grants is not None else {}


def read(bucket: Bucket, request: Params) -> list[Grant] | None:
    """The grants that a request asks for, in its one form; None for the owner's full control alone."""
    owner = names.owner_of(bucket.account)
    canned = request.get("ACL")
    headers = [(name, request[name]) for name in HEADERS if request.get(name)]
    if canned and headers:
        raise errors.invalid_request("Specifying both Canned ACLs and Header Grants is not allowed")
    if request.get("AccessControlPolicy"):
        grants = _of_document(request["AccessControlPolicy"], owner["ID"])
    elif canned:
        if canned not in CANNED:
            if canned == "aws-exec-read":
                raise NotImplementedHere("the ACL aws-exec-read")
            raise errors.invalid_argument("", "x-amz-acl", canned)
        given = [_grant({"Type": "Group", "URI": uri}, permission) for uri, permission in CANNED[canned]]
        grants = [_grant({"Type": "CanonicalUser", **owner}, "FULL_CONTROL"), *given]
    else:
        grants = [_grant(_grantee(part), HEADERS[name]) for name, text in headers for part in text.split(",")]
    block = bucket.settings.get("public_access_block", {})
    if block.get("BlockPublicAcls") and any(_public(grant) for grant in grants):
        raise errors.access_denied()
    return None if grants == default(bucket) else grants


def default(bucket: Bucket) -> list[Grant]:
    return [_grant({"Type": "CanonicalUser", **names.owner_of(bucket.account)}, "FULL_CONTROL")]


def shown(bucket: Bucket, grants: Sequence[Grant] | None) -> dict[str, Any]:
    enforced = ownership(bucket) == "BucketOwnerEnforced"
    return {
        "Owner": names.owner_of(bucket.account),
        "Grants": default(bucket) if enforced or grants is None else list(grants),
    }


def _grant(grantee: Mapping[str, str], permission: str) -> Grant:
    return {"Grantee": dict(grantee), "Permission": permission}


def _public(grant: Grant) -> bool:
    return grant["Grantee"].get("URI") in (EVERYBODY, AUTHENTICATED)


def _grantee(text: str) -> dict[str, str]:
    """`id="…"`, `uri="…"`; mail addresses name nobody here."""
    kind, _, value = text.strip().partition("=")
    value = value.strip().strip('"')
    return _checked({"id": {"Type": "CanonicalUser", "ID": value}, "uri": {"Type": "Group", "URI": value}}.get(
        kind.strip().lower(), {"Type": "AmazonCustomerByEmail", "EmailAddress": value}
    ))  # fmt: skip


def _checked(grantee: Mapping[str, str]) -> dict[str, str]:
    if grantee.get("Type") == "Group":
        if grantee.get("URI") not in (EVERYBODY, AUTHENTICATED, LOG_DELIVERY):
            raise errors.invalid_argument("Invalid group uri", "uri", grantee.get("URI", ""))
        return {"Type": "Group", "URI": grantee["URI"]}
    if grantee.get("Type") == "CanonicalUser":
        identity = grantee.get("ID", "")
        if len(identity) != 64 or not all(digit in "0123456789abcdef" for digit in identity):
            raise errors.invalid_argument("Invalid id", "CanonicalUser/ID", identity)
        return {"Type": "CanonicalUser", "ID": identity}
    raise NotImplementedHere("grants to mail addresses")


def _of_document(given: Params, owner: str) -> list[Grant]:
    if given.get("Owner", {}).get("ID", owner) != owner:
        raise errors.access_denied()
    grants = given.get("Grants", ())
    if len(grants) > GRANTS_MAX:
        raise errors.malformed_xml()
    for grant in grants:
        if grant.get("Permission") not in HEADERS.values() or "Grantee" not in grant:
            raise errors.malformed_xml()
    return [_grant(_checked(grant["Grantee"]), grant["Permission"]) for grant in grants]


def allows(
    bucket: Bucket, grants: Sequence[Grant], actions: Mapping[str, Sequence[str]], action: str, caller: Caller
) -> bool:
    """Whether a list, whose permissions mean `actions`, gives the caller this one."""
    ignore = bucket.settings.get("public_access_block", {}).get("IgnorePublicAcls")
    for grant in grants:
        permission, grantee = grant["Permission"], grant["Grantee"]
        wanted = actions if permission == "FULL_CONTROL" else {permission: actions.get(permission, ())}
        if not any(action in covered for covered in wanted.values()) or (_public(grant) and ignore):
            continue
        if grantee.get("URI") == EVERYBODY or (grantee.get("URI") == AUTHENTICATED and caller.kind != "anonymous"):
            return True
        if caller.kind != "anonymous" and grantee.get("ID") == names.owner_of(caller.account)["ID"]:
            # The owner's own people need their identity's policies: the account's full control is not each user's.
            return caller.account != bucket.account
    return False
