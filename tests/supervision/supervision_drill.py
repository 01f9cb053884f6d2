"""A supervisor without processes: the plan, and children that obey at once or when the test says so."""

from __future__ import annotations

import pykka

from actorlab.supervision import (
    Backoff,
    Begin,
    Death,
    Dropped,
    Exit,
    Exited,
    Ready,
    Refuse,
    Reply,
    Retired,
    Retry,
    RetryAfter,
    Start,
    StartFailed,
    StartIgnored,
    StartOk,
    State,
    Stop,
    Stopped,
    Supervisor,
    child,
    plan,
)


class Clerk(pykka.ThreadingActor):
    """An actor class; never started here."""


STEADY = Backoff(first_s=1, factor=2, max_s=8, jitter=0)


def clerk(name, **keys):
    return child(Clerk, name=name, **keys)


def desk(*children, **keys):
    """A supervisor of `children`; a bare text is a permanent child of that name."""
    specs = [clerk(c) if isinstance(c, str) else c for c in children]
    return Supervisor(children=specs, **{"backoff": STEADY, **keys})


def show(action):
    """One line for one action, so that a test's expectation reads like a log."""
    match action:
        case Start(children, in_order):
            return f"start{'' if in_order else ' each'} {' '.join(c.child for c in children)}"
        case Stop(children, parallel):
            return f"stop{' all' if parallel else ''} {' '.join(c.child for c in children)}"
        case RetryAfter(seconds, children):
            return f"retry {seconds:g} {' '.join(c for c, _ in children)}"
        case Ready():
            return "ready"
        case Retired(name):
            return f"retired {name}"
        case Dropped(name):
            return f"dropped {name}"
        case Reply(request, name, ref):
            return f"reply {request} {name}" + (f" {ref}" if ref is not None else "")
        case Refuse(request, _, why, detail):
            return f"refuse {request} {why}" + (f" {detail}" if detail is not None else "")
        case Exit(reason):
            return f"exit {reason}"


class Drill:
    """`send` decides only; `run` also carries out, until nothing is left to do but retries.

    `outcomes[name]` are what the next starts of a child come to: "ok", "ignore", or why it fails; then "ok".
    """

    def __init__(self, spec, **outcomes):
        self.state = State(spec, random=lambda: 0.5)
        self.now = 0.0
        self.outcomes = {name: list(o) for name, o in outcomes.items()}
        self.retries = []

    def send(self, event):
        return [show(action) for action in self.decide(event)]

    def decide(self, event):
        actions = plan(self.state, event, self.now)
        self.retries += [a for a in actions if isinstance(a, RetryAfter)]
        return actions

    def run(self, event):
        log, todo = [], [event]
        while todo:
            actions = self.decide(todo.pop(0))
            log += [show(action) for action in actions]
            for action in actions:
                if isinstance(action, Start):
                    todo += self._start(action)
                elif isinstance(action, Stop):
                    todo += [Stopped(c.child, c.incarnation) for c in action.children]
        return log

    def _start(self, action):
        for launch in action.children:
            name, incarnation = launch.child, launch.incarnation
            outcomes = self.outcomes.get(name) or ["ok"]
            outcome = outcomes.pop(0)
            if outcome == "ok":
                yield StartOk(name, incarnation, f"<{name}.{incarnation}>")
            elif outcome == "ignore":
                yield StartIgnored(name, incarnation)
            else:
                yield StartFailed(name, incarnation, outcome)
                if action.in_order:
                    return

    def begin(self):
        self.run(Begin())
        return self

    def death(self, name, reason="boom"):
        return Death(name, self.state.roster.get(name).incarnation, reason)

    def dies(self, *names, reason="boom"):
        """The event of one incident."""
        return Exited(tuple(self.death(name, reason) for name in names))

    def ok(self, name):
        """The report that the start in hand succeeded."""
        incarnation = self.state.roster.get(name).incarnation
        return StartOk(name, incarnation, f"<{name}.{incarnation}>")

    def failed(self, name, why="broke"):
        return StartFailed(name, self.state.roster.get(name).incarnation, why)

    def stopped(self, name):
        return Stopped(name, self.state.roster.get(name).incarnation)

    def retry(self):
        """The event of the timer set last."""
        return Retry(self.retries[-1].children)

    @property
    def status(self):
        return {c.id: c.status for c in self.state.roster}
