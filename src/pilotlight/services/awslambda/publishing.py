"""Publishing: `$LATEST` as it is now becomes a version that never changes."""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.services.awslambda import code, configuration, store
from pilotlight.services.awslambda.names import Reference, conflict, raise_no_function
from pilotlight.services.awslambda.store import Version
from pilotlight.services.awslambda.surroundings import timestamp
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    revision: str
    now_ms: int
    description: str | None = None


def publish(tx: Transaction, latest: Version, how: Publish) -> Version:
    """AWS: where code and settings equal those of the last published version, that version is the answer."""
    function = store.find_function(tx, latest.function)
    if function is None:
        raise_no_function(Reference(latest.function, ""))
    states = latest.body.get("_states", {})
    if "State" in states or states.get("LastUpdateStatus") == "InProgress":
        raise conflict(
            "The operation cannot be performed at this time. The function is currently in the following state: "
            f"{states.get('State', 'InProgress')}"
        )
    digest = configuration.digest(latest.body)
    newest = store.newest_version(tx, latest.function)
    if newest is not None and newest.body.get("_digest") == digest:
        return newest
    code.check_storage(tx, latest.function.account, latest.function.region, latest.body["CodeSize"])
    stable = {name: value for name, value in latest.body.items() if name != "_states"}
    body = {**stable, "_digest": digest, "LastModified": timestamp(how.now_ms)}
    if how.description is not None:
        body["Description"] = how.description
    version = Version(latest.function, function.next_version, how.revision, body)
    store.save_version(tx, version)
    store.set_next_version(tx, latest.function, function.next_version + 1)
    return version
