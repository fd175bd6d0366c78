"""A real server, driven with boto3, on both databases."""

from tests.clouds import cloud, postgres_cloud, sqlite_cloud, sqlite_only_cloud

__all__ = ["cloud", "postgres_cloud", "sqlite_cloud", "sqlite_only_cloud"]
