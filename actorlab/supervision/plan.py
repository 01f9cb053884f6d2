"""Plan: the supervisor's whole mind. An event goes in, actions come out.

Pure; used by supervisor.py, which carries the actions out and reports back as events. The rules are OTP's, divided by
noun: incidents (incident.py), groups (group.py), commands (command.py). What differs from OTP: starting and stopping
take time here and other events come in meanwhile, so the plan remembers what is under way; a worker's death is one
incident with many children; a failed start waits (backoff.py) before it is tried again, but counts at once.

An event takes time in proportion to the children it names, however many there are; only group restarts, shutdown
and `all_significant` walk over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .action import Action
from .command import delete_child, replace_spec, restart_child, start_child, terminate_child
from .event import (
    Begin,
    DeleteChild,
    Event,
    Exited,
    ReplaceSpec,
    RestartChild,
    Retry,
    ShutdownAll,
    StartChild,
    StartFailed,
    StartIgnored,
    StartOk,
    Stopped,
    TerminateChild,
)
from .group import sweep_up
from .incident import exited, retry, start_failed, start_ignored, start_ok, stopped
from .state import State, Sweep


def plan(state: State, event: Event, now: float) -> list[Action]:
    """Decide what `event` at time `now` (s, monotonic) asks for; `state` is changed to what holds when that is done.

    Deterministic but for `state.random`. Carry the actions out in order. Events that are outdated or concern nobody
    give no actions; after Exit only commands are answered, each with a refusal.

    >>> import pykka
    >>> from actorlab.supervision import Begin, Death, Exited, StartOk, State, Supervisor, child
    >>> class Clerk(pykka.ThreadingActor): ...
    >>> state = State(Supervisor(children=[child(Clerk)]))
    >>> [start] = plan(state, Begin(), now=0.0)
    >>> [(launch.child, launch.incarnation) for launch in start.children]
    [('clerk', 1)]
    >>> plan(state, StartOk("clerk", 1), now=0.1)
    [Ready()]
    >>> [start] = plan(state, Exited((Death("clerk", 1, "killed"),)), now=2.0)
    >>> start.children[0].incarnation
    2
    """
    out: list[Action] = []
    state.out = out
    rule = _RULES[type(event)]
    if not state.over or rule in _COMMANDS:
        rule(state, event, now)
    while state.deferred and state.sweep is None and state.leaving is None:
        deferred = state.deferred.pop(0)
        _RULES[type(deferred)](state, deferred, now)
    return out


def _begin(state: State, event: Begin, now: float) -> None:
    state.sweep = Sweep(first=0, initial=True)
    sweep_up(state, state.sweep)


def _shutdown_all(state: State, event: ShutdownAll, now: float) -> None:
    state.leave(event.reason, "told to stop")


_COMMANDS = (start_child, terminate_child, restart_child, delete_child, replace_spec)

_RULES: dict[type, Callable[[State, Any, float], None]] = {
    Begin: _begin,
    Exited: exited,
    StartOk: start_ok,
    StartFailed: start_failed,
    StartIgnored: start_ignored,
    Stopped: stopped,
    Retry: retry,
    ShutdownAll: _shutdown_all,
    StartChild: start_child,
    TerminateChild: terminate_child,
    RestartChild: restart_child,
    DeleteChild: delete_child,
    ReplaceSpec: replace_spec,
}
