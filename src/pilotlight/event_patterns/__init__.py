"""EventBridge's event patterns: which events a rule, a filter or a subscription wants. Pure.

AWS: "creating event patterns" of EventBridge's user guide. `compile_pattern` reads a pattern, or says what is wrong
with it; `Pattern.matches` takes an event.
"""

from pilotlight.event_patterns.compiler import InvalidPattern, Pattern, compile_pattern

__all__ = ["InvalidPattern", "Pattern", "compile_pattern"]
