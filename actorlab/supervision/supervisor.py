"""Supervisor: the actor that carries out what `plan` decides.

An actor; started by the node for the root of a tree and by other supervisors for what is below. It runs no user code
and lives in the controller unless its specification says otherwise. Every event (a child's end, a worker's death, a
command, a retry) is put to the plan, and the actions that come back are carried out one after another, its handler
parked while children start and stop, as OTP's is. A child keeps its address and its queue over a restart.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any, ClassVar

from ..actor import Actor, ActorRef, ChildExit
from ..errors import ActorlabError, NoSuchChild, SpecError, StartError
from ..ids import CONTROLLER_HOME
from ..message import SHUTDOWN
from .action import Action, Dropped, Exit, Ready, Refuse, Reply, Retired, RetryAfter, Start, Stop
from .crew import MAX_TOLD, Crew
from .event import (
    Begin,
    Command,
    Death,
    DeleteChild,
    Event,
    Exited,
    ReplaceSpec,
    RestartChild,
    Retry,
    ShutdownAll,
    StartChild,
    StartFailed,
    TerminateChild,
)
from .news import WorkerIncident, child_failed, did_not_start, refused
from .plan import plan
from .state import ChildCounts, ChildInfo, State, count_children, which_children
from .supervisor_spec import Spec, Supervises

ORPHANS_S = 3.0
"""How long a supervisor that is started anew waits for its predecessor's children to give up their names."""


