"""What IAM knows about callers: keys for the signature check, grants for the evaluation, roles for STS.

`app.py` hands this to `identity` and to STS, whose protocols it implements. Grants are cached by the account's
revision, so a request of a role costs one keyed read.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.identity.authorise import Grants
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import AccessKey
from pilotlight.services.iam import managed, policy_store, store
from pilotlight.services.iam.entities import Entity, Kind, StoredKey
from pilotlight.storage.database import Database, Transaction
from pilotlight.storage.remembered import Remembered

GRANTS_MAX = 4096
KEYS_MAX = 4096
EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


class Principals:
    """Reads of IAM's rows for those who decide. Implements `AccessKeys`, `PrincipalPolicies` and STS's `Roles`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.aws_policies = managed.load()
        self._grants: dict[tuple[str, Kind, str, str], tuple[int, Grants | None]] = {}
        self._keys: Remembered[str, AccessKey | None] = Remembered(database, KEYS_MAX)
        self._revisions: Remembered[str, int] = Remembered(database, KEYS_MAX)

    async def access_key(self, access_key_id: str) -> AccessKey | None:
        return await self._keys.get(access_key_id, lambda: self._read_key(access_key_id))

    async def _read_key(self, access_key_id: str) -> AccessKey | None:
        found = await self._database.read(_key_and_user, access_key_id)
        if found is None:
            return None
        key, user = found
        return AccessKey(
            id=key.id, secret=key.secret, account=key.account, user_arn=user.arn, user_id=user.id, active=key.active
        )

    async def grants_of(self, caller: Caller) -> Grants | None:
        """The policies of the caller's user or role; None where it is gone."""
        arn = caller.role_arn or caller.arn
        if arn.endswith(":root"):
            return Grants(policies=(EVERYTHING,))
        kind: Kind = "role" if caller.kind == "role" else "user"
        # A role that was deleted and made anew has another id, and its old sessions have no part in it.
        unique = caller.user_id.partition(":")[0]
        index = (caller.account, kind, arn, unique)
        account = caller.account
        revision = await self._revisions.get(account, lambda: self._database.read(store.revision, account))
        cached = self._grants.get(index)
        if cached is not None and cached[0] == revision:
            return cached[1]
        grants = await self._database.read(_grants, caller.account, kind, arn, unique, self._aws_documents())
        if len(self._grants) >= GRANTS_MAX:
            del self._grants[next(iter(self._grants))]
        self._grants[index] = (revision, grants)
        return grants

    async def role(self, arn: str) -> Entity | None:
        """The role of that ARN, or None."""
        parts = arn.split(":")
        if len(parts) != 6 or not parts[5].startswith("role/"):
            return None
        return await self._database.read(_by_arn, parts[4], "role", arn)

    async def policy_document(self, account: str, arn: str) -> str | None:
        """The document in force of a managed policy, AWS's or the account's own."""
        if arn in self.aws_policies:
            return self.aws_policies[arn].version.document
        return await self._database.read(policy_store.default_document, account, arn)

    def _aws_documents(self) -> Mapping[str, str]:
        return {arn: policy.version.document for arn, policy in self.aws_policies.items()}


def _by_arn(tx: Transaction, account: str, kind: Kind, arn: str) -> Entity | None:
    entity = store.find_entity(tx, account, kind, arn.rsplit("/", 1)[-1])
    return entity if entity is not None and entity.arn == arn else None


def _key_and_user(tx: Transaction, access_key_id: str) -> tuple[StoredKey, Entity] | None:
    key = store.find_key(tx, access_key_id)
    user = store.find_entity(tx, key.account, "user", key.user_name) if key else None
    return (key, user) if key and user else None


def _grants(tx: Transaction, account: str, kind: Kind, arn: str, unique: str, aws: Mapping[str, str]) -> Grants | None:
    entity = _by_arn(tx, account, kind, arn)
    if entity is None or (unique.startswith("AROA") and unique != entity.id):
        return None
    documents = [
        document or aws.get(policy, "")
        for _, _, policy, document in policy_store.sources(tx, account, kind, entity.name)
    ]
    boundary = None
    if entity.boundary:
        boundary = aws.get(entity.boundary) or policy_store.default_document(tx, account, entity.boundary)
    return Grants(
        policies=tuple(document for document in documents if document),
        boundary=boundary,
        tags=store.tags(tx, account, kind, entity.name),
    )
