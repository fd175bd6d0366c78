"""From a resolved name to the engine's answer: a choice between two versions, and the engine's troubles translated."""

from __future__ import annotations

from pilotlight.engine.contract import (
    Invocation,
    IsolationUnavailable,
    Outcome,
    RestoreFailed,
    RuntimeUnavailable,
    Throttled,
)
from pilotlight.errors import AwsError
from pilotlight.ids import Ids
from pilotlight.services.awslambda.resolver import Resolved, Route
from pilotlight.services.awslambda.surroundings import Surroundings


def choose(resolved: Resolved, ids: Ids) -> Route:
    """An alias with weights sends a share of its traffic to a second version."""
    if resolved.other is None:
        return resolved.primary
    share = int.from_bytes(ids.secret(4), "big") / 2**32
    return resolved.other if share < resolved.other_weight else resolved.primary


async def run(parts: Surroundings, route: Route, invocation: Invocation) -> Outcome:
    """Through the engine; its exceptions become Lambda's answers."""
    try:
        return await parts.invoker.invoke(route.version, invocation)
    except Throttled as throttled:
        raise AwsError(
            "TooManyRequestsException",
            "Rate Exceeded.",
            status=429,
            members={"Reason": throttled.reason, "Type": "User"},
        ) from None
    except RuntimeUnavailable as error:
        raise AwsError("InvalidRuntimeException", str(error), status=502, members={"Type": "User"}) from None
    except RestoreFailed as failed:
        if failed.timed_out:
            raise AwsError(
                "SnapStartTimeoutException",
                "Lambda couldn't restore the snapshot within the timeout limit.",
                status=408,
                members={"Type": "User"},
            ) from None
        raise AwsError(
            "SnapStartException",
            "The after_restore() runtime hook encountered an error. For more information, check the CloudWatch logs.",
            status=400,
            members={"Type": "User"},
        ) from None
    except IsolationUnavailable as error:
        raise AwsError("ServiceException", str(error), status=500, members={"Type": "Service"}) from None