class SupervisorActor(Actor):
    """Keeps the children of one specification alive."""

    is_base: ClassVar[bool] = False
    is_supervisor: ClassVar[bool] = True
    on_restart: ClassVar[str] = "drop"
    reply_errors: ClassVar[tuple[type[BaseException], ...]] = (ActorlabError,)  # a command that is refused

    def __init__(self, spec: Supervises, label: str = "") -> None:
        self._state = State(spec)
        self._label = label or getattr(spec, "name", None) or "supervisor"
        self._crew = Crew(self._mine(), self._label, self._state.roster, SupervisorActor)
        self._answers: dict[int, Reply | Refuse] = {}
        self._requests = count(1)
        self._ready = False
        self._over: Exit | None = None
        self._told_to_stop = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes along when its worker hands it over, between two of its messages."""
        return {
            "state": self._state,
            "label": self._label,
            "children": self._crew.records(),
            "request": next(self._requests),
            "ready": self._ready,
            "over": self._over,
            "told_to_stop": self._told_to_stop,
        }

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self._state, self._label = kept["state"], kept["label"]
        self._crew = Crew(self._mine(), self._label, self._state.roster, SupervisorActor)
        self._crew.take_over(kept["children"])
        self._answers = {}
        self._requests = count(kept["request"])
        self._ready = self._crew.tells = kept["ready"]
        self._over, self._told_to_stop = kept["over"], kept["told_to_stop"]

    def on_start(self) -> None:
        """Start the children; the supervisor has started when all have (P: nothing half-started)."""
        if self._mine().incarnation:
            self._crew.name_patience_s = ORPHANS_S
        self._apply([Begin()])
        self._crew.name_patience_s = 0.0
        if self._over is not None:
            reason = self._over.reason
            why = reason[1] if isinstance(reason, tuple) else reason
            if isinstance(why, tuple) and len(why) == 3:
                error = why[2] if isinstance(why[2], BaseException) else None
                raise child_failed(self._label, why[1], why[2]) from error
            raise StartError(self._label, self._over.cause)

    def on_stop(self) -> None:
        """However it was told to end (`ref.stop()`, an exit of a link): nobody below outlives it."""
        if self._over is None:
            self._told_to_stop = True
            self._apply([ShutdownAll(SHUTDOWN)])

    # -- what happens -------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> None:
        """Take news of children, workers and time."""
        if isinstance(message, ChildExit):
            death = self._crew.ended(message)
            self._died((death,) if death is not None else ())
        elif isinstance(message, WorkerIncident):
            # one incident for all who lived there, however many; not for those of its successor
            self._crew.release_again(message.home)
            self._died(self._crew.lost_in(message.home, message.reason, message.epoch, message.only))
        elif isinstance(message, Retry):
            self._apply([message])
        elif isinstance(message, tuple) and len(message) == 2 and message[0] == SHUTDOWN:
            self._told_to_stop = True
            self._apply([ShutdownAll(message[1])])

    def _died(self, deaths: tuple[Death, ...]) -> None:
        if deaths:
            self._apply([Exited(deaths)])

    def living(self) -> list[int]:
        """Return the addresses of the children that are alive: for the kernel, should this supervisor be killed."""
        return self._crew.living()

    # -- commands -------------------------------------------------------------------------------------------------

    def which_children(self) -> tuple[ChildInfo, ...]:
        """Return every child in start order."""
        return which_children(self._state)

    def count_children(self) -> ChildCounts:
        """Return how many children there are, by sort."""
        return count_children(self._state)

    def start_child(self, spec: Spec) -> ActorRef[Any] | None:
        """Add a child after all others and start it; return its reference, None if it raised Ignore."""
        return self.start_children([spec])[0]

    def start_children(self, specs: Sequence[Spec]) -> list[ActorRef[Any] | None]:
        """Add children and start them, in as few batches as workers; return their references.

        Raises for the first that failed; those that started stay.
        """
        requests = [next(self._requests) for _ in specs]
        self._apply([StartChild(spec, request) for spec, request in zip(specs, requests, strict=True)])
        return [self._answer(request) for request in requests]

    def terminate_child(self, name: str) -> None:
        """Stop a child; its specification stays, unless it is temporary or this supervisor dynamic."""
        self._command(TerminateChild(name, next(self._requests)))

    def restart_child(self, name: str) -> ActorRef[Any] | None:
        """Start a child that is down for good; return its reference."""
        return self._command(RestartChild(name, next(self._requests)))

    def delete_child(self, name: str) -> None:
        """Forget the specification of a child that is down for good."""
        self._command(DeleteChild(name, next(self._requests)))

    def replace_spec(self, name: str, spec: Spec) -> None:
        """Give a child another specification, which holds from its next start on; what runs is left alone."""
        self._command(ReplaceSpec(name, spec, next(self._requests)))

    def where_child(self, name: str) -> ActorRef[Any] | None:
        """Return a running child's reference by its name here."""
        return self._crew.where(name)

    def route(self, key: object) -> ActorRef[Any] | None:
        """Return the partition that `key` belongs to (of a PartitionSupervisor)."""
        partition_of = getattr(self._state.spec, "partition_of", None)
        if partition_of is None:
            raise SpecError(self._label, "is no PartitionSupervisor")
        return self.where_child(str(partition_of(key)))

    def _command(self, command: Command) -> ActorRef[Any] | None:
        self._apply([command])
        return self._answer(command.request)

    def _answer(self, request: int) -> ActorRef[Any] | None:
        answer = self._answers.pop(request, None)
        if answer is None:
            raise StartError(self._label, "the command waits for a restart that is due later; ask again")
        if isinstance(answer, Reply):
            ref: ActorRef[Any] | None = answer.ref
            return ref
        if answer.why == "not_found":
            raise NoSuchChild(self._label, answer.child, tuple(self._state.roster.names()))
        raise refused(self._label, answer)

    # -- carrying out ---------------------------------------------------------------------------------------------

    def _apply(self, events: Sequence[Event]) -> None:
        """Put events to the plan, carry out what it says, and go on with what comes of that until nothing does."""
        waiting: deque[Event] = deque(events)
        todo: deque[Action] = deque()
        failures: dict[str, Any] = {}
        while waiting or todo:
            while waiting:
                event = waiting.popleft()
                if isinstance(event, StartFailed):
                    failures[event.child] = event.why
                elif isinstance(event, Exited):  # some of them while they were starting, perhaps
                    failures.update((death.child, death.reason) for death in event.deaths)
                todo.extend(plan(self._state, event, self._mine().kernel.timers.now()))
            if todo:
                waiting.extend(self._carry_out(todo, failures))

    def _carry_out(self, todo: deque[Action], failures: dict[str, Any]) -> list[Event]:
        action = todo.popleft()
        match action:
            case Start(children, in_order):
                launches = list(children)
                while not in_order and todo and isinstance(todo[0], Start) and not todo[0].in_order:
                    launches.extend(todo.popleft().children)  # type: ignore[union-attr, arg-type]
                return self._crew.start(launches, in_order)
            case Stop(children, parallel):
                return self._crew.halt(list(children), parallel)
            case RetryAfter(seconds, children):
                self.send_after(seconds, Retry(children))
                self._tell_failed([child for child, _ in children], failures, seconds)
            case Ready():
                self._ready = self._crew.tells = True
            case Retired(child) | Dropped(child):
                released = [child]
                while todo and isinstance(todo[0], (Retired, Dropped)):
                    released.append(todo.popleft().child)  # type: ignore[union-attr]
                self._crew.release(released)
            case Reply() | Refuse():
                self._answers[action.request] = action
            case Exit(reason, cause):
                self._crew.release()
                self._over = action
                if self._ready:
                    if not self._told_to_stop:
                        self._mine().kernel.runtime.tell_kernel(CONTROLLER_HOME, "gave_up", self.ref.address, cause)
                        self._tell(logging.ERROR, "supervisor_gave_up", f"{self._label} stops: {cause}", {})
                    self.stop(reason)
        return []

    def _tell_failed(self, children: list[str], failures: dict[str, Any], next_try_s: float) -> None:
        """Those whose restart failed are tried again for a while: whoever looks for them must not look in vain."""
        child = children[0]
        why = failures.get(child, "its worker died")
        more = f" (and {len(children) - 1:,} more)" if len(children) > 1 else ""
        text = f"{self._label}: {did_not_start(child, why)}{more}; the next try is in {next_try_s:.2g} s"
        fields = {"children": children[:MAX_TOLD], "number": len(children), "next_try_s": next_try_s, "why": str(why)}
        entry = self._state.roster.get(child)
        is_first = entry is not None and entry.failures == 1  # one traceback for all tries
        error = why if is_first and isinstance(why, BaseException) else None
        self._tell(logging.WARNING, "restart_failed", text, fields, error)

    def _tell(
        self, level: int, kind: str, text: str, fields: dict[str, Any], error: BaseException | None = None
    ) -> None:
        """Tell the user's log, and whoever listens to the node's events."""
        self._mine().kernel.runtime.report(level, kind, text, {"supervisor": self._label, **fields}, error)
