"""CloudFormation: stacks, change sets, events, exports. What a stack's resources are is `deploy/`'s business.

An operation that changes a stack is accepted as a row, and `deploy/executor.py` carries it out. Left out, and refused
by name: transforms and macros, nested stacks, stack sets, drift, imports, hooks, types, SSM parameters, stack policies.
"""
