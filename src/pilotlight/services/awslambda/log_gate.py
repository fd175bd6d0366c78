"""Whether a function's role lets its logs be written: AWS writes none where `logs:PutLogEvents` is missing.

The answer is kept for half a minute for each log group, so that logging does not cost an evaluation a line.
"""

from __future__ import annotations

import logging

from pilotlight.arn import Arn
from pilotlight.clock import Clock
from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.store import Version
from pilotlight.services.contract import Access
from pilotlight.storage import Database, Transaction

log = logging.getLogger(__name__)

KEPT_SECONDS = 30.0
GROUPS_MAX = 2000
PREFIX = "/aws/lambda/"


class LogGate:
    """The `gate` of `observability.logs.LogBuffer`."""

    def __init__(self, database: Database, policies: Policies, clock: Clock) -> None:
        self._database = database
        self._policies = policies
        self._clock = clock
        self._answers: dict[tuple[str, str, str], tuple[float, bool]] = {}

    async def __call__(self, account: str, region: str, group: str) -> bool:
        key = (account, region, group)
        kept = self._answers.get(key)
        now = self._clock.monotonic()
        if kept is not None and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        allowed = await self._ask(account, region, group)
        if not allowed and (kept is None or kept[1]):
            log.warning("no logs in %s: the function's role lacks logs:PutLogEvents, as on AWS", group)
        if len(self._answers) >= GROUPS_MAX:
            self._answers.clear()
        self._answers[key] = (now, allowed)
        return allowed

    async def _ask(self, account: str, region: str, group: str) -> bool:
        """Any of the roles that write to the group will do; of a function that is gone, the last lines are kept."""
        versions = await self._database.scan(_writers, account, region, group)
        if not versions:
            return True
        arn = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:any"
        for role_arn in sorted({version.body["Role"] for version in versions}):
            decision = await self._policies.decide(_session(role_arn, region), Access("logs:PutLogEvents", arn))
            if decision.allowed:
                return True
        return False


def _writers(tx: Transaction, account: str, region: str, group: str) -> list[Version]:
    if group.startswith(PREFIX):
        name = store.Name(account, region, group.removeprefix(PREFIX))
        latest = store.find_version(tx, name, 0)
        if latest is not None:
            return [latest]
    every = store.list_latest(tx, account, region, after="", limit=10_000)
    return [version for version in every if version.body["LoggingConfig"]["LogGroup"] == group]


def _session(role_arn: str, region: str) -> Caller:
    role = Arn.parse(role_arn)
    name = role.resource.rpartition("/")[2]
    return Caller(
        account=role.account,
        region=region,
        kind="role",
        arn=f"arn:aws:sts::{role.account}:assumed-role/{name}/logs",
        role_arn=role_arn,
    )
