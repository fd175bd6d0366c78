"""AWS's list prices in us-east-1, and what a month has for free. Dollars.

Sources: the pricing pages of Lambda, API Gateway and S3. The article's figure of $0.035 for 100 ms of provisioned
execution is not AWS's; $0.0000097222 a GB-second is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    meter: str
    what: str
    unit: str
    dollars: float
    """For one unit."""
    free: str = ""
    """The name of the allowance that it draws on."""


FREE = {"lambda-requests": 1_000_000.0, "lambda-gb-seconds": 400_000.0}
"""AWS: a month's free tier of Lambda; provisioned concurrency has none."""

PRICES = (
    Price("lambda-requests", "Lambda requests", "requests", 0.20 / 1_000_000, free="lambda-requests"),
    Price("lambda-arm64", "Lambda duration, arm64", "GB-seconds", 0.0000133334, free="lambda-gb-seconds"),
    Price("lambda-x86_64", "Lambda duration, x86_64", "GB-seconds", 0.0000166667, free="lambda-gb-seconds"),
    Price("lambda-provisioned-arm64", "Lambda provisioned concurrency, arm64", "GB-seconds", 0.0000033334),
    Price("lambda-provisioned-x86_64", "Lambda provisioned concurrency, x86_64", "GB-seconds", 0.0000041667),
    Price("lambda-provisioned-duration-arm64", "Lambda duration on provisioned, arm64", "GB-seconds", 0.0000077778),
    Price("lambda-provisioned-duration-x86_64", "Lambda duration on provisioned, x86_64", "GB-seconds", 0.0000097222),
    Price("http-api-requests", "HTTP API requests", "requests", 1.00 / 1_000_000),
    Price("s3-put-requests", "S3 PUT, COPY, POST, LIST requests", "requests", 0.005 / 1000),
    Price("s3-get-requests", "S3 GET and other requests", "requests", 0.0004 / 1000),
)
NOT_METERED = ("DynamoDB", "S3 storage", "CloudWatch Logs", "data transfer")
