"""IAM's rows. Each change also moves the account's revision, which the grants' cache is keyed by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.iam.entities import (
    ACCESS_KEYS_MAX,
    ATTACHED_MAX,
    GROUPS_OF_USER_MAX,
    TAGS_MAX,
    Entity,
    Kind,
    StoredKey,
    conflict,
    exists,
    limit_exceeded,
    no_such,
    not_attachable,
)
from pilotlight.storage.database import Transaction

_ENTITY = "account, kind, name, path, id, created_ms, trust, description, max_session_seconds, boundary"
_OF = "account = :account and kind = :kind and name = :name"


def touch(tx: Transaction, account: str) -> None:
    tx.run(
        """insert into iam_revision (account, revision) values (:account, 1)
           on conflict (account) do update set revision = iam_revision.revision + 1""",
        account=account,
    )


def touch_all(tx: Transaction) -> None:
    """Everything was forgotten."""
    tx.run("update iam_revision set revision = revision + 1")


def revision(tx: Transaction, account: str) -> int:
    row = tx.one("select revision from iam_revision where account = :account", account=account)
    return row["revision"] if row else 0


def create_entity(tx: Transaction, entity: Entity, tags: Mapping[str, str]) -> None:
    """Names are unique without regard to case."""
    added = tx.run(
        f"""insert into iam_entity ({_ENTITY}, folded) values (:account, :kind, :name, :path, :id, :created_ms, :trust,
            :description, :max_session_seconds, :boundary, :folded) on conflict (account, kind, folded) do nothing""",
        account=entity.account,
        kind=entity.kind,
        name=entity.name,
        path=entity.path,
        id=entity.id,
        created_ms=entity.created_ms,
        trust=entity.trust,
        description=entity.description,
        max_session_seconds=entity.max_session_seconds,
        boundary=entity.boundary,
        folded=entity.name.lower(),
    )
    if not added:
        raise exists(entity.kind, entity.name)
    _put_tags(tx, entity.account, entity.kind, entity.name, tags)
    touch(tx, entity.account)


def find_entity(tx: Transaction, account: str, kind: Kind, name: str) -> Entity | None:
    row = tx.one(
        f"select {_ENTITY} from iam_entity where account = :account and kind = :kind and folded = :folded",
        account=account,
        kind=kind,
        folded=name.lower(),
    )
    return Entity(**row) if row else None


def get_entity(tx: Transaction, account: str, kind: Kind, name: str) -> Entity:
    entity = find_entity(tx, account, kind, name)
    if entity is None:
        raise no_such(kind, name)
    return entity


def list_entities(tx: Transaction, account: str, kind: Kind, prefix: str) -> list[Entity]:
    """Those whose path starts with `prefix`."""
    rows = tx.all(
        f"""select {_ENTITY} from iam_entity where account = :account and kind = :kind
            and substr(path, 1, :size) = :prefix order by name""",
        account=account,
        kind=kind,
        prefix=prefix,
        size=len(prefix),
    )
    return [Entity(**row) for row in rows]


def update_role(
    tx: Transaction,
    account: str,
    name: str,
    *,
    trust: str | None = None,
    description: str | None = None,
    max_session_seconds: int | None = None,
) -> None:
    """What is None stays as it is."""
    entity = get_entity(tx, account, "role", name)
    tx.run(
        f"""update iam_entity set trust = :trust, description = :description,
            max_session_seconds = :max_session_seconds where {_OF}""",
        trust=entity.trust if trust is None else trust,
        description=entity.description if description is None else description,
        max_session_seconds=entity.max_session_seconds if max_session_seconds is None else max_session_seconds,
        account=account,
        kind="role",
        name=entity.name,
    )
    touch(tx, account)


def set_boundary(tx: Transaction, account: str, kind: Kind, name: str, arn: str) -> None:
    """An empty `arn` takes the boundary away."""
    entity = get_entity(tx, account, kind, name)
    if not arn and not entity.boundary:
        message = f"{kind.capitalize()} {name} does not have a permissions boundary."
        raise AwsError("NoSuchEntity", message, status=404)
    tx.run(f"update iam_entity set boundary = :arn where {_OF}", arn=arn, account=account, kind=kind, name=entity.name)
    touch(tx, account)


def rename_entity(tx: Transaction, account: str, kind: Kind, name: str, *, new_name: str, new_path: str) -> None:
    """Policies, tags, keys and memberships follow the name."""
    entity = get_entity(tx, account, kind, name)
    other = find_entity(tx, account, kind, new_name)
    if other is not None and other.name != entity.name:
        raise exists(kind, new_name)
    values = {"account": account, "kind": kind, "name": entity.name, "new": new_name}
    tx.run(
        f"update iam_entity set name = :new, folded = :folded, path = :path where {_OF}",
        folded=new_name.lower(),
        path=new_path,
        **values,
    )
    for table in ("iam_inline", "iam_attached", "iam_member", "iam_tag"):
        tx.run(f"update {table} set name = :new where {_OF}", **values)
    if kind == "user":
        tx.run("update iam_access_key set user_name = :new where account = :account and user_name = :name", **values)
        tx.run(
            """update iam_member set member = :new
               where account = :account and member = :name and kind <> :kind and kind = 'group'""",
            **values,
        )
    touch(tx, account)


def delete_entity(tx: Transaction, account: str, kind: Kind, name: str) -> None:
    """Refused while something still hangs on it, in AWS's words."""
    entity = get_entity(tx, account, kind, name)
    values = {"account": account, "kind": kind, "name": entity.name}
    _check_members(tx, account, kind, entity.name)
    if kind != "instance-profile":
        if tx.one(f"select 1 as one from iam_attached where {_OF} limit 1", **values):
            raise conflict("Cannot delete entity, must detach all policies first.")
        if tx.one(f"select 1 as one from iam_inline where {_OF} limit 1", **values):
            raise conflict("Cannot delete entity, must delete policies first.")
    if kind == "user" and tx.one(
        "select 1 as one from iam_access_key where account = :account and user_name = :name limit 1",
        account=account,
        name=entity.name,
    ):
        raise conflict("Cannot delete entity, must delete access keys first.")
    for table in ("iam_entity", "iam_tag"):
        tx.run(f"delete from {table} where {_OF}", **values)
    touch(tx, account)


