"""A supervisor's state, and the single steps its rules are made of: launch, halt, retire, forget, leave.

Pure; owned by one supervisor, changed only by the rules (plan.py, incident.py, command.py, group.py) and in place,
because 100,000 children are not copied for each event. It does no I/O and holds no clock, so `copy.deepcopy` gives a
test a supervisor to try things on. Each step appends what is to be done to `out`.
"""

from __future__ import annotations

import random as stdlib_random
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any

from ..lean_dataclass import dataclass
from ..message import ExitReason
from .action import Action, Dropped, Exit, Halt, Launch, Refusal, Refuse, Reply, Retired, Start, Stop
from .event import Command, StartChild
from .roster import ACTIVE, Child, Roster
from .supervisor_spec import Supervises
from .window import RestartWindow


@dataclass(slots=True)
class Sweep:
    """A group on its way down, then up again; there is one at most.

    All children from place `first` on belong to it. Going down, `stopping` is not empty; going up, `starting` holds
    those of the ordered Start that have not answered. `skip` are those that have, or that a command took out of it;
    `cancelled` those among them that were still starting. `broken`: the rest of the ordered Start is void and to be
    begun again; `widened`: `first` was lowered on the way up, so that one more round is due.
    """

    first: int
    initial: bool = False
    stopping: set[str] = field(default_factory=set)
    starting: set[str] = field(default_factory=set)
    skip: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    broken: bool = False
    widened: bool = False


class State:
    """What one supervisor knows. `random` draws from [0, 1), for the back-off's jitter."""

    __slots__ = (
        "deferred", "held", "leaving", "out", "over", "random", "roster", "spec", "starts", "stopping", "stops",
        "sweep", "window",
    )  # fmt: skip

    def __init__(self, spec: Supervises, random: Callable[[], float] = stdlib_random.random) -> None:
        self.spec = spec
        self.random = random
        self.window = RestartWindow(spec.max_restarts, spec.max_seconds)
        self.roster = Roster()
        for child_id, child_spec in zip(spec.ids, spec.children, strict=True):
            self.roster.add(child_spec, child_id)
        self.sweep: Sweep | None = None
        self.leaving: Exit | None = None
        self.over = False
        self.stopping = 0  # how many children are; kept, so that the end is seen without looking for it
        self.starts: dict[str, Any] = {}  # the request each commanded start answers
        self.stops: dict[str, list[Any]] = {}  # the requests each halt answers
        self.held: dict[str, tuple[str, ...]] = {}  # who waits for the retry of an earlier member of the group
        self.deferred: list[Command] = []  # starts commanded while a group moves: after it, as in OTP
        self.out: list[Action] = []

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes along to another process: all but where chance comes from."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "random"}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.random = stdlib_random.random
        for name, value in kept.items():
            setattr(self, name, value)

    @property
    def grouped(self) -> bool:
        """Whether one child's death concerns its siblings."""
        return self.spec.strategy != "one_for_one"

    def launch(self, children: Iterable[Child], in_order: bool) -> None:
        """Begin an attempt to start each of `children`."""
        launches = []
        for child in children:
            child.incarnation += 1
            child.status = "starting"
            launches.append(Launch(child.id, child.incarnation, child.spec))
        self.out.append(Start(tuple(launches), in_order))

    def halt(self, children: Iterable[Child]) -> None:
        """Stop `children`, all of them alive or starting, in the order given; the caller has set their `then`."""
        halts = []
        for child in children:
            child.status = "stopping"
            halts.append(Halt(child.id, child.incarnation, child.ref, child.spec.shutdown))
        if halts:
            self.stopping += len(halts)
            self.out.append(Stop(tuple(halts), parallel=self.spec.dynamic))

    def keeps(self, child: Child) -> bool:
        """Whether the specification outlives the child when no restart is planned."""
        return child.spec.restart != "temporary" and not self.spec.dynamic and not child.fresh

    def rest(self, child: Child, ignored: bool = False) -> None:
        """Take note that `child` is down with no restart planned: forgotten, or kept at rest."""
        child.ref = None
        if self.keeps(child):
            child.status = "ignored" if ignored else "stopped"
            self.out.append(Retired(child.id))
        else:
            self.forget(child)

    def forget(self, child: Child) -> None:
        """Drop `child` with its specification."""
        self.roster.remove(child)
        self.held.pop(child.id, None)
        self.out.append(Dropped(child.id))

    def reply(self, request: Any, child: str, ref: Any = None) -> None:
        """Answer a command that succeeded."""
        self.out.append(Reply(request, child, ref))

    def refuse(self, request: Any, child: str, why: Refusal, detail: Any = None) -> None:
        """Answer a command that did not."""
        self.out.append(Refuse(request, child, why, detail))

    def refuse_start(self, child: Child, why: Refusal, detail: Any = None) -> None:
        """Answer the command that `child`'s start came from, if it came from one."""
        if child.id in self.starts:
            self.refuse(self.starts.pop(child.id), child.id, why, detail)

    def leave(self, reason: ExitReason, cause: str) -> None:
        """Give up or shut down: stop everything in reverse order, then exit. Nothing is restarted any more."""
        if self.leaving is not None:
            return
        self.leaving = Exit(reason, cause)
        self.sweep = None
        self.held.clear()
        for command in self.deferred:
            name = command.spec.name or "" if isinstance(command, StartChild) else command.child
            self.refuse(command.request, name, "shutting_down")
        self.deferred.clear()
        alive = []
        for child in self.roster:
            self.refuse_start(child, "shutting_down")
            if child.status == "starting" or child.status == "running":
                alive.append(child)
            elif child.status == "restarting":
                child.status = "stopped"
        self.halt(reversed(alive))
        self.leave_if_empty()

    def leave_if_empty(self) -> None:
        """Exit, if that was decided and nobody is left."""
        if self.leaving is not None and self.stopping == 0 and not self.over:
            self.over = True
            self.out.append(self.leaving)


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A line of `which_children`. `ref` is None unless it runs; `status` is roster.Status; `kind` is OTP's type."""

    name: str
    ref: Any
    status: str
    kind: str
    incarnation: int
    restart: str


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """OTP's count_children: all specifications; those alive; and of all, how many are supervisors and workers."""

    specs: int
    active: int
    supervisors: int
    workers: int


def which_children(state: State) -> tuple[ChildInfo, ...]:
    """Return every child in start order."""
    return tuple(
        ChildInfo(
            child.id,
            child.ref if child.status == "running" else None,
            child.status,
            child.spec.kind,
            child.incarnation,
            child.spec.restart,
        )
        for child in state.roster
    )


def count_children(state: State) -> ChildCounts:
    """Return how many children there are, by sort."""
    supervisors = sum(1 for child in state.roster if child.spec.kind == "supervisor")
    active = sum(1 for child in state.roster if child.status in ACTIVE)
    return ChildCounts(len(state.roster), active, supervisors, len(state.roster) - supervisors)
