"""The rows of customer managed policies and their versions, and the policies that add up to a principal's grants."""

from __future__ import annotations

from pilotlight.errors import AwsError
from pilotlight.services.iam import store
from pilotlight.services.iam.entities import (
    POLICY_VERSIONS_MAX,
    Kind,
    ManagedPolicy,
    PolicyVersion,
    conflict,
    exists,
    limit_exceeded,
    no_such_policy,
)
from pilotlight.storage.database import Transaction

_POLICY = """p.account, p.arn, p.name, p.path, p.id, p.description, p.default_version, p.last_version, p.created_ms,
    p.updated_ms, (select count(*) from iam_attached a where a.arn = p.arn and a.account = p.account) as attachments,
    (select count(*) from iam_entity e where e.boundary = p.arn and e.account = p.account) as boundary_uses"""
_VERSION = "arn, version, document, created_ms"


def create(tx: Transaction, policy: ManagedPolicy, document: str, tags: dict[str, str]) -> None:
    added = tx.run(
        """insert into iam_policy (account, folded, arn, name, path, id, description, default_version, last_version,
               created_ms, updated_ms)
           values (:account, :folded, :arn, :name, :path, :id, :description, 1, 1, :created_ms, :created_ms)
           on conflict (account, folded) do nothing""",
        account=policy.account,
        folded=policy.name.lower(),
        arn=policy.arn,
        name=policy.name,
        path=policy.path,
        id=policy.id,
        description=policy.description,
        created_ms=policy.created_ms,
    )
    if not added:
        raise exists("policy", policy.name)
    _add_version(tx, policy.arn, 1, document, policy.created_ms)
    store.put_tags(tx, policy.account, "policy", policy.arn, tags)


def find(tx: Transaction, account: str, arn: str) -> ManagedPolicy | None:
    row = tx.one(
        f"select {_POLICY} from iam_policy p where p.arn = :arn and p.account = :account", arn=arn, account=account
    )
    return ManagedPolicy(**row) if row else None


def get(tx: Transaction, account: str, arn: str) -> ManagedPolicy:
    policy = find(tx, account, arn)
    if policy is None:
        raise no_such_policy(arn)
    return policy


def list_all(tx: Transaction, account: str, prefix: str) -> list[ManagedPolicy]:
    rows = tx.all(
        f"""select {_POLICY} from iam_policy p where p.account = :account and substr(p.path, 1, :size) = :prefix
            order by p.name""",
        account=account,
        prefix=prefix,
        size=len(prefix),
    )
    return [ManagedPolicy(**row) for row in rows]


def versions(tx: Transaction, account: str, arn: str) -> list[PolicyVersion]:
    """Newest first."""
    get(tx, account, arn)
    rows = tx.all(f"select {_VERSION} from iam_policy_version where arn = :arn order by version desc", arn=arn)
    return [PolicyVersion(**row) for row in rows]


def get_version(tx: Transaction, account: str, arn: str, version: int) -> PolicyVersion:
    get(tx, account, arn)
    row = tx.one(
        f"select {_VERSION} from iam_policy_version where arn = :arn and version = :version", arn=arn, version=version
    )
    if row is None:
        raise no_such_version(arn, f"v{version}")
    return PolicyVersion(**row)


def no_such_version(arn: str, version: str) -> AwsError:
    message = f"Policy {arn} version {version} does not exist or is not attachable."
    return AwsError("NoSuchEntity", message, status=404)


def create_version(
    tx: Transaction, account: str, arn: str, *, document: str, default: bool, now_ms: int
) -> PolicyVersion:
    policy = get(tx, account, arn)
    if len(versions(tx, account, arn)) >= POLICY_VERSIONS_MAX:
        raise limit_exceeded(
            f"A managed policy can have up to {POLICY_VERSIONS_MAX} versions. Before you create a new version, "
            "you must delete an existing version."
        )
    version = policy.last_version + 1
    _add_version(tx, arn, version, document, now_ms)
    tx.run(
        """update iam_policy set last_version = :version, updated_ms = :now_ms, default_version = :default_version
           where arn = :arn""",
        version=version,
        now_ms=now_ms,
        default_version=version if default else policy.default_version,
        arn=arn,
    )
    store.touch(tx, account)
    return PolicyVersion(arn=arn, version=version, document=document, created_ms=now_ms)


def _add_version(tx: Transaction, arn: str, version: int, document: str, now_ms: int) -> None:
    tx.run(
        """insert into iam_policy_version (arn, version, document, created_ms)
           values (:arn, :version, :document, :now_ms)""",
        arn=arn,
        version=version,
        document=document,
        now_ms=now_ms,
    )


def set_default(tx: Transaction, account: str, arn: str, version: int, now_ms: int) -> None:
    get_version(tx, account, arn, version)
    tx.run(
        "update iam_policy set default_version = :version, updated_ms = :now_ms where arn = :arn",
        version=version,
        now_ms=now_ms,
        arn=arn,
    )
    store.touch(tx, account)


def delete_version(tx: Transaction, account: str, arn: str, version: int) -> None:
    policy = get(tx, account, arn)
    get_version(tx, account, arn, version)
    if version == policy.default_version:
        raise conflict("Cannot delete the default version of a policy.")
    tx.run("delete from iam_policy_version where arn = :arn and version = :version", arn=arn, version=version)


def delete(tx: Transaction, account: str, arn: str) -> None:
    policy = get(tx, account, arn)
    if policy.attachments or policy.boundary_uses:
        raise conflict("Cannot delete a policy attached to entities.")
    if len(versions(tx, account, arn)) > 1:
        raise conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )
    tx.run("delete from iam_policy_version where arn = :arn", arn=arn)
    tx.run("delete from iam_policy where arn = :arn", arn=arn)
    tx.run("delete from iam_tag where account = :account and kind = 'policy' and name = :arn", account=account, arn=arn)
    store.touch(tx, account)


def default_document(tx: Transaction, account: str, arn: str) -> str | None:
    """The document in force of a customer managed policy."""
    row = tx.one(
        """select v.document from iam_policy p join iam_policy_version v on v.arn = p.arn
           and v.version = p.default_version where p.arn = :arn and p.account = :account""",
        arn=arn,
        account=account,
    )
    return row["document"] if row else None


def sources(tx: Transaction, account: str, kind: Kind, name: str) -> list[tuple[str, str, str, str]]:
    """What a user, role or group is granted by: (kind, owner, policy name or ARN, document).

    Documents of AWS managed policies are empty: they are data, not rows. A user's groups are included.
    """
    found: list[tuple[str, str, str, str]] = []
    holders: list[tuple[Kind, str]] = [(kind, name)]
    if kind == "user":
        holders += [("group", group) for group in store.owners(tx, account, "group", name)]
    for holder_kind, holder in holders:
        found += [
            (holder_kind, holder, policy, document)
            for policy, document in store.inline_policies(tx, account, holder_kind, holder).items()
        ]
        found += [
            (holder_kind, holder, arn, default_document(tx, account, arn) or "")
            for arn in store.attached(tx, account, holder_kind, holder)
        ]
    return found