def _check_members(tx: Transaction, account: str, kind: Kind, name: str) -> None:
    if kind in ("group", "instance-profile") and members(tx, account, kind, name):
        what = "users from group" if kind == "group" else "roles from instance profile"
        raise conflict(f"Cannot delete entity, must remove {what} first.")
    if kind == "user" and owners(tx, account, "group", name):
        raise conflict("Cannot delete entity, must remove users from group first.")
    if kind == "role" and owners(tx, account, "instance-profile", name):
        raise conflict("Cannot delete entity, must remove roles from instance profile first.")


def put_inline(tx: Transaction, account: str, kind: Kind, name: str, *, policy: str, document: str) -> None:
    entity = get_entity(tx, account, kind, name)
    tx.run(
        """insert into iam_inline (account, kind, name, policy, document)
           values (:account, :kind, :name, :policy, :document)
           on conflict (account, kind, name, policy) do update set document = excluded.document""",
        account=account,
        kind=kind,
        name=entity.name,
        policy=policy,
        document=document,
    )
    touch(tx, account)


def inline_policies(tx: Transaction, account: str, kind: Kind, name: str) -> dict[str, str]:
    """Name → document. Raises where there is no such entity."""
    entity = get_entity(tx, account, kind, name)
    rows = tx.all(
        f"select policy, document from iam_inline where {_OF} order by policy",
        account=account,
        kind=kind,
        name=entity.name,
    )
    return {row["policy"]: row["document"] for row in rows}


def delete_inline(tx: Transaction, account: str, kind: Kind, name: str, policy: str) -> None:
    entity = get_entity(tx, account, kind, name)
    gone = tx.run(
        f"delete from iam_inline where {_OF} and policy = :policy",
        account=account,
        kind=kind,
        name=entity.name,
        policy=policy,
    )
    if not gone:
        raise AwsError("NoSuchEntity", f"The {kind} policy with name {policy} cannot be found.", status=404)
    touch(tx, account)


