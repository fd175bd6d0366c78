"""Amazon States Language as pure functions: a machine's state and what happened go in; its next state, the history's
new events and what is to be done come out. No clock, no database and no socket: `services/stepfunctions` has those.

The query language is JSONPath. JSONata, Distributed Map and activities are refused when a definition is checked.
"""
