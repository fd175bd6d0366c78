"""What a mapping of a queue may be set to. Pure.

AWS: CreateEventSourceMapping, and "using Lambda with Amazon SQS" of the developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.arn import Arn
from pilotlight.errors import NotImplementedHere
from pilotlight.event_patterns import InvalidPattern, compile_pattern
from pilotlight.services.awslambda.names import invalid

BATCH = 10
FIFO_BATCH_MAX = 10
FILTERS_MAX = 10
SETTINGS = ("BatchSize", "MaximumBatchingWindowInSeconds", "FilterCriteria", "ScalingConfig", "FunctionResponseTypes")
OF_STREAMS = (
    "ParallelizationFactor",
    "StartingPosition",
    "StartingPositionTimestamp",
    "DestinationConfig",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "TumblingWindowInSeconds",
)
OF_OTHERS = ("Topics", "Queues", "SourceAccessConfigurations", "DocumentDBEventSourceConfig")
REFUSED = (
    "KMSKeyArn",
    "MetricsConfig",
    "LoggingConfig",
    "ProvisionedPollerConfig",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
)


def queue_of(operation: str, source: str) -> Arn:
    """The queue that a source is. Raises AwsError."""
    if not source:
        raise invalid("Unrecognized event source, must be kinesis, dynamodb stream or sqs.")
    try:
        arn = Arn.parse(source)
    except ValueError:
        raise invalid("Unrecognized event source, must be kinesis, dynamodb stream or sqs.") from None
    if arn.service != "sqs":
        raise NotImplementedHere(f"{operation} with a source of {arn.service}")
    return arn


def check(operation: str, request: Mapping[str, Any], source: Arn) -> None:
    """Raises AwsError. `request` may be a mapping's whole settings."""
    for name in REFUSED:
        if request.get(name):
            raise NotImplementedHere(f"{operation} with {name}")
    for name in (*OF_STREAMS, *OF_OTHERS):
        if request.get(name):
            raise invalid(f"Unsupported {name} parameter for given event source mapping type.")
    fifo = source.resource.endswith(".fifo")
    batch, window = request.get("BatchSize") or BATCH, request.get("MaximumBatchingWindowInSeconds") or 0
    if fifo and window:
        raise invalid("Batching window is not supported for FIFO queues")
    if fifo and batch > FIFO_BATCH_MAX:
        raise invalid(f"BatchSize must be less than or equal to {FIFO_BATCH_MAX} for FIFO queues")
    if batch > BATCH and not window:
        raise invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
    filters = (request.get("FilterCriteria") or {}).get("Filters") or []
    if len(filters) > FILTERS_MAX:
        raise invalid(f"You can specify up to {FILTERS_MAX} filters for each event source mapping.")
    for one in filters:
        try:
            compile_pattern(one.get("Pattern") or "")
        except InvalidPattern as error:
            raise invalid(f"Invalid filter pattern definition: {error}") from None
