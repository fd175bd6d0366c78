"""AWS's wire protocols, both ways, driven by botocore's models: bytes ↔ values only."""
