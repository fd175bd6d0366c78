"""The permissions that CloudWatch Logs' operations need.

AWS: a log group is `…:log-group:NAME:*` where it is the resource of an operation, a stream
`…:log-group:NAME:log-stream:STREAM`; the policies that deployment tools write end in `:*` or `:*:*` accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params
from pilotlight.services.logs.names import name_of

ON_STREAMS = frozenset({"PutLogEvents", "GetLogEvents", "DeleteLogStream"})


class LogsGuard:
    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        group = self._group(params, caller)
        base = f"arn:aws:logs:{caller.region}:{caller.account}:log-group:{group}"
        action = f"logs:{operation}"
        if operation == "DescribeLogGroups":
            return [Access(action, f"arn:aws:logs:{caller.region}:{caller.account}:log-group::log-stream:*")]
        if not group:
            return [Access(action, "*")]
        if operation in ON_STREAMS:
            return [Access(action, f"{base}:log-stream:{params.get('logStreamName', '')}")]
        accesses = [Access(action, f"{base}:*")]
        if operation == "CreateLogGroup" and params.get("tags"):
            context = {f"aws:RequestTag/{key}": value for key, value in params["tags"].items()}
            accesses.append(Access("logs:TagResource", f"{base}:*", context))
        return accesses

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        return None

    def _group(self, params: Params, caller: Caller) -> str:
        named = params.get("logGroupName") or params.get("logGroupIdentifier") or params.get("resourceArn") or ""
        try:
            return name_of(caller, named)
        except AwsError:
            return ""
