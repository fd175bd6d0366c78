"""Which operation a REST request is for, where method and path alone do not say it."""

import pytest

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request
from pilotlight.protocols.model import load_model
from pilotlight.protocols.router import find_operation


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/", "", "ListBuckets"),
        ("GET", "/b", "analytics&id=one", "GetBucketAnalyticsConfiguration"),
        ("GET", "/b", "analytics", "ListBucketAnalyticsConfigurations"),
        ("DELETE", "/b", "analytics&id=one", "DeleteBucketAnalyticsConfiguration"),
        ("DELETE", "/b", "analytics", "DeleteBucketAnalyticsConfiguration"),
        ("DELETE", "/b", "", "DeleteBucket"),
        ("PUT", "/b", "notification", "PutBucketNotificationConfiguration"),
    ],
)
def test_what_a_query_asks_for(method: str, path: str, query: str, operation: str) -> None:
    found = find_operation(load_model("s3"), Request(method=method, path=path, query=query, headers={}))
    assert not isinstance(found, AwsError)
    assert found[0].name == operation
