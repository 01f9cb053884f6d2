"""Incidents: what follows from deaths and from starts that succeeded, failed or were ignored.

Pure; used by plan.py. OTP's rules for one incident, whoever is part of it: permanent children and transient ones that
did not end cleanly are restarted; the incident counts once in the window; too many, and the supervisor gives up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..message import SHUTDOWN, is_clean, is_planned
from .action import Halt, Stop
from .event import Exited, Retry, StartFailed, StartIgnored, StartOk, Stopped
from .group import gone, hold, mend, postpone, sweep_from, take_out, void
from .news import did_not_start
from .roster import Child
from .state import State


def exited(state: State, event: Exited, now: float) -> None:
    """Decide about children that died together."""
    dead: list[Child] = []  # ran, and are to run again
    failed: dict[str, tuple[Child, Any]] = {}  # died while starting
    halted: list[Child] = []
    significant = False
    last = ""
    for child_id, incarnation, reason in event.deaths:
        child = state.roster.get(child_id)
        if child is None or child.incarnation != incarnation:
            continue
        if child.status == "stopping":
            _break_off(state, child)
            halted.append(child)
        elif child.status == "starting":
            failed[child_id] = (child, reason)
        elif child.status == "running":
            restart = child.spec.restart
            if restart == "permanent" or (restart == "transient" and not is_clean(reason)) or is_planned(reason):
                child.status, child.ref = "restarting", None
                dead.append(child)
                last = f"{child_id} ended: {reason}"
            else:
                significant = significant or child.spec.significant
                state.rest(child)
    _take_down(state, failed.values())
    if significant and _quits(state):
        state.leave(SHUTDOWN, f"auto_shutdown={state.spec.auto_shutdown!r}: a significant child ended")
    elif dead or failed:
        counts = any(not is_planned(reason) for _, _, reason in event.deaths)
        _decide(state, dead, list(failed.values()), last, now, counts)
    # Only now, or the last of them would turn a group round that this very incident widens.
    for child in halted:
        _settle(state, child)
    mend(state)


def start_ok(state: State, event: StartOk, now: float) -> None:
    """Take note that a child runs."""
    child = _meant(state, event.child, event.incarnation)
    if child is None or child.status not in ("starting", "running", "stopping"):
        # Nobody waits for it any more, and nobody else would ever stop it.
        state.out.append(Stop((Halt(event.child, event.incarnation, event.ref, "brutal_kill"),)))
    elif child.status == "starting":
        child.status, child.ref, child.failures, child.fresh = "running", event.ref, 0, False
        _answer_start(state, child)
        _answered(state, child)
    elif child.status == "stopping" and child.ref is None:
        child.ref = event.ref
        if state.sweep is not None:
            state.sweep.cancelled.discard(child.id)
        state.out.append(Stop((Halt(child.id, child.incarnation, child.ref, child.spec.shutdown),)))


def start_ignored(state: State, event: StartIgnored, now: float) -> None:
    """Take note that a child asked not to be started: no failure."""
    child = _meant(state, event.child, event.incarnation)
    if child is None:
        return
    if child.status == "starting":
        child.failures, child.fresh = 0, False
        _answer_start(state, child)
        state.rest(child, ignored=True)
        _answered(state, child)
    elif child.status == "stopping":
        _settle(state, child)


def start_failed(state: State, event: StartFailed, now: float) -> None:
    """Decide about a start that failed."""
    child = _meant(state, event.child, event.incarnation)
    if child is None:
        return
    if child.status == "starting":
        failed = [(child, event.why)]
        _take_down(state, failed)
        _decide(state, [], failed, "", now)
    elif child.status == "stopping":
        _break_off(state, child)
        _settle(state, child)
    mend(state)


def stopped(state: State, event: Stopped, now: float) -> None:
    """Take note that a child that was to be stopped is gone."""
    child = _meant(state, event.child, event.incarnation)
    if child is not None and child.status == "stopping":
        _settle(state, child)


def retry(state: State, event: Retry, now: float) -> None:
    """Try again what failed to start; it was counted when it failed."""
    due = []
    for child_id, incarnation in event.children:
        child = _meant(state, child_id, incarnation)
        if child is not None and child.status == "restarting":
            due.append(child)
    if not due:
        return
    if not state.grouped:
        state.launch(due, in_order=False)
    elif due[0].id in state.held:
        waiting = (state.roster.get(child_id) for child_id in state.held[due[0].id])
        sweep_from(state, min(child.place for child in (due[0], *waiting) if child is not None))


def _take_down(state: State, failed: Iterable[tuple[Child, Any]]) -> None:
    """Nothing is left of starts that failed, nor will anything come of what was to follow them in order."""
    sweep = state.sweep
    for child, _ in failed:
        child.status = "restarting"
        if sweep is not None and child.id in sweep.starting:
            void(state, sweep)


def _break_off(state: State, child: Child) -> None:
    """A child failed to start before it heard that it was to stop: what was to follow it is void all the same."""
    sweep = state.sweep
    if sweep is not None and child.id in sweep.cancelled:
        sweep.cancelled.discard(child.id)
        void(state, sweep)


def _decide(
    state: State, dead: list[Child], failed: list[tuple[Child, Any]], last: str, now: float, counts: bool = True
) -> None:
    sweep = state.sweep
    again: list[Child] = []
    for child, why in failed:
        in_order = sweep is not None and child.id in sweep.starting
        if child.id in state.starts:
            state.refuse_start(child, "start_failed", why)
            state.rest(child)
            if sweep is not None and in_order:
                sweep.starting.discard(child.id)
                sweep.skip.add(child.id)
        elif sweep is not None and sweep.initial and in_order:
            state.leave((SHUTDOWN, ("failed_to_start_child", child.id, why)), did_not_start(child.id, why))
            return
        else:
            again.append(child)
            last = did_not_start(child.id, why)
    if dead or again:
        if counts and not state.window.record(now):
            limit = f"more than {state.window.max_restarts} restarts in {state.window.max_seconds:g} s"
            state.leave(SHUTDOWN, f"{limit}; the last: {last}")
        elif state.grouped and dead:
            sweep_from(state, min(child.place for child in (*dead, *again)))
        elif state.grouped:
            hold(state, min(again, key=_place))
        else:
            if dead:
                state.launch(sorted(dead, key=_place), in_order=False)
            if again:
                postpone(state, sorted(again, key=_place))


def _quits(state: State) -> bool:
    if state.spec.auto_shutdown == "all_significant":
        return not any(
            child.spec.significant
            and (child.status in ("starting", "running", "restarting") or child.then == "restart")
            for child in state.roster
        )
    return state.spec.auto_shutdown == "any_significant"


def _settle(state: State, child: Child) -> None:
    if child.status != "stopping":
        return
    state.stopping -= 1
    then, child.then = child.then, "rest"
    child.ref = None
    if state.leaving is not None:
        child.status = "stopped"
    elif then == "restart":
        child.status = "restarting"
    elif then == "forget":
        state.forget(child)
    else:
        state.rest(child)
    for request in state.stops.pop(child.id, ()):
        state.reply(request, child.id)
    gone(state, child)
    state.leave_if_empty()


def _answer_start(state: State, child: Child) -> None:
    if child.id in state.starts:
        state.reply(state.starts.pop(child.id), child.id, child.ref)


def _answered(state: State, child: Child) -> None:
    sweep = state.sweep
    if sweep is not None and child.id in sweep.starting:
        take_out(state, child)


def _meant(state: State, child_id: str, incarnation: int) -> Child | None:
    child = state.roster.get(child_id)
    return child if child is not None and child.incarnation == incarnation else None


def _place(child: Child) -> int:
    return child.place
