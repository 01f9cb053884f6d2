"""Snapshots: the contract of `snapshot()` and `restore(state)`, by which an actor's state outlives the actor.

Edge (runs an actor's own methods, in its place); used by whoever keeps state over a restart, moves an actor to another
worker or brings it back after its node has ended. Nothing is kept of a class that does not define both methods.

    snapshot(self) -> state     called between two messages, in the actor's own place (greenlet or thread), plain or
                                async. It returns what can be pickled, or an Arrow table; never the actor's own mutable
                                parts if it goes on: what it returns may be pickled a moment later.
    restore(self, state)        called once on a new object of the class, after `__init__` with the child's arguments
                                and before `on_start`, with what the last `snapshot` returned (an equal copy). What it
                                raises is a start that failed (StartError).

A snapshot says nothing of messages: what was handled before it is in it, what comes after is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class State(NamedTuple):
    """What a snapshot returned: of its own type, because None is a state like any other."""

    value: Any


def keeps_state(actor: type[Any]) -> bool:
    """Whether a class has both methods; with one alone, it is a TypeError when the class is made.

    >>> keeps_state(int)
    False
    """
    return callable(getattr(actor, "snapshot", None)) and callable(getattr(actor, "restore", None))


def take(actor: Any, finish: Callable[[Any], Any]) -> State:
    """Return an actor's state; `finish` runs a coroutine to its end. In the actor's place, between two messages."""
    return State(finish(actor.snapshot()))


def give(actor: Any, state: State, finish: Callable[[Any], Any]) -> None:
    """Give a new object the state of the one before. In the actor's place, before `on_start`."""
    finish(actor.restore(state.value))