def attach(tx: Transaction, account: str, kind: Kind, name: str, arn: str) -> None:
    """Attaching twice is once. Whether an AWS managed policy exists is the caller's question."""
    entity = get_entity(tx, account, kind, name)
    if not arn.startswith("arn:aws:iam::aws:") and not tx.one(
        "select 1 as one from iam_policy where arn = :arn and account = :account", arn=arn, account=account
    ):
        raise not_attachable(arn)
    held = attached(tx, account, kind, name)
    if arn not in held and len(held) >= ATTACHED_MAX:
        raise limit_exceeded(f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {ATTACHED_MAX}")
    tx.run(
        """insert into iam_attached (account, kind, name, arn) values (:account, :kind, :name, :arn)
           on conflict (account, kind, name, arn) do nothing""",
        account=account,
        kind=kind,
        name=entity.name,
        arn=arn,
    )
    touch(tx, account)


def detach(tx: Transaction, account: str, kind: Kind, name: str, arn: str) -> None:
    entity = get_entity(tx, account, kind, name)
    gone = tx.run(
        f"delete from iam_attached where {_OF} and arn = :arn", account=account, kind=kind, name=entity.name, arn=arn
    )
    if not gone:
        raise AwsError("NoSuchEntity", f"Policy {arn} was not found.", status=404)
    touch(tx, account)


def attached(tx: Transaction, account: str, kind: Kind, name: str) -> list[str]:
    entity = get_entity(tx, account, kind, name)
    rows = tx.all(
        f"select arn from iam_attached where {_OF} order by arn", account=account, kind=kind, name=entity.name
    )
    return [row["arn"] for row in rows]


def attachments_of(tx: Transaction, account: str, arn: str) -> list[tuple[Kind, str]]:
    rows = tx.all(
        "select kind, name from iam_attached where account = :account and arn = :arn order by kind, name",
        account=account,
        arn=arn,
    )
    return [(row["kind"], row["name"]) for row in rows]


def bounded_by(tx: Transaction, account: str, arn: str) -> list[tuple[Kind, str]]:
    """Whose permissions boundary this is."""
    rows = tx.all(
        "select kind, name from iam_entity where account = :account and boundary = :arn order by kind, name",
        account=account,
        arn=arn,
    )
    return [(row["kind"], row["name"]) for row in rows]


def add_member(tx: Transaction, account: str, kind: Kind, name: str, member: str) -> None:
    """A user into a group, a role into an instance profile."""
    owner = get_entity(tx, account, kind, name)
    member_kind: Kind = "user" if kind == "group" else "role"
    entity = get_entity(tx, account, member_kind, member)
    if kind == "instance-profile" and members(tx, account, kind, name):
        raise limit_exceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    groups = owners(tx, account, "group", member) if kind == "group" else []
    if owner.name not in groups and len(groups) >= GROUPS_OF_USER_MAX:
        raise limit_exceeded(f"Cannot exceed quota for GroupsPerUser: {GROUPS_OF_USER_MAX}")
    tx.run(
        """insert into iam_member (account, kind, name, member) values (:account, :kind, :name, :member)
           on conflict (account, kind, name, member) do nothing""",
        account=account,
        kind=kind,
        name=owner.name,
        member=entity.name,
    )
    touch(tx, account)


def remove_member(tx: Transaction, account: str, kind: Kind, name: str, member: str) -> None:
    owner = get_entity(tx, account, kind, name)
    member_kind: Kind = "user" if kind == "group" else "role"
    entity = get_entity(tx, account, member_kind, member)
    gone = tx.run(
        f"delete from iam_member where {_OF} and member = :member",
        account=account,
        kind=kind,
        name=owner.name,
        member=entity.name,
    )
    if not gone and kind == "group":
        raise AwsError("NoSuchEntity", f"User {member} is not in group {name}.", status=404)
    if not gone:
        message = f"Role {member} in Instance Profile {name} cannot be found."
        raise AwsError("NoSuchEntity", message, status=404)
    touch(tx, account)


def members(tx: Transaction, account: str, kind: Kind, name: str) -> list[str]:
    rows = tx.all(f"select member from iam_member where {_OF} order by member", account=account, kind=kind, name=name)
    return [row["member"] for row in rows]


def owners(tx: Transaction, account: str, kind: Kind, member: str) -> list[str]:
    """The groups or instance profiles that hold this member."""
    rows = tx.all(
        "select name from iam_member where account = :account and kind = :kind and member = :member order by name",
        account=account,
        kind=kind,
        member=member,
    )
    return [row["name"] for row in rows]


def tags(tx: Transaction, account: str, kind: str, name: str) -> dict[str, str]:
    rows = tx.all(f"select key, value from iam_tag where {_OF} order by key", account=account, kind=kind, name=name)
    return {row["key"]: row["value"] for row in rows}


def put_tags(tx: Transaction, account: str, kind: str, name: str, added: Mapping[str, str]) -> None:
    _put_tags(tx, account, kind, name, added)
    if len(tags(tx, account, kind, name)) > TAGS_MAX:
        raise limit_exceeded(f"Cannot exceed quota for TagsPerResource: {TAGS_MAX}")
    touch(tx, account)


def _put_tags(tx: Transaction, account: str, kind: str, name: str, added: Mapping[str, str]) -> None:
    tx.many(
        """insert into iam_tag (account, kind, name, key, folded, value)
           values (:account, :kind, :name, :key, :folded, :value)
           on conflict (account, kind, name, folded) do update set key = excluded.key, value = excluded.value""",
        [
            {"account": account, "kind": kind, "name": name, "key": key, "folded": key.lower(), "value": value}
            for key, value in added.items()
        ],
    )


def remove_tags(tx: Transaction, account: str, kind: str, name: str, keys: list[str]) -> None:
    tx.many(
        f"delete from iam_tag where {_OF} and folded = :folded",
        [{"account": account, "kind": kind, "name": name, "folded": key.lower()} for key in keys],
    )
    touch(tx, account)


def create_key(tx: Transaction, key: StoredKey) -> None:
    user = get_entity(tx, key.account, "user", key.user_name)
    if len(keys_of(tx, key.account, user.name)) >= ACCESS_KEYS_MAX:
        raise limit_exceeded(f"Cannot exceed quota for AccessKeysPerUser: {ACCESS_KEYS_MAX}")
    tx.run(
        """insert into iam_access_key (id, account, user_name, secret, active, created_ms)
           values (:id, :account, :user_name, :secret, 1, :created_ms)""",
        id=key.id,
        account=key.account,
        user_name=user.name,
        secret=key.secret,
        created_ms=key.created_ms,
    )


def find_key(tx: Transaction, access_key_id: str) -> StoredKey | None:
    row = tx.one(
        "select id, account, user_name, secret, active, created_ms from iam_access_key where id = :id",
        id=access_key_id,
    )
    return _key(row) if row else None


def keys_of(tx: Transaction, account: str, user_name: str) -> list[StoredKey]:
    rows = tx.all(
        """select id, account, user_name, secret, active, created_ms from iam_access_key
           where account = :account and user_name = :name order by id""",
        account=account,
        name=user_name,
    )
    return [_key(row) for row in rows]


def set_key_active(tx: Transaction, account: str, user_name: str, access_key_id: str, *, active: bool) -> None:
    get_entity(tx, account, "user", user_name)
    changed = tx.run(
        """update iam_access_key set active = :active
           where id = :id and account = :account and user_name = :name""",
        active=int(active),
        id=access_key_id,
        account=account,
        name=user_name,
    )
    if not changed:
        raise no_such_key(access_key_id)


def delete_key(tx: Transaction, account: str, user_name: str, access_key_id: str) -> None:
    get_entity(tx, account, "user", user_name)
    gone = tx.run(
        "delete from iam_access_key where id = :id and account = :account and user_name = :name",
        id=access_key_id,
        account=account,
        name=user_name,
    )
    if not gone:
        raise no_such_key(access_key_id)


def no_such_key(access_key_id: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The Access Key with id {access_key_id} cannot be found.", status=404)


def _key(row: Mapping[str, Any]) -> StoredKey:
    return StoredKey(**{**row, "active": bool(row["active"])})


def count(tx: Transaction, account: str) -> dict[str, int]:
    """Entities by kind, and customer policies and their versions."""
    rows = tx.all("select kind, count(*) as n from iam_entity where account = :account group by kind", account=account)
    counts = {row["kind"]: row["n"] for row in rows}
    row = tx.one("select count(*) as n from iam_policy where account = :account", account=account)
    counts["policy"] = row["n"] if row else 0
    row = tx.one(
        """select count(*) as n from iam_policy_version v join iam_policy p on p.arn = v.arn
           where p.account = :account""",
        account=account,
    )
    counts["version"] = row["n"] if row else 0
    return counts
