"""Group restarts: rest_for_one and one_for_all, and the ordered start that begins every supervisor.

Pure; used by plan.py, incident.py and command.py. A sweep stops its members in reverse order, waits until all are
gone, then starts in order all that are down. As in OTP that includes children that had been terminated, had ended
cleanly or been ignored, and leaves out temporary ones, which are forgotten when a sibling takes them down. A death
meanwhile widens the sweep or begins it anew rather than waiting for its end: what is already known to go down is
not started first.
"""

from __future__ import annotations

from collections.abc import Iterable

from .action import Ready, RetryAfter
from .roster import DOWN, Child
from .state import State, Sweep


def sweep_from(state: State, first: int) -> None:
    """Stop and restart the group of the child at place `first`; the caller has counted it."""
    previous = state.sweep
    own = 0 if state.spec.strategy == "one_for_all" else first
    if previous is not None:  # its unfinished members must not be lost
        unfinished = previous.stopping | previous.starting
        if previous.stopping or previous.widened:
            first = min(first, previous.first)
        first = min([first, *(child.place for child in state.roster if child.id in unfinished)])
    first = min(first, own)
    state.sweep = sweep = Sweep(first, initial=previous is not None and previous.initial)
    alive = []
    for child in state.roster.from_place(first):
        state.held.pop(child.id, None)
        if child.status == "starting" or child.status == "running":
            if child.spec.restart == "temporary":
                state.refuse_start(child, "terminated")
                child.then = "forget"
            else:
                child.then = "restart"
            alive.append(child)
            sweep.stopping.add(child.id)
        else:
            if child.status == "stopping":
                sweep.stopping.add(child.id)
            if previous is not None and child.place < own and child.id in previous.skip and child.then != "restart":
                sweep.skip.add(child.id)  # at rest, and this incident is none of its business
    state.halt(reversed(alive))
    if not sweep.stopping:
        sweep_up(state, sweep)


def sweep_up(state: State, sweep: Sweep) -> None:
    """Start, in order, whatever of the sweep is down."""
    members = [
        child for child in state.roster.from_place(sweep.first) if child.status in DOWN and child.id not in sweep.skip
    ]
    sweep.broken = sweep.widened = False
    sweep.starting = {child.id for child in members}
    for child in members:
        state.held.pop(child.id, None)
    if members:
        state.launch(members, in_order=True)
    else:
        finish_if_done(state)


def void(state: State, sweep: Sweep) -> None:
    """Take note that the rest of an ordered start was never begun, because one before it failed."""
    sweep.broken = True
    for child in state.roster.from_place(sweep.first):
        if child.id in sweep.starting and child.status == "starting":
            child.status = "restarting"


def mend(state: State) -> None:
    """Begin anew what became void in an ordered start that has not failed as a group."""
    if state.sweep is not None and state.sweep.broken:
        sweep_up(state, state.sweep)


def take_out(state: State, child: Child) -> None:
    """Leave `child` where it is when the sweep goes on: it answered, or a command decided otherwise."""
    sweep = state.sweep
    if sweep is not None:
        if child.status == "stopping" and child.id in sweep.starting:
            sweep.cancelled.add(child.id)
        sweep.starting.discard(child.id)
        sweep.skip.add(child.id)
        finish_if_done(state)


def gone(state: State, child: Child) -> None:
    """Take note that a member that was to be stopped is gone; the last one turns the sweep round."""
    sweep = state.sweep
    if sweep is not None and child.id in sweep.stopping:
        sweep.stopping.discard(child.id)
        if not sweep.stopping:
            sweep_up(state, sweep)


def finish_if_done(state: State) -> None:
    """End the sweep when all of it has answered."""
    sweep = state.sweep
    if sweep is not None and not sweep.stopping and not sweep.starting:
        if sweep.widened:
            return sweep_up(state, sweep)
        state.sweep = None
        if sweep.initial:
            state.out.append(Ready())


def hold(state: State, failed: Child) -> None:
    """Wait before the group is tried again from `failed`, whose start failed; what was to follow it stays down."""
    held: list[Child] = []
    sweep = state.sweep
    if sweep is not None:
        for child in state.roster.from_place(sweep.first):
            if child is failed or child.status != "restarting":
                continue
            if child.id in sweep.starting or (sweep.widened and child.id not in sweep.skip):
                held.append(child)
        state.sweep = None
    state.held[failed.id] = tuple(child.id for child in held)
    postpone(state, [failed])


def release(state: State, child: Child) -> None:
    """Start those who waited for the retry of `child`, which a command has just called off. (OTP forgets them.)"""
    sweep = state.sweep
    if sweep is None:
        state.sweep = sweep = Sweep(child.place, skip={child.id})
        sweep_up(state, sweep)
    else:  # a later part of the group is moving: when it is done, those in between follow
        sweep.first = min(sweep.first, child.place)
        sweep.skip.add(child.id)
        sweep.widened = True


def postpone(state: State, failed: Iterable[Child]) -> None:
    """Let children whose start failed wait for their next attempt."""
    worst, waiting = 0, []
    for child in failed:
        child.status = "restarting"
        child.failures += 1
        worst = max(worst, child.failures)
        waiting.append((child.id, child.incarnation))
    state.out.append(RetryAfter(state.spec.backoff.delay_s(worst, state.random()), tuple(waiting)))
