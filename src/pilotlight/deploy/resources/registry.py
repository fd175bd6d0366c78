"""Every resource type, by its name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pilotlight.deploy.resources import (
    apigatewayv2,
    awslambda,
    cloudformation,
    dynamodb,
    ecr,
    events,
    iam,
    logs,
    s3,
    sns,
    sqs,
    stepfunctions,
)
from pilotlight.deploy.resources.base import ResourceType


def resource_types() -> dict[str, ResourceType]:
    files: tuple[Iterable[object], ...] = (
        s3.TYPES,
        dynamodb.TYPES,
        ecr.TYPES,
        iam.TYPES,
        awslambda.TYPES,
        logs.TYPES,
        apigatewayv2.TYPES,
        events.TYPES,
        sns.TYPES,
        sqs.TYPES,
        stepfunctions.TYPES,
        cloudformation.TYPES,
    )
    types = [cast(ResourceType, one) for file in files for one in file]
    return {one.type: one for one in types}
