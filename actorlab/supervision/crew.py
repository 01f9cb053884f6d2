"""Crew: a supervisor's children as they live in kernels: where each is, how they are started, stopped and released.

Edge (asks kernels, and parks while they are at it); used by the supervisor, whose plan says what is to be done. One
order a kernel carries all that belongs together, so an incident of a thousand children costs a worker one message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Any

from ..actor import VALUE, Actor, ActorRef, Beside, ByHash, Cell, ChildExit, Future, StartRequest, hosted
from ..errors import CallTimeout, NodeGone, StartError, WorkerLost
from ..ids import CONTROLLER_HOME, home_of
from ..message import SHUTDOWN, WorkerDied
from ..transport import decode_exception
from .action import Halt, Launch
from .child_spec import ChildSpec
from .event import Death, Event, Exited, StartFailed, StartIgnored, StartOk, Stopped
from .news import ChildRecord
from .roster import Roster

STUCK_GRACE_S = 1.0
INTERRUPTS = 10
INTERRUPT_EVERY_S = 0.1
ROUNDS = 30
LAST_WAIT_S = 30.0
TURNS = 8
"""In how many turns each worker gets its share of a long ordered start."""
SHOWN = 8
"""How many restarted children an event's text names."""
MAX_TOLD = 1000
"""And how many its fields."""


