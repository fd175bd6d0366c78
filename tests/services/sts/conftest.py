"""STS is tried with IAM's roles, so it shares IAM's fixtures."""

from tests.services.iam.conftest import account, components

__all__ = ["account", "components"]
