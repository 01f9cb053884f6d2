"""Commands: start, terminate, restart and delete a child, as users ask a supervisor's reference to.

Pure; used by plan.py. OTP's answers. While a group is being stopped and started, starts wait until that is done, so
that a new child never comes up before those it may rely on; stops are carried out at once.
"""

from __future__ import annotations

from ..errors import SpecError
from .action import Refusal
from .event import Command, DeleteChild, ReplaceSpec, RestartChild, StartChild, TerminateChild
from .group import release, take_out
from .roster import AT_REST, Child
from .state import State
from .supervisor_spec import check_child


def start_child(state: State, command: StartChild, now: float) -> None:
    """Add and start a child, unless its name is taken, the supervisor is full or the specification does not fit."""
    spec = command.spec
    name = getattr(spec, "name", None)
    if _shut(state, command, name or "") or _deferred(state, command):
        return
    try:
        check_child(spec, f"start_child {name!r}", state.roster.names(), state.spec.auto_shutdown)
    except SpecError as error:
        return state.refuse(command.request, name or "", "bad_spec", error)
    present = state.roster.get(name) if name is not None else None
    if present is not None:
        if present.status in AT_REST:
            return state.refuse(command.request, present.id, "already_present")
        return state.refuse(command.request, present.id, "already_started", present.ref)
    limit = state.spec.max_children
    if limit is not None and len(state.roster) >= limit:
        return state.refuse(command.request, name or "", "max_children", limit)
    child = state.roster.add(spec, name)
    child.fresh = True
    _start(state, child, command)


def restart_child(state: State, command: RestartChild, now: float) -> None:
    """Start a child that is down for good."""
    if _shut(state, command, command.child) or _deferred(state, command):
        return
    child = _at_rest(state, command)
    if child is not None:
        _start(state, child, command)


def delete_child(state: State, command: DeleteChild, now: float) -> None:
    """Forget a child that is down for good."""
    if _shut(state, command, command.child):
        return
    child = _at_rest(state, command)
    if child is not None:
        state.forget(child)
        state.reply(command.request, child.id)


def replace_spec(state: State, command: ReplaceSpec, now: float) -> None:
    """Give a child another specification, for its next start; it must keep its name and fit those before it."""
    if _shut(state, command, command.child):
        return
    child = state.roster.get(command.child)
    if child is None:
        return state.refuse(command.request, command.child, "not_found")
    if state.spec.dynamic:
        return state.refuse(command.request, command.child, "only_static")
    earlier = [other.id for other in state.roster if other.place < child.place]
    try:
        if (command.spec.name or child.id) != child.id:
            raise SpecError(f"child {child.id!r}: name", f"cannot become {command.spec.name!r}")
        check_child(command.spec, f"replace_spec {child.id!r}", earlier, state.spec.auto_shutdown)
    except SpecError as error:
        return state.refuse(command.request, child.id, "bad_spec", error)
    child.spec = command.spec
    state.reply(command.request, child.id)


def terminate_child(state: State, command: TerminateChild, now: float) -> None:
    """Stop a child, or call off its restart; the answer follows when it is gone."""
    if _shut(state, command, command.child):
        return
    child = state.roster.get(command.child)
    if child is None:
        return state.refuse(command.request, command.child, "not_found")
    if child.status in AT_REST:
        return state.reply(command.request, child.id)
    if child.status == "restarting":
        held = state.held.pop(child.id, ())
        state.refuse_start(child, "terminated")
        state.rest(child)
        state.reply(command.request, child.id)
        take_out(state, child)
        if held:
            release(state, child)
        return
    state.stops.setdefault(child.id, []).append(command.request)
    state.refuse_start(child, "terminated")
    child.then = "rest"
    if child.status != "stopping":
        state.halt([child])
    take_out(state, child)


def _start(state: State, child: Child, command: StartChild | RestartChild) -> None:
    state.starts[child.id] = command.request
    state.launch([child], in_order=False)


def _at_rest(state: State, command: RestartChild | DeleteChild) -> Child | None:
    child = state.roster.get(command.child)
    why: Refusal
    if child is None:
        why = "not_found"
    elif state.spec.dynamic:
        why = "only_static"
    elif child.status in AT_REST:
        return child
    elif child.status == "running":
        why = "running"
    elif child.status == "stopping" and child.then != "restart":
        why = "stopping"
    else:
        why = "restarting"
    state.refuse(command.request, command.child, why)
    return None


def _shut(state: State, command: Command, name: str) -> bool:
    if state.leaving is None:
        return False
    state.refuse(command.request, name, "shutting_down")
    return True


def _deferred(state: State, command: Command) -> bool:
    if state.sweep is None:
        return False
    state.deferred.append(command)
    return True
