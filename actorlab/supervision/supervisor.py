"""Supervisor: the actor that carries out what `plan` decides.

An actor; started by the node for the root of a tree and by other supervisors for what is below. It runs no user code
and lives in the controller unless its specification says otherwise. Every event (a child's end, a worker's death, a
command, a retry) is put to the plan, and the actions that come back are carried out one after another, its handler
parked while children start and stop, as OTP's is. A child keeps its address and its queue over a restart.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any, ClassVar

from ..actor import Actor, ActorRef, Beside, ByHash, ChildExit, Future, StartRequest
from ..errors import CallTimeout, NoSuchChild, SpecError, StartError
from ..ids import CONTROLLER_HOME, home_of
from ..message import NOPROC, SHUTDOWN, WorkerDied
from .action import Action, Dropped, Exit, Halt, Launch, Ready, Refuse, Reply, Retired, RetryAfter, Start, Stop
from .child_spec import ChildSpec
from .event import (
    Begin,
    Command,
    Death,
    DeleteChild,
    Event,
    Exited,
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
from .news import ChildRecord, WorkerIncident, refused
from .plan import plan
from .state import ChildCounts, ChildInfo, State, count_children, which_children
from .supervisor_spec import Spec, Supervises

STUCK_GRACE_S = 1.0


class SupervisorActor(Actor):
    """Keeps the children of one specification alive."""

    is_base: ClassVar[bool] = False
    is_supervisor: ClassVar[bool] = True
    on_restart: ClassVar[str] = "drop"

    def __init__(self, spec: Supervises, label: str = "") -> None:
        self._state = State(spec)
        self._label = label or getattr(spec, "name", None) or "supervisor"
        self._records: dict[str, ChildRecord] = {}
        self._by_address: dict[int, str] = {}
        self._answers: dict[int, Reply | Refuse] = {}
        self._requests = count(1)
        self._ready = False
        self._over: Exit | None = None

    def on_start(self) -> None:
        """Start the children; the supervisor has started when all have (P: nothing half-started)."""
        self._apply([Begin()])
        if self._over is not None:
            reason = self._over.reason
            why = reason[1] if isinstance(reason, tuple) else reason
            if isinstance(why, tuple) and len(why) == 3:
                error = why[2] if isinstance(why[2], BaseException) else None
                raise StartError(f"{self._label}: child {why[1]!r}", str(why[2])) from error
            raise StartError(self._label, self._over.cause)

    # -- what happens -------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> None:
        """Take news of children, workers and time."""
        if isinstance(message, ChildExit):
            self._child_ended(message)
        elif isinstance(message, WorkerIncident):
            self._worker_died(message.home, message.reason)
        elif isinstance(message, Retry):
            self._apply([message])
        elif isinstance(message, tuple) and len(message) == 2 and message[0] == SHUTDOWN:
            self._apply([ShutdownAll(message[1])])

    def _child_ended(self, news: ChildExit) -> None:
        child = self._by_address.get(news.address)
        record = self._records.get(child) if child is not None else None
        if child is None or record is None or not record.alive or news.incarnation < record.cell_incarnation:
            return  # of an older incarnation, or known already
        record.alive = False
        self._apply([Exited((Death(child, record.incarnation, news.reason),))])

    def _worker_died(self, home: int, reason: WorkerDied) -> None:
        """One incident for all children that lived there, however many."""
        dead = []
        for child, record in self._records.items():
            if record.alive and home_of(record.address) == home:
                record.alive = False
                dead.append(Death(child, record.incarnation, reason))
        if dead:
            self._apply([Exited(tuple(dead))])

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

    def where_child(self, name: str) -> ActorRef[Any] | None:
        """Return a running child's reference by its name here."""
        record = self._records.get(name)
        return record.ref if record is not None and record.alive else None

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
        while waiting or todo:
            while waiting:
                todo.extend(plan(self._state, waiting.popleft(), time.monotonic()))
            if todo:
                waiting.extend(self._carry_out(todo))

    def _carry_out(self, todo: deque[Action]) -> list[Event]:
        action = todo.popleft()
        match action:
            case Start(children, in_order):
                launches = list(children)
                while not in_order and todo and isinstance(todo[0], Start) and not todo[0].in_order:
                    launches.extend(todo.popleft().children)  # type: ignore[union-attr, arg-type]
                return self._start(launches, in_order)
            case Stop(children, parallel):
                return self._halt(list(children), parallel)
            case RetryAfter(seconds, children):
                self.send_after(seconds, Retry(children))
            case Ready():
                self._ready = True
            case Retired(child) | Dropped(child):
                released = [child]
                while todo and isinstance(todo[0], (Retired, Dropped)):
                    released.append(todo.popleft().child)  # type: ignore[union-attr]
                self._release(released)
            case Reply() | Refuse():
                self._answers[action.request] = action
            case Exit(reason, cause):
                self._release(list(self._records))
                self._over = action
                if self._ready:
                    if reason != SHUTDOWN or "asked" not in cause:
                        self._mine().kernel.runtime.happened(
                            "supervisor_gave_up", f"{self._label} stops: {cause}", {"supervisor": self._label}
                        )
                    self.stop(reason)
        return []

    def _start(self, launches: list[Launch], in_order: bool) -> list[Event]:
        runtime = self._mine().kernel.runtime
        events: list[Event] = []
        at: dict[int, list[tuple[Launch, StartRequest]]] = {}
        batches: list[tuple[int, list[tuple[Launch, StartRequest]]]] = []
        for launch in launches:
            try:
                home, request = self._request(launch)
            except Exception as error:
                events.append(StartFailed(launch.child, launch.incarnation, error))
                if in_order:
                    break
                continue
            if in_order:
                if not batches or batches[-1][0] != home:
                    batches.append((home, []))
                batches[-1][1].append((launch, request))
            else:
                at.setdefault(home, []).append((launch, request))
        batches.extend(at.items())
        waits: list[tuple[int, list[tuple[Launch, StartRequest]], Future[Any]]] = []
        for home, batch in batches:
            answer = runtime.control(home, "start_batch", [request for _, request in batch], in_order)
            if in_order:
                events.extend(self._started(batch, answer))
                if events and isinstance(events[-1], StartFailed):
                    return events
            else:
                waits.append((home, batch, answer))
        for _, batch, answer in waits:
            events.extend(self._started(batch, answer))
        return events

    def _request(self, launch: Launch) -> tuple[int, StartRequest]:
        runtime = self._mine().kernel.runtime
        spec = launch.spec
        record = self._records.get(launch.child)
        address = record.address if record is not None and record.kept else 0
        if isinstance(spec, ChildSpec):
            placement = spec.placement
            if isinstance(placement, Beside) and isinstance(placement.who, str):
                neighbour = self._records.get(placement.who)
                home = home_of(neighbour.address) if neighbour is not None else runtime.node.choose_home("any")
            elif isinstance(placement, ByHash) or address == 0:
                home = runtime.node.choose_home(placement)
            else:
                home = home_of(address)
            bounds = spec.mailbox if spec.mailbox is not None else runtime.options.mailbox
            redeliver = spec.redeliver or getattr(spec.actor, "redeliver", 0)
            request = StartRequest(
                spec.actor, spec.args, dict(spec.kwargs), spec.name, bounds, self.ref.address, spec.init_timeout_s,
                redeliver, address if home_of(address) == home else 0,
            )  # fmt: skip
            if issubclass(spec.actor, Actor):
                runtime.know_class(spec.actor)
            return home, request
        place = spec.placement
        home = home_of(address) if address else CONTROLLER_HOME if place is None else runtime.node.choose_home(place)
        name = spec.name
        request = StartRequest(
            SupervisorActor, (spec, launch.child), {}, name, runtime.options.mailbox, self.ref.address, None, 0, address
        )
        return home, request

    def _started(self, batch: list[tuple[Launch, StartRequest]], future: Future[Any]) -> list[Event]:
        runtime = self._mine().kernel.runtime
        try:
            answers = future.get()
        except Exception as error:
            return [StartFailed(launch.child, launch.incarnation, error) for launch, _ in batch]
        events: list[Event] = []
        for (launch, request), answer in zip(batch, answers, strict=False):
            child = launch.child
            if isinstance(answer, BaseException):
                events.append(StartFailed(child, launch.incarnation, answer))
                continue
            old = self._records.get(child)
            if not answer:
                events.append(StartIgnored(child, launch.incarnation))
                continue
            path = f"{request.actor.__module__}:{request.actor.__qualname__}"
            ref: ActorRef[Any] = old.ref if old is not None and old.address == answer else runtime.ref_at(answer, path)
            if old is not None and old.address != answer:
                self._by_address.pop(old.address, None)
            incarnation = old.cell_incarnation + 1 if old is not None and old.address == answer else 0
            self._records[child] = ChildRecord(ref, answer, launch.incarnation, incarnation, True, True)
            self._by_address[answer] = child
            if launch.incarnation > 1 and self._ready:
                runtime.happened("actor_restarted", f"{child} restarted", {"child": child, "worker": home_of(answer)})
            events.append(StartOk(child, launch.incarnation, ref))
        return events

    def _halt(self, halts: list[Halt], parallel: bool) -> list[Event]:
        runtime = self._mine().kernel.runtime
        batches: list[tuple[int, list[Halt]]] = []
        at: dict[int, list[Halt]] = {}
        events: list[Event] = []
        for halt in halts:
            record = self._records.get(halt.child)
            if record is None or not record.alive:
                events.append(Stopped(halt.child, halt.incarnation))
                continue
            home = home_of(record.address)
            if parallel:
                at.setdefault(home, []).append(halt)
            elif batches and batches[-1][0] == home:
                batches[-1][1].append(halt)
            else:
                batches.append((home, [halt]))
        batches.extend(at.items())
        waits: list[tuple[int, list[Halt], Future[Any]]] = []
        for home, batch in batches:
            orders = [(self._records[halt.child].address, halt.shutdown, True, SHUTDOWN) for halt in batch]
            wait = (home, batch, runtime.control(home, "stop", orders, parallel))
            if parallel:
                waits.append(wait)
            else:
                self._await_stop(*wait, parallel)
        for wait in waits:
            self._await_stop(*wait, parallel)
        for _, batch in batches:
            for halt in batch:
                self._records[halt.child].alive = False
                events.append(Stopped(halt.child, halt.incarnation))
        return events

    def _await_stop(self, home: int, batch: list[Halt], answer: Future[Any], parallel: bool) -> None:
        """Wait for a batch to stop; a worker that does not even take the order is interrupted, then killed."""
        runtime = self._mine().kernel.runtime
        times = [0.0 if halt.shutdown == "brutal_kill" else halt.shutdown for halt in batch]
        limit: float | None = None
        if "infinity" not in times:
            limit = (max if parallel else sum)(times) + STUCK_GRACE_S  # type: ignore[operator, arg-type]
        for last_resort in ("interrupt_worker", "kill_worker", None):
            try:
                answer.get(timeout=limit)
                return
            except CallTimeout:
                if last_resort is None:
                    return
                cause = f"{batch[0].child} does not stop"
                runtime.tell_kernel(CONTROLLER_HOME, last_resort, home, cause)
                limit = STUCK_GRACE_S if last_resort == "interrupt_worker" else 10.0
            except StartError:
                return  # the worker died meanwhile: they are gone all the same

    def _release(self, children: list[str]) -> None:
        """No restart will come for these: their places are free, what waited there becomes dead letters."""
        at: dict[int, list[int]] = {}
        for child in children:
            record = self._records.get(child)
            if record is not None and record.kept:
                record.kept = False
                self._by_address.pop(record.address, None)
                at.setdefault(home_of(record.address), []).append(record.address)
                if child not in self._state.roster:
                    del self._records[child]
        for home, addresses in at.items():
            self._mine().kernel.runtime.tell_kernel(home, "release", addresses)


__all__ = ["NOPROC", "SupervisorActor"]
