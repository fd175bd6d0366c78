"""A request's journey: server, routing, signature, dispatch, rendering."""
