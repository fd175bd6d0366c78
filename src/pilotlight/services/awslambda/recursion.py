"""Functions that call themselves through one another: how a loop is recognised, and whether it is ended.

A trace header names the functions that a chain of events has passed, and how often each:
`Root=1-…;Parent=…;Sampled=0;Lineage=1:0a1b2c3d:5|1:9f8e7d6c:2`. SDKs send on what the handler's environment holds, so
the chain survives any function that calls another with one; whoever leaves the header out is not recognised, as on AWS.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.names import raise_no_function, refer_whole, user_error
from pilotlight.services.awslambda.resolver import Resolved, Resolver
from pilotlight.services.awslambda.store import Part
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction

LOOPS_MAX = 16
"""AWS: "Use Lambda recursive loop detection": a function is stopped when it is invoked about 16 times in one chain."""
FUNCTIONS_MAX = 16
HEADER_CHARACTERS_MAX = 1024
ROOT = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
ENTRY = re.compile(r"1:([0-9a-f]{8}):(\d{1,5})")
DEFAULT = "Terminate"


def advance(header: str, function_arn: str, *, now_seconds: int, ids: Ids) -> tuple[str, int]:
    """The header for an invocation of this function, and how often the chain has come by here, this time included."""
    fields = dict(part.partition("=")[::2] for part in header[:HEADER_CHARACTERS_MAX].split(";") if "=" in part)
    root = fields.get("Root", "")
    if not ROOT.fullmatch(root):
        root, fields = f"1-{now_seconds:08x}-{ids.mark(24)}", {}
    passed = {match[1]: int(match[2]) for match in ENTRY.finditer(fields.get("Lineage", ""))}
    mark = _mark(function_arn)
    count = passed.pop(mark, 0) + 1
    kept = [(mark, count), *passed.items()][:FUNCTIONS_MAX]
    lineage = "|".join(f"1:{key}:{number}" for key, number in kept)
    sampled = "1" if fields.get("Sampled") == "1" else "0"
    return f"Root={root};Parent={ids.mark(16)};Sampled={sampled};Lineage={lineage}", count


@lru_cache(maxsize=4096)
def _mark(function_arn: str) -> str:
    return hashlib.sha256(function_arn.encode()).hexdigest()[:8]


def step(parts: Surroundings, header: str, resolved: Resolved, function_arn: str) -> tuple[str, bool]:
    """The header for this invocation, and whether the chain is to end here."""
    trace, count = advance(header, function_arn, now_seconds=parts.clock.wall_ms() // 1000, ids=parts.ids)
    return trace, is_loop(count, resolved.recursion)


def is_loop(count: int, allowed: str) -> bool:
    return count > LOOPS_MAX and allowed != "Allow"


def refused(function_arn: str) -> AwsError:
    return user_error(
        "RecursiveInvocationException",
        f"Recursive invocation detected: one chain of events has invoked {function_arn} more than {LOOPS_MAX} times.",
    )


class RecursionConfigs:
    """Operations on what is done about loops."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def get_function_recursion_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])

        def find(tx: Transaction) -> str:
            if store.find_function(tx, reference.function) is None:
                raise_no_function(reference)
            part = store.find_part(tx, reference.function, "recursion", "")
            return str(part.body["RecursiveLoop"]) if part else DEFAULT

        return {"RecursiveLoop": await self._parts.database.read(find)}

    async def put_function_recursion_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer_whole(caller, request["FunctionName"])
        body = {"RecursiveLoop": request["RecursiveLoop"]}
        part = Part(reference.function, "recursion", "", self._parts.ids.uuid(), body)

        def save(tx: Transaction) -> None:
            if store.find_function(tx, reference.function) is None:
                raise_no_function(reference)
            store.save_part(tx, part)

        await self._parts.database.write(save)
        self._resolver.forget()
        return body
