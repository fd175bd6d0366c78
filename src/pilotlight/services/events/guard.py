"""EventBridge's permissions: `events:PutRule` on the rule's ARN, and so on."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params


class EventsGuard:
    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        if operation == "ListRules":
            resource = f"arn:aws:events:{caller.region}:{caller.account}:rule/*"
        else:
            name = params.get("Rule") or params.get("Name") or ""
            resource = params.get("ResourceARN") or f"arn:aws:events:{caller.region}:{caller.account}:rule/{name}"
        return [Access(f"events:{operation}", resource)]

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        return None
