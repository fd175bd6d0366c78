"""An instance's life as a table: an impossible step is an error."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    FROZEN = "frozen"
    DEAD = "dead"


class Event(Enum):
    READY = "ready"
    INVOKED = "invoked"
    ANSWERED = "answered"
    PAUSED = "paused"
    RESTORED = "restored"
    EXITED = "exited"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.STARTING: {Event.READY: State.IDLE, Event.EXITED: State.DEAD},
    State.IDLE: {
        Event.INVOKED: State.BUSY,
        Event.PAUSED: State.FROZEN,
        Event.RESTORED: State.IDLE,
        Event.EXITED: State.DEAD,
    },
    State.BUSY: {Event.ANSWERED: State.IDLE, Event.EXITED: State.DEAD},
    State.FROZEN: {Event.INVOKED: State.BUSY, Event.RESTORED: State.IDLE, Event.EXITED: State.DEAD},
    State.DEAD: {},
}


class ImpossibleStep(Exception):
    """A bug: this event cannot happen in this state."""


def after(state: State, event: Event) -> State:
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise ImpossibleStep(f"{event.value} while {state.value}")
    return following
