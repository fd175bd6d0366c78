"""One folder per AWS service: its operations, its rows, its quirks."""
