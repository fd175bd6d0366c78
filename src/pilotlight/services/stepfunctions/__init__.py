"""Step Functions: state machines and their executions, on a durable history.

`workflows/` decides what happens; here are the rows, the calls to other services and the API. Versions, aliases,
activities, map runs, redrive and `TestState` are missing and answer so.
"""
