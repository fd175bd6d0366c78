"""The expression parameters that many operations share: which may stand together, and what they are bound to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb import legacy
from pilotlight.services.dynamodb.errors import NESTED_TOO_DEEP, invalid
from pilotlight.services.dynamodb.expressions.binding import Binding, Path
from pilotlight.services.dynamodb.expressions.cache import ParseCache
from pilotlight.services.dynamodb.expressions.conditions import Predicate, bind_condition
from pilotlight.services.dynamodb.expressions.projections import bind_projection
from pilotlight.services.dynamodb.expressions.updates import BoundUpdate, bind_update
from pilotlight.services.dynamodb.values import AttributeValue, canonical

Request = Mapping[str, Any]
_NAME = re.compile(r"#[A-Za-z0-9_]+", re.ASCII)
_VALUE = re.compile(r":[A-Za-z0-9_]+", re.ASCII)


def binding_of(
    request: Request, expressions: Sequence[str], legacies: Sequence[str] = (), *, enveloped: bool = False
) -> Binding:
    """Names and values of a request that may have these expressions, or these parameters of the older kind.

    `enveloped` is for the operations that refuse in `errors.Enveloped`, whose sentences differ in two places.
    """
    given = [name for name in expressions if request.get(name) is not None]
    if given:
        older = [name for name in legacies if request.get(name) is not None]
        if older:
            raise invalid(
                "Can not use both expression and non-expression parameters in the same request: "
                f"Non-expression parameters: {{{', '.join(older)}}} Expression parameters: {{{', '.join(given)}}}"
            )
    names, values = request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues")
    if names is None and values is None:
        return Binding()
    if names is not None and not given:
        raise invalid("ExpressionAttributeNames can only be specified when using expressions")
    if values is not None:
        _check_values_have_use(
            request, [name for name in expressions if name != "ProjectionExpression"], enveloped=enveloped
        )
    return Binding(_names(names), _values(values, enveloped=enveloped))


def _check_values_have_use(request: Request, expressions: Sequence[str], *, enveloped: bool) -> None:
    if all(request.get(name) is None for name in expressions):
        detail = ""
        if len(expressions) > 1:
            detail = f": {' and '.join(expressions)} are null"
        elif expressions and not enveloped:
            detail = f": {expressions[0]} is null"
        raise invalid(f"ExpressionAttributeValues can only be specified when using expressions{detail}")


def _names(given: Mapping[str, str] | None) -> Mapping[str, str]:
    if given is None:
        return {}
    if not given:
        raise invalid("ExpressionAttributeNames must not be empty")
    for key in given:
        if not _NAME.fullmatch(key):
            raise invalid(f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{key}"')
    return given


def _values(given: Mapping[str, Any] | None, *, enveloped: bool) -> Mapping[str, AttributeValue]:
    if given is None:
        return {}
    if not given:
        raise invalid("ExpressionAttributeValues must not be empty")
    values = {}
    for key, value in given.items():
        if not _VALUE.fullmatch(key):
            raise invalid(f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{key}"')
        try:
            values[key] = canonical(value or {})
        except AwsError as error:
            # AWS: too deep a value is told as it is, everywhere; in the newer answers most other faults are, too.
            if error.message == NESTED_TOO_DEEP or (enveloped and "contains duplicates" not in error.message):
                raise
            raise invalid(f"ExpressionAttributeValues contains invalid value: {error.message} for key {key}") from None
    return values


def condition_of(request: Request, binding: Binding, parsed: ParseCache) -> Predicate | None:
    """From `ConditionExpression`, or from `Expected` and `ConditionalOperator`."""
    text = request.get("ConditionExpression")
    if text is not None:
        return bind_condition(parsed.condition(text, "ConditionExpression"), binding, "ConditionExpression")
    return legacy.expected(request)


def update_of(request: Request, binding: Binding, parsed: ParseCache) -> BoundUpdate:
    """From `UpdateExpression`, or from `AttributeUpdates`; without either, nothing is changed."""
    text = request.get("UpdateExpression")
    if text is not None:
        return bind_update(parsed.update(text), binding)
    return legacy.attribute_updates(request.get("AttributeUpdates") or {})


def projection_of(request: Request, binding: Binding, parsed: ParseCache) -> list[Path] | None:
    """From `ProjectionExpression`, or from `AttributesToGet`; None for all."""
    text = request.get("ProjectionExpression")
    if text is not None:
        return bind_projection(parsed.projection(text), binding)
    return legacy.attributes_to_get(request.get("AttributesToGet"))
