"""EventBridge's scheduled rules on the default bus, with Lambda functions as targets.

Left out, and refused by name: event patterns and PutEvents, other buses, other targets, input transformers,
archives, connections and API destinations.
"""
