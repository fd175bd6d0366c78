"""serverless.yml → template → plan → calls."""
