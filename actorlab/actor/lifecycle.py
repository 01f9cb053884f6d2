"""Lifecycle: how an actor of a kernel starts, what its handlers' failures mean, and its timers.

Edge (one kernel's thread; hooks run in the actor's own greenlet or thread); used by the kernel and the node. Starting
is a handshake: whoever starts an actor is told when `__init__` and `on_start` are done, or why not. An exception of a
handler always reaches a caller; what it does to the actor is the class's choice.
"""

from __future__ import annotations

import asyncio
import traceback
from _thread import get_ident
from dataclasses import dataclass, field
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied, BadCall, CallTimeout, InitTimeout, StartError
from ..message import KILLED, NOPROC, NORMAL, Crashed, Ignore
from . import pykka_actor
from .admission import describe
from .behaviour import Behaviour
from .cell import DEAD, ENDING, HELD, IDLE, NO_MAIL, PARKED, RUNNING, Cell, state_of
from .envelope import CALL, CAST, INFO, INIT
from .future import Future
from .mailbox import DEFAULT_MAILBOX, Mailbox
from .threads import BlockingThread
from .waiting import lend

if TYPE_CHECKING:
    from .scheduler import Kernel
    from .timers import Timer


@dataclass(frozen=True, slots=True)
class StartRequest:
    """All a kernel needs to start an actor. `address` is set for a restart in the same place."""

    actor: type[Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    mailbox: Mailbox = DEFAULT_MAILBOX
    parent: int = 0
    init_timeout_s: float | None = 5.0
    redeliver: int = 0
    address: int = 0
    link: int = 0


class KernelJob:
    """The class that work of the kernel's own shows in the books."""


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
        kernel = self._kernel
        cell = self._prepare(request)
        if request.name is not None:
            try:
                kernel.runtime.register(request.name, cell.address)
            except BaseException:
                self._kernel.endings.finalize(cell, NOPROC)
                raise
            cell.more().name = request.name
        try:
            lend(kernel, cell, (INIT, request), request.init_timeout_s)
        except CallTimeout:
            self._kernel.endings.kill(cell, KILLED)
            raise InitTimeout(cell.name, f"not ready within {request.init_timeout_s:g} s; it was killed") from None
        return 0 if cell.phase == DEAD else cell.address

    def _prepare(self, request: StartRequest) -> Cell:
        kernel = self._kernel
        if request.address:
            husk = kernel.cells.get(request.address)
            if husk is not None and husk.phase == HELD:
                husk.incarnation += 1
                self.restarts += 1
                kernel.table.set_incarnation(husk.word, husk.incarnation)
                husk.parent = request.parent
                husk.bounds = request.mailbox
                husk.behaviour = behaviour_of(request.actor)
                husk.brake = 0 if husk.mailbox is NO_MAIL else min(64, husk.bounds.capacity)
                return husk
            raise StartError(request.actor.__name__, f"its place {request.address:#x} is gone")
        behaviour = behaviour_of(request.actor)
        bounds = request.mailbox
        address, word = kernel.table.open_slot(
            behaviour.path, bounds.capacity, bounds.overflow, bounds.timeout_s, request.parent, request.redeliver
        )
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
        try:
            obj = pykka_actor.build(cell, request.actor, request.args, request.kwargs)
        except BaseException as error:
            self._not_started(cell, sink, error)
            return False
        if pykka_rule:
            pykka_actor.register(obj, kernel.home)
            try:
                self.wait_if_async(obj.on_start())
            except BaseException as error:
                if not isinstance(error, Exception):
                    self._not_started(cell, sink, error)
                    return False
                pykka_actor.failed(obj, error)
                self._kernel.endings.bury(cell, crashed(error))
                sink.reply(cell.address)
                return False
        else:
            try:
                self.wait_if_async(obj.on_start())
            except BaseException as error:
                self._not_started(cell, sink, error)
                return False
        kernel.table.set_state(cell.word, state_of(IDLE))
        if request.link:
            self._kernel.signals.link(cell, request.link)
        sink.reply(cell.address)
        return True

    def _not_started(self, cell: Cell, sink: Any, error: BaseException) -> None:
        pykka_rule = cell.behaviour.pykka_rule
        cell.object = None
        if isinstance(error, Ignore):
            self._kernel.do(self._kernel.endings.finalize, cell, NORMAL)
            self._kernel.do(sink.reply, 0)
            return
        self._kernel.do(self._held_or_gone, cell, crashed(error))
        if pykka_rule:
            told = error
        else:
            told = StartError(cell.name, f"{type(error).__name__}: {error}")
            told.__cause__ = error
        self._kernel.do(sink.fail, told)

    def _held_or_gone(self, cell: Cell, reason: Any) -> None:
        """A restart that failed leaves the husk for the next try; a first start that failed leaves nothing."""
        if cell.parent and cell.incarnation:
            cell.phase = HELD
        else:
            self._kernel.endings.finalize(cell, reason)

    def wait_if_async(self, result: Any) -> Any:
        """Run a coroutine that a hook returned, waiting for it where we are."""
        if result.__class__ is not CoroutineType:
            return result
        kernel = self._kernel
        if get_ident() != kernel.ident:
            return asyncio.run_coroutine_threadsafe(result, kernel.hub.loop).result()
        done: Future[Any] = Future("an async hook")
        task = kernel.hub.loop.create_task(result)

        def settle(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                done.fail(asyncio.CancelledError())
            elif task.exception() is not None:
                done.fail(task.exception())  # type: ignore[arg-type]
            else:
                done.reply(task.result())

        task.add_done_callback(settle)
        return done.get()

    # -- handlers that fail or take long ------------------------------------------------------------------------

    def failed(self, cell: Cell, envelope: Any, sink: Any, error: BaseException) -> bool:
        """A handler raised: answer the caller, then decide whether the actor goes on. Return whether it does."""
        kernel = self._kernel
        behaviour = cell.behaviour
        kind = envelope[0]
        extra = cell.extra
        if extra is not None and extra.ending and not isinstance(error, Exception):
            # thrown out of its handler by `kill`
            kernel.release_hand(cell)
            if sink is not None:
                sink.fail(ActorDied(cell.name, str(extra.reason), "unknown"))
            if cell.phase not in (ENDING, DEAD):
                self._kernel.do(self._kernel.endings.bury, cell, extra.reason)
            return False
        if kind in (CALL, CAST) and _is_bad_call(behaviour, envelope, error):
            bad = BadCall(cell.name, _why_bad(envelope, error))
            kernel.table.count_failed(cell.word)
            kernel.release_hand(cell)
            if sink is not None:
                sink.fail(bad)
            else:
                kernel.runtime.dead_letters.add(cell.name, cell.address, str(bad), "bad_call")
            return True
        kernel.table.count_failed(cell.word)
        kernel.release_hand(cell)
        if behaviour.pykka_rule:
            return pykka_actor.handler_raised(cell, sink, error)
        if sink is not None:
            sink.fail(error)
        if isinstance(error, behaviour.reply_errors):
            if sink is None:
                kernel.runtime.crashed(cell, describe(envelope), error)
            return True
        kernel.runtime.crashed(cell, describe(envelope), error)
        self._kernel.endings.end_soon(cell, crashed(error), error)
        return False

    def task_done(self, cell: Cell, task: asyncio.Task[Any], sink: Any, envelope: Any) -> None:
        """An async handler finished: answer, and let the actor take its next message."""
        kernel = self._kernel
        extra = cell.more()
        extra.task = None
        cell.sink = None
        if cell.phase == DEAD:
            return
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError("the handler's task was cancelled")
        else:
            error = task.exception()
        if error is None:
            cell.handled += 1
            kernel.release_hand(cell)
            if sink is not None:
                sink.reply(task.result())
        elif not self.failed(cell, envelope, sink, error):
            return
        cell.phase = RUNNING
        kernel.settle_phase(cell)

    def activate_blocking(self, cell: Cell) -> None:
        """Let the thread of a blocking actor have its turn."""
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
        self.inform(cell, timer.message)

    def inform(self, cell: Cell, message: Any) -> None:
        """Put a message into a mailbox that capacity does not bound: Down, Exit, timers."""
        if cell.phase == DEAD or cell.phase == ENDING:
            return
        self._kernel.admission.open_mailbox(cell).append((INFO, message))
        self._kernel.ready(cell)

    # -- ending -------------------------------------------------------------------------------------------------

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

    # -- links, monitors, signals ---------------------------------------------------------------------------------

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
        actor.behaviour_cache = behaviour
    return behaviour


def crashed(error: BaseException) -> Crashed:
    """The exit reason of a handler that raised `error`."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = f"{type(error).__name__} (whose str fails)"
    return Crashed(text, "".join(traceback.format_exception(error)))


def _is_bad_call(behaviour: Behaviour, envelope: Any, error: BaseException) -> bool:
    if envelope[1] not in behaviour.public:
        return True
    # raised in the frame that calls the handler, not in the handler: the arguments do not fit it
    return isinstance(error, TypeError) and error.__traceback__ is not None and error.__traceback__.tb_next is None


def _why_bad(envelope: Any, error: BaseException) -> str:
    return str(error) if isinstance(error, TypeError) else f"no public method {envelope[1]!r}"
