"""Lifecycle: how an actor of a kernel starts, what its handlers' failures mean, and its timers.

Edge (one kernel's thread; hooks run in the actor's own greenlet or thread); used by the kernel and the node. Starting
is a handshake: whoever starts an actor is told when `__init__` and `on_start` are done, or why not. An exception of a
handler always reaches a caller; what it does to the actor is the class's choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from ..errors import BadCall, CallError, CallTimeout, InitTimeout, StartError, WorkerShedding
from ..ids import home_of
from ..message import KILLED, NOPROC, NORMAL, Crashed, ExitReason, Ignore
from . import pykka_actor, reentry
from .bad_call import is_bad_call, why_bad
from .behaviour import Behaviour
from .cell import DEAD, ENDING, HELD, IDLE, PARKED, RUNNING, Cell, state_of
from .chain import handler_over
from .envelope import CALL, CAST, INFO, INIT, describe
from .keeping import keep
from .mailbox import DEFAULT_MAILBOX, Mailbox
from .room import check_bounds
from .start_request import KernelJob, StartRequest
from .stash import Stashed, put_aside
from .streaming import PULL, pull
from .tasks import run_to_end
from .threads import BlockingThread, claim_hand
from .timers import Chore
from .waiting import Interrupted, Killed, lend

if TYPE_CHECKING:
    from .scheduler import Kernel
    from .timers import Timer


class Lifecycle:
    """Starts and ends the actors of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.own = Behaviour(KernelJob)
        self.own_bounds = DEFAULT_MAILBOX
        self.restarts = 0

    # -- starting ---------------------------------------------------------------------------------------------

    def start(self, request: StartRequest) -> int:
        """Start an actor here and wait for its handshake; return its address, or 0 if it raised Ignore.

        In a handler or a kernel job. Raises StartError (NameTaken, InitTimeout, …); then nothing is left.
        """
        return self.begin(request, self._prepare(request))

    def reserve(self, requests: Sequence[StartRequest]) -> dict[int, tuple[Cell, bool]]:
        """Give the named among `requests` their places and, in one question to the registry, their names.

        Return, by position, the place and whether it has its name. Each is then begun or given back. In a kernel job.
        """
        places: dict[int, Cell] = {}
        try:
            for position, request in enumerate(requests):
                if request.name is not None and not request.address and not request.metadata:
                    places[position] = self._prepare(request)
            rows = [(requests[position].name, cell.address) for position, cell in places.items()]
            named = self._kernel.runtime.register_many(rows)
        except BaseException:
            for cell in places.values():
                self.give_back(cell)
            raise
        return {position: (places[position], has) for position, has in zip(places, named, strict=True)}

    def give_back(self, cell: Cell) -> None:
        """Nothing will be started in a place: it is free again, or waits as before if it was a restart's."""
        if cell.parent and cell.incarnation:
            self._kernel.endings.hold(cell)
        else:
            self._kernel.endings.finalize(cell, NOPROC)

    def begin(self, request: StartRequest, cell: Cell, *, named: bool = False) -> int:
        """Start an actor in the place it was given (and under its name, if it is `named` already); see `start`."""
        kernel = self._kernel
        if request.name is not None:
            if not named:
                try:
                    kernel.runtime.register(request.name, cell.address, request.metadata, request.name_patience_s)
                except BaseException:
                    self.give_back(cell)
                    raise
            cell.more().name = str(request.name)
        if cell.phase == DEAD:
            raise StartError(cell.name, "its supervisor ended meanwhile")
        try:
            address: int = lend(kernel, cell, (INIT, request), request.init_timeout_s)
        except CallTimeout:
            if cell.phase in (DEAD, HELD):
                raise  # its own __init__ gave up waiting for something
            if cell.incarnation:
                cell.more().quiet = True  # whoever starts it is told by us
            else:
                cell.parent = 0  # nothing is left of a first start
            self._kernel.endings.kill(cell, KILLED, starting=True)
            raise InitTimeout(cell.name, f"not ready within {request.init_timeout_s:g} s; it was killed") from None
        return address

    def _prepare(self, request: StartRequest) -> Cell:
        kernel = self._kernel
        if request.parent and request.parent_epoch <= kernel.signals.died.get(home_of(request.parent), 0):
            raise StartError(request.actor.__name__, "its supervisor died meanwhile")
        husk = kernel.cells.get(request.address) if request.address else None
        if husk is not None:
            if husk.phase == HELD and husk.object is None:
                husk.incarnation += 1
                self.restarts += 1
                kernel.table.set_incarnation(husk.word, husk.incarnation)
                kernel.table.set_supervisor(husk.word, request.parent, request.parent_epoch)
                husk.parent = request.parent
                husk.behaviour = behaviour_of(request.actor)
                kernel.admission.set_bounds(husk, request.mailbox)
                extra = husk.more()
                if extra.stopped is not None:
                    extra.stopped.set()
                extra.reason = extra.stopped = None
                return husk
            raise StartError(request.actor.__name__, f"its place {request.address:#x} is taken")
        if kernel.admission.shedding and not request.address:
            soft_bytes = kernel.admission.shedding
            why = f"worker {kernel.home} is above its soft limit of memory ({soft_bytes:,} bytes)"
            raise WorkerShedding(request.actor.__name__, why)
        behaviour = behaviour_of(request.actor)
        bounds = request.mailbox
        check_bounds(behaviour, bounds)
        address, word = kernel.table.open_slot(
            behaviour.path, bounds.capacity, bounds.overflow, bounds.timeout_s, request.parent, request.parent_epoch,
            request.redeliver, bounds.max_bytes,
        )  # fmt: skip
        cell = Cell(kernel, address, word, behaviour, bounds)
        cell.parent = request.parent
        kernel.cells[address] = cell
        if behaviour.blocking:
            cell.more().thread = BlockingThread(cell)
        return cell

    def init(self, cell: Cell, request: StartRequest, sink: Any) -> bool:
        """Build the actor and run `on_start`, in its own greenlet or thread; tell the starter."""
        kernel = self._kernel
        pykka_rule = cell.behaviour.pykka_rule
        obj: Any = None
        try:
            obj = pykka_actor.make(cell, request.actor, request.args, request.kwargs)
            obj.__init__(*request.args, **request.kwargs)
            if cell.object is not obj:
                return False  # killed meanwhile: its time to start was up
            if pykka_rule:
                pykka_actor.register(obj, kernel.home)
        except BaseException as error:
            self._not_started(cell, obj, sink, error)
            return False
        if cell.behaviour.keeps_state:
            cell.more().born = request.args, request.kwargs
        try:
            if request.state is not None or cell.behaviour.snapshots is not None or request.snapshots is not None:
                keep(cell, request)
            self.wait_if_async(obj.on_start())
        except BaseException as error:
            if not pykka_rule or isinstance(error, Ignore) or not isinstance(error, Exception):
                self._not_started(cell, obj, sink, error)
            elif cell.object is obj:
                pykka_actor.failed(cell, obj, error)
                kernel.endings.bury(cell, crashed(error))
                kernel.do(sink.reply, cell.address)
            return False
        if cell.object is not obj:
            return False  # killed meanwhile: its time to start was up
        kernel.table.set_state(cell.word, state_of(IDLE))
        if request.link:
            kernel.do(kernel.signals.link, cell, request.link)
        cell.sink = None
        sink.reply(cell.address)
        return True

    def _not_started(self, cell: Cell, obj: Any, sink: Any, error: BaseException) -> None:
        if cell.object is not obj:
            return  # killed meanwhile, and its starter told
        told: BaseException | None
        reason: ExitReason
        if isinstance(error, Ignore):
            told, reason = None, NORMAL
        elif cell.behaviour.pykka_rule or (cell.behaviour.supervisor and isinstance(error, StartError)):
            told, reason = error, crashed(error)
        else:
            told, reason = StartError(cell.name, f"{type(error).__name__}: {error}"), crashed(error)
            told.__cause__ = error
        self._kernel.do(self._give_up_start, cell, obj, sink, told, reason)

    def _give_up_start(self, cell: Cell, obj: Any, sink: Any, told: BaseException | None, reason: Any) -> None:
        """A restart that failed leaves the husk for the next try; a first start that failed leaves nothing."""
        endings = self._kernel.endings
        if cell.object is not obj:
            return
        if obj is not None and cell.behaviour.pykka_rule:
            pykka_actor.unregister(self._kernel.runtime.ref(cell.address), self._kernel.home)
        cell.object = None
        cell.sink = None
        endings.part(cell, reason)
        if told is not None and cell.parent and cell.incarnation:
            endings.hold(cell)
        else:
            endings.finalize(cell, reason)
        if told is None:
            sink.reply(0)
        else:
            sink.fail(told)

    def wait_if_async(self, result: Any) -> Any:
        """Run a coroutine that a hook returned, waiting for it where we are."""
        return result if result.__class__ is not CoroutineType else run_to_end(self._kernel, result)

    # -- handlers that fail or take long ------------------------------------------------------------------------

    def failed(self, cell: Cell, envelope: Any, sink: Any, error: BaseException) -> bool:
        """A handler raised: answer the caller, then decide whether the actor goes on. Return whether it does."""
        kernel = self._kernel
        behaviour = cell.behaviour
        kind = envelope[0]
        if behaviour.blocking and not claim_hand():
            return False  # `kill` has seen to everything
        if error.__class__ is Stashed and put_aside(cell, envelope, sink):
            return True
        if cell.main is not cell:
            cell = reentry.failed(cell)
        if isinstance(error, Interrupted):
            cell.sink = sink
            kernel.endings.kill(cell)
            return False
        if isinstance(error, Killed) or cell.object is None:
            return False  # `kill` has seen to everything
        if kind in (CALL, CAST) and is_bad_call(behaviour, envelope, error):
            bad = BadCall(cell.name, why_bad(envelope, error))
            kernel.handling.settle_hand(cell, failed=True)
            if sink is not None:
                sink.fail(bad)
            else:
                kernel.runtime.dead_letters.add(cell.name, cell.address, str(bad), "bad_call")
            return True
        if isinstance(error, CallError):
            error.delivery = "handled"  # of a call of the handler's own: to this caller it promises nothing
        # Killed from here on, before its caller is answered: whoever asked is told by his own process (settle_lost).
        kernel.handling.settle_hand(cell, failed=True)
        if behaviour.pykka_rule:
            return pykka_actor.handler_raised(cell, sink, error)
        answered = isinstance(error, behaviour.reply_errors)
        if not answered:
            kernel.endings.end_soon(cell, crashed(error), error)
        if sink is not None:
            sink.fail(error)
        if not answered or sink is None:
            kernel.runtime.crashed(cell, describe(envelope), error)
        return answered

    def task_done(self, cell: Cell, task: asyncio.Task[Any], sink: Any, envelope: Any) -> None:
        """An async handler finished: answer, and let the actor take its next message."""
        kernel = self._kernel
        extra = cell.more()
        if extra.task is not task:
            return  # killed meanwhile
        extra.task = None
        if extra.waits:
            handler_over(extra)
        cell.sink = None
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError("the handler's task was cancelled")
        else:
            error = task.exception()
        if error is None:
            cell.handled += 1
            kernel.release_hand(cell)
            if sink is not None:
                sink.reply(task.result())
        elif not self.failed(cell, envelope, sink, error) and not (extra.ending and cell.mailbox):
            return  # buried; what is only ending has its last hook to run
        if cell.main is not cell:
            reentry.done(cell)
            return
        cell.phase = RUNNING
        kernel.settle_phase(cell)

    def activate_indirect(self, cell: Cell, me: Any) -> None:
        """Let the thread of a blocking actor have its turn, or begin with one message of a reentrant one."""
        if not cell.behaviour.blocking:
            reentry.activate(self._kernel, cell, me)
            return
        thread = cell.more().thread
        if thread is None:
            thread = cell.more().thread = BlockingThread(cell)
        cell.phase = PARKED
        thread.activate()

    def set_timer(self, cell: Cell, delay_s: float, message: Any, interval_s: float | None) -> Timer:
        """Plan a message of the actor to itself."""
        timer = self._kernel.timers.add(delay_s, cell, message, interval_s)
        extra = cell.more()
        if extra.timers is None:
            extra.timers = set()
        extra.timers.add(timer)
        return timer

    def fire(self, timer: Timer) -> None:
        """A timer is due: its message goes into the mailbox, whatever its bounds."""
        cell = timer.cell
        if timer.interval_s is None and cell.extra is not None and cell.extra.timers is not None:
            cell.extra.timers.discard(timer)
        if isinstance(timer.message, Chore):
            timer.message.fire(cell)
        else:
            self.inform(cell, timer.message)

    def inform(self, cell: Cell, message: Any) -> None:
        """Put a message into a mailbox that capacity does not bound: Down, Exit, timers."""
        if cell.phase == DEAD or cell.phase == ENDING:
            return
        self._kernel.admission.open_mailbox(cell).append((INFO, message))
        cell.more().unbounded += 1
        self._kernel.ready(cell)

    # -- husks --------------------------------------------------------------------------------------------------

    def make_husk(
        self,
        address: int,
        word: int,
        behaviour: Behaviour,
        bounds: Mailbox,
        parent: int,
        incarnation: int,
        handled: int,
    ) -> Cell:
        """Take over a dead kernel's actor: its place and mailbox wait for the supervisor's verdict."""
        cell = Cell(self._kernel, address, word, behaviour, bounds)
        cell.parent = parent
        cell.incarnation = incarnation
        cell.handled = handled
        self._kernel.cells[address] = cell
        self._kernel.table.set_state(word, state_of(HELD))
        return cell

    # -- books --------------------------------------------------------------------------------------------------

    def say_full(self, cell: Cell, full: bool) -> None:
        """Let senders in other processes see whether the mailbox is at capacity."""
        self._kernel.table.set_full(cell.word, full)

    def count_dead(self, cell: Cell) -> None:
        """Count a dead letter in the node table."""
        if cell.phase != DEAD or cell.word:
            self._kernel.table.count_dead(cell.word)


def behaviour_of(actor: type[Any]) -> Behaviour:
    """Return what the kernel knows of an actor class; worked out once a class."""
    behaviour = actor.__dict__.get("behaviour_cache")
    if behaviour is None:
        behaviour = Behaviour(actor)
        behaviour.public[PULL] = pull
        actor.behaviour_cache = behaviour
    return behaviour


def crashed(error: BaseException) -> Crashed:
    """The exit reason of a handler that raised `error`."""
    return Crashed.by(error)
