"""A cloud for tests."""