class Crew:
    """The children of one supervisor. `spec_actor` is what a child that is a supervisor itself is started as.

    `name_patience_s`: how long a child's start waits for a name that somebody on his way out still has.
    """

    def __init__(self, cell: Cell, label: str, roster: Roster, supervisor: type[Actor]) -> None:
        self._cell = cell
        self._runtime = cell.kernel.runtime
        self._label = label
        self._roster = roster
        self._supervisor = supervisor
        self._records: dict[str, ChildRecord] = {}
        self._by_address: dict[int, str] = {}
        self._unreleased: dict[int, list[int]] = {}  # by home: whose release was lost with its worker
        self.name_patience_s = 0.0
        self.tells = False  # of restarts: once the supervisor itself has started

    def records(self) -> tuple[dict[str, ChildRecord], dict[int, list[int]]]:
        """Return all there is to know of the children: for a crew that goes on in another process."""
        return self._records, self._unreleased

    def take_over(self, records: tuple[dict[str, ChildRecord], dict[int, list[int]]]) -> None:
        """Go on with the children of the crew before."""
        self._records, self._unreleased = records
        self._by_address = {record.address: child for child, record in self._records.items()}

    def ended(self, news: ChildExit) -> Death | None:
        """Take note of a child's end; None if it is of an older incarnation, or known already."""
        child = self._by_address.get(news.address)
        record = self._records.get(child) if child is not None else None
        if child is None or record is None or not record.alive or news.incarnation < record.cell_incarnation:
            return None
        record.alive = False
        return Death(child, record.incarnation, news.reason)

    def lost_in(
        self, home: int, reason: WorkerDied | str, epoch: int | None, only: tuple[int, ...] | None = None
    ) -> tuple[Death, ...]:
        """Take note that all who were started in `home`, up to that epoch of its process, are dead, or `only` these."""
        dead = []
        if only is not None:
            for address in only:
                child_id = self._by_address.get(address)
                lost = self._records.get(child_id) if child_id is not None else None
                if child_id is not None and lost is not None and lost.alive:
                    lost.alive = False
                    dead.append(Death(child_id, lost.incarnation, reason))
            return tuple(dead)
        for child, record in self._records.items():
            if record.alive and home_of(record.address) == home and (epoch is None or record.epoch <= epoch):
                record.alive = False
                dead.append(Death(child, record.incarnation, reason))
        return tuple(dead)

    def living(self) -> list[int]:
        """Return the addresses of those who are alive."""
        return [record.address for record in self._records.values() if record.alive]

    def where(self, child: str) -> ActorRef[Any] | None:
        """Return a running child's reference."""
        record = self._records.get(child)
        return record.ref if record is not None and record.alive else None

    def start(self, launches: list[Launch], in_order: bool) -> list[Event]:
        """Start children, and return what became of each; `in_order`: up to the first that failed."""
        runtime = self._runtime
        events: list[Event] = []
        chosen: dict[str, int] = {}  # where those before in this batch will live, for who wants to be beside them
        at: dict[int, list[tuple[Launch, StartRequest]]] = {}
        batches: list[tuple[int, list[tuple[Launch, StartRequest]]]] = []
        anywhere = self._anywhere(len(launches) if in_order else 0)
        for launch in launches:
            try:
                home, request = self._request(launch, chosen, anywhere)
                chosen[launch.child] = home
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
        waits: deque[tuple[int, list[tuple[Launch, StartRequest]], Future[Any]]] = deque()
        try:
            for home, batch in batches:
                answer = runtime.control(home, "start_batch", [tuple(request) for _, request in batch], in_order)
                waits.append((home, batch, answer))
                if in_order:
                    events.extend(self._started(*waits[0]))
                    waits.popleft()
                    if events and isinstance(events[-1], (StartFailed, Exited)):
                        return events
            while waits:
                events.extend(self._started(*waits[0]))
                waits.popleft()
        except BaseException:
            # killed while it waits: nobody knows of those who are being started, so nobody would ever end them
            for _, _, answer in waits:
                answer.on_settled(partial(self._disown, answer))
            raise
        return events

    def _disown(self, answer: Future[Any]) -> None:
        state, outcome = answer.outcome()
        if state == VALUE:
            for address in outcome[1]:
                if type(address) is int and address:
                    self._runtime.signal(address, ("orphaned", address, self._cell.address))

    def _anywhere(self, in_order: int) -> Iterator[int]:
        """Yield homes for children that may live anywhere: worker after worker, in longer turns if there are many.

        An ordered start costs a round trip a turn, for a child must not begin before the one before it has.
        """
        node = self._runtime.node
        turn = max(1, in_order // (TURNS * max(1, len(node.worker_numbers))))
        while True:
            yield from repeat(node.choose_home("any"), turn)

    def _request(self, launch: Launch, chosen: dict[str, int], anywhere: Iterator[int]) -> tuple[int, StartRequest]:
        runtime = self._runtime
        spec = launch.spec
        record = self._records.get(launch.child)
        address = record.address if record is not None and record.kept else 0
        if isinstance(spec, ChildSpec):
            placement = spec.placement
            if isinstance(placement, Beside) and isinstance(placement.who, str):
                neighbour = self._records.get(placement.who)
                home = chosen.get(placement.who) or (home_of(neighbour.address) if neighbour is not None else 0)
                if not home:
                    home = runtime.node.choose_home(placement)
            elif placement == "any" and address == 0:
                home = next(anywhere)
            elif isinstance(placement, ByHash) or address == 0:
                home = runtime.node.choose_home(placement)
            else:
                home = home_of(address)
            bounds = spec.mailbox if spec.mailbox is not None else runtime.options.mailbox
            actor = hosted(spec.actor)
            redeliver = spec.redeliver or actor.redeliver
            request = StartRequest(
                actor, spec.args, dict(spec.kwargs), spec.name, bounds, self._cell.address, spec.init_timeout_s,
                redeliver, address if home_of(address) == home else 0, 0, runtime.epoch, self.name_patience_s,
                spec.metadata, None, spec.snapshots,
            )  # fmt: skip
            runtime.know_class(actor)
            return home, request
        place = spec.placement
        home = home_of(address) if address else CONTROLLER_HOME if place is None else runtime.node.choose_home(place)
        name = spec.name
        request = StartRequest(
            self._supervisor, (spec, launch.child), {}, name, runtime.options.mailbox, self._cell.address, None, 0,
            address, 0, runtime.epoch, self.name_patience_s,
        )  # fmt: skip
        return home, request

    def _started(self, home: int, batch: list[tuple[Launch, StartRequest]], future: Future[Any]) -> list[Event]:
        runtime = self._runtime
        times = [request.init_timeout_s for _, request in batch]
        limit = None if None in times else sum(times) + STUCK_GRACE_S  # type: ignore[arg-type]
        try:
            epoch, answers = self._await(home, future, limit, f"{batch[0][0].child} does not start")
        except WorkerLost as error:
            # all that was there is gone with those that were to come: one incident, told again when it is replaced
            lost = [Death(launch.child, launch.incarnation, error.args[1]) for launch, _ in batch]
            return [Exited((*lost, *self.lost_in(home, error.args[1], None)))]
        except Exception as error:
            return [StartFailed(launch.child, launch.incarnation, error) for launch, _ in batch]
        events: list[Event] = []
        restarted: list[str] = []
        for (launch, request), answer in zip(batch, answers, strict=False):
            child = launch.child
            if isinstance(answer, bytes):
                events.append(StartFailed(child, launch.incarnation, decode_exception(answer)))
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
            self._records[child] = ChildRecord(ref, answer, launch.incarnation, incarnation, epoch, True, True)
            self._by_address[answer] = child
            if launch.incarnation > 1 and self.tells:
                restarted.append(child)
            events.append(StartOk(child, launch.incarnation, ref))
        if restarted:
            self._tell_restarted(restarted, home_of(self._records[restarted[0]].address))
        return events

    def _tell_restarted(self, children: list[str], home: int) -> None:
        """One event a batch: the restart of a thousand actors is one line to read, and one message."""
        shown = ", ".join(children[:SHOWN]) + (f" and {len(children) - SHOWN:,} more" if len(children) > SHOWN else "")
        fields = {"supervisor": self._label, "children": children[:MAX_TOLD], "number": len(children), "worker": home}
        self._runtime.happened("actor_restarted", f"{self._label} restarted {shown}", fields)

    def halt(self, halts: list[Halt], parallel: bool) -> list[Event]:
        """Stop children, one after another or all at once; return when they are gone."""
        runtime = self._runtime
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
        times = [0.0 if halt.shutdown == "brutal_kill" else halt.shutdown for halt in batch]
        limit: float | None = None
        if "infinity" not in times:
            limit = (max if parallel else sum)(times) + STUCK_GRACE_S  # type: ignore[operator, arg-type]
        try:
            self._await(home, answer, limit, f"{batch[0].child} does not stop")
        except (StartError, CallTimeout, NodeGone):
            pass  # the worker died meanwhile: they are gone all the same

    def _await(self, home: int, answer: Future[Any], limit_s: float | None, cause: str) -> Any:
        """Wait for a kernel's answer. From a worker that does not even take the order, because a handler holds its
        thread: the handler is interrupted, and if that does not help the worker killed. One that has much to do, and
        gets on, is waited for: the controller, who sees which it is, then does neither."""
        try:
            return answer.get(timeout=limit_s)
        except CallTimeout:
            pass
        runtime = self._runtime
        if home in runtime.kernels:  # our own process, which is not to be killed
            return answer.get()
        for _ in range(ROUNDS):
            for _ in range(INTERRUPTS):
                runtime.tell_kernel(CONTROLLER_HOME, "interrupt_worker", home, cause)
                try:
                    return answer.get(timeout=INTERRUPT_EVERY_S)
                except CallTimeout:
                    pass
            runtime.tell_kernel(CONTROLLER_HOME, "kill_worker", home, cause)
        return answer.get(timeout=LAST_WAIT_S)

    def release(self, children: list[str] | None = None) -> None:
        """No restart will come for these (None: for all): their places are free, what waited there is dead letters.

        Whoever is answered after this finds their names free.
        """
        at: dict[int, list[int]] = {}
        for child in tuple(self._records) if children is None else children:
            record = self._records.get(child)
            if record is not None and record.kept:
                record.kept = False
                self._by_address.pop(record.address, None)
                at.setdefault(home_of(record.address), []).append(record.address)
                if child not in self._roster:
                    del self._records[child]
        control = self._runtime.control
        for home, addresses, answer in [(home, at[home], control(home, "release", at[home])) for home in at]:
            try:
                answer.get(timeout=STUCK_GRACE_S)
            except WorkerLost:
                self._unreleased.setdefault(home, []).extend(addresses)  # it may have died before it did it
            except (CallTimeout, StartError, NodeGone):
                pass  # its worker is stuck, and has the order

    def release_again(self, home: int) -> None:
        """A dead worker is replaced: whoever took its places over keeps some that it was told to release."""
        addresses = self._unreleased.pop(home, None)
        if addresses:
            self._runtime.tell_kernel(home, "release", addresses)
