"""Actor and ProcessActor: what users subclass. Genuine `pykka.Actor`s, bound to their cell by `__new__`.

Edge (they act through their kernel); the public face of the actor floor. `al.Actor` has OTP's rule (an unhandled
exception ends the actor, its supervisor decides), `al.ProcessActor` Pykka's (an `ask` error is an answer). Users need
not call `super().__init__()`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import pykka

from ..errors import ActorDied, NodeGone
from ..message import NORMAL
from . import current, pykka_actor
from .behaviour import check_class
from .cell import DEAD, ENDING, Cell, first_look
from .future import Future
from .idle import receive_timeout_of, set_receive_timeout
from .keeping import Snapshots, save_now
from .mailbox import DEFAULT_MAILBOX, Mailbox
from .placement import Placement
from .ref import ActorRef, Inbox
from .start_request import StartRequest
from .stash import stash, unstash
from .timers import Timer
from .waiting import Killed
from .work import continue_with

T = TypeVar("T")
B = TypeVar("B", bound="Actor")


class Actor(pykka.Actor):
    """An actor with OTP's rule.

    Class attributes say how it is run: `blocking` (its handlers block: it gets a thread of its own), `reply_errors`
    (exceptions that are answers, not crashes), `on_restart` (`"keep"` its queue over a crash, Akka's rule, or
    `"drop"` it, OTP's), `redeliver` (how often a message that was in hand when the worker died is tried again),
    `reentrant` (it takes its next message while a handler waits), `stash_capacity` (how many messages it may put
    aside), `snapshots` (when and where its state is kept), `priorities` (of methods, by name, and of messages, by
    class: larger numbers first, 0 unless told).
    """

    is_base: ClassVar[bool] = True
    pykka_rule: ClassVar[bool] = False
    blocking: ClassVar[bool] = False
    reply_errors: ClassVar[tuple[type[BaseException], ...]] = ()
    on_restart: ClassVar[str] = "keep"
    redeliver: ClassVar[int] = 0
    reentrant: ClassVar[bool] = False
    snapshots: ClassVar[Snapshots | None] = None
    stash_capacity: ClassVar[int] = 0
    priorities: ClassVar[Mapping[str | type, int]] = {}

    _actorlab_cell: Cell | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("is_base"):
            check_class(cls)

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        obj = super().__new__(cls)
        cell = pykka_actor.take_cell()
        if cell is not None:
            obj._actorlab_cell = cell
        return obj

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:
        """Start one in the current node, or in an embedded one in this process; return when it is ready, or raise."""
        runtime = current.runtime_here()
        if runtime is None:
            runtime = current.make_embedded()
        ref: ActorRef[Self] = runtime.start_default(cls, args, kwargs)
        return ref

    # -- who am I -----------------------------------------------------------------------------------------------

    def _mine(self) -> Cell:
        """Return its cell. Raises RuntimeError for an object that nobody started."""
        cell = self._actorlab_cell
        if cell is None:
            name = type(self).__name__
            raise RuntimeError(f"{name} was constructed, not started: use {name}.start(…)")
        return cell

    @property
    def ref(self) -> ActorRef[Self]:
        """This actor's reference."""
        cell = self._mine()
        return cell.kernel.runtime.ref_at(cell.address, cell.behaviour.path)

    @property
    def node(self) -> Any:
        """The node, as seen from here: spawn, whereis, register."""
        return self._mine().kernel.runtime.node

    @property
    def exit_reason(self) -> Any:
        """Why this actor ends: for `on_stop` and `on_failure`."""
        extra = self._mine().extra
        return extra.reason if extra is not None else None

    @property
    def trap_exit(self) -> bool:
        """Whether exit signals from linked actors come as `Exit` messages instead of ending this one."""
        extra = self._mine().extra
        return extra is not None and extra.trap_exit

    @trap_exit.setter
    def trap_exit(self, value: bool) -> None:
        self._mine().more().trap_exit = value

    # -- what an actor does to others ---------------------------------------------------------------------------

    def spawn(
        self,
        actor: type[B],
        *args: Any,
        name: str | None = None,
        mailbox: Mailbox = DEFAULT_MAILBOX,
        placement: Placement | None = None,
        link: bool = False,
        init_timeout_s: float | None = 5.0,
        **kwargs: Any,
    ) -> ActorRef[B]:
        """Start an actor, by default in this one's own worker; return when it is ready, or raise StartError."""
        cell = self._mine()
        request = StartRequest(
            actor, args, kwargs, name, mailbox, 0, init_timeout_s, actor.redeliver, 0, cell.address if link else 0
        )
        ref: ActorRef[B] = cell.kernel.runtime.start_from(cell, request, placement)
        return ref

    def link(self, ref: ActorRef[Any]) -> None:
        """Link with another actor: when one ends other than normally, the other is sent an exit signal."""
        _in_kernel(self, self._mine().kernel.signals.link, ref.address)

    def unlink(self, ref: ActorRef[Any]) -> None:
        """Take a link back."""
        _in_kernel(self, self._mine().kernel.signals.unlink, ref.address)

    def monitor(self, ref: ActorRef[Any]) -> int:
        """Watch another actor: one `Down` comes when this incarnation of it ends, at once if it is gone (P7)."""
        return _in_kernel(self, self._mine().kernel.signals.monitor, ref.address)

    def demonitor(self, monitor: int) -> None:
        """Stop watching."""
        _in_kernel(self, self._mine().kernel.signals.demonitor, monitor)

    def exit(self, ref: ActorRef[Any], reason: Any = "shutdown") -> None:
        """Send an exit signal to an actor; `"kill"` cannot be trapped; only oneself heeds `"normal"`, as in OTP."""
        cell = self._mine()
        cell.kernel.runtime.signal(ref.address, ("exit", ref.address, cell.address, reason, "exit"))
        if cell.object is not self and current.kernel_here() is cell.kernel:
            raise Killed  # itself: it ends here and now

    def stop(self, reason: Any = NORMAL) -> None:
        """End this actor after the handler that runs now; messages that wait are left for the next incarnation."""
        _in_kernel(self, self._mine().kernel.endings.end_soon, reason)

    # -- timers -------------------------------------------------------------------------------------------------

    def send_after(self, delay_s: float, message: Any) -> Timer:
        """Send this actor `message` in `delay_s` seconds, unless this incarnation ends before."""
        return _in_kernel(self, self._mine().kernel.lifecycle.set_timer, delay_s, message, None)

    def send_interval(self, interval_s: float, message: Any) -> Timer:
        """Send this actor `message` every `interval_s` seconds until cancelled or this incarnation ends."""
        return _in_kernel(self, self._mine().kernel.lifecycle.set_timer, interval_s, message, interval_s)

    def cancel(self, timer: Timer) -> bool:
        """Cancel a timer; return whether its message was still to come."""
        live, timer.live = timer.live, False
        extra = self._mine().extra
        if extra is not None and extra.timers is not None:
            extra.timers.discard(timer)
        return live

    # -- between two messages -----------------------------------------------------------------------------------

    def continue_with(self, term: Any) -> None:
        """Have `handle_continue(term)` called after this handler (or `__init__`, `on_start`), before any message."""
        _act(self, self._mine(), continue_with, (term,))

    def handle_continue(self, term: Any) -> Any:
        """Do what `continue_with` left for now: a hook, plain or async. An exception is a handler's."""
        raise NotImplementedError(f"{type(self).__name__} says continue_with({term!r}): define handle_continue(term)")

    def save_snapshot(self) -> None:
        """Keep this actor's state as it is now. Raises RuntimeError where its class does not say `snapshots`."""
        _act(self, self._mine(), save_now, ())

    def stash(self) -> NoReturn:
        """Put the message in hand aside and end its handler: it waits until `unstash`. Raises StashFull."""
        stash(current.cell_here() or self._mine())

    def unstash(self) -> int:
        """Put all that is aside back before the messages that wait, in order; return how many."""
        return _act(self, self._mine(), unstash, ())

    @property
    def receive_timeout(self) -> float | None:
        """After how many idle seconds a `Timeout` comes to `on_receive`, again and again; None: never."""
        return receive_timeout_of(self._mine())

    @receive_timeout.setter
    def receive_timeout(self, after_s: float | None) -> None:
        _in_kernel(self, set_receive_timeout, after_s)

    # -- Pykka's view -------------------------------------------------------------------------------------------

    @property
    def actor_ref(self) -> ActorRef[Self]:
        """Pykka's name for `ref`."""
        return self.ref

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """Pykka's name for the actor: a URN."""
        cell = self._actorlab_cell
        if cell is not None:
            return cell.kernel.runtime.urn_of(cell.address)
        urn: str = self.__dict__.setdefault("_urn", current.new_urn())
        return urn

    @property
    def actor_inbox(self) -> Any:  # type: ignore[override]
        """Pykka's inbox."""
        return Inbox(self.ref)

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]
        """Set when the actor has stopped."""
        cell = self._mine()
        extra = cell.more()
        stopped = extra.stopped
        if stopped is None:
            made = threading.Event()
            with first_look:
                stopped = extra.stopped = extra.stopped or made
            if cell.phase in (DEAD, ENDING):
                stopped.set()
        return stopped

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise TypeError("an actorlab actor's inbox is its kernel's: start it with start() or spawn()")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        raise TypeError("an actorlab actor is run by its kernel: start it with start() or spawn()")


class ProcessActor(Actor):
    """An actor with Pykka's rule, and a thread of its own, because Pykka programs block.

    An exception in answer to an `ask` (or proxy call) goes to the caller and the actor lives on; after a `tell` it
    runs `on_failure` and stops. Set `blocking = False` where handlers never block.
    """

    is_base: ClassVar[bool] = True
    pykka_rule: ClassVar[bool] = True
    blocking: ClassVar[bool] = True

    def stop(self, reason: Any = NORMAL) -> None:
        """Stop when the messages that are queued now are done."""
        _in_kernel(self, self._mine().kernel.endings.stop_cell, reason)


def _in_kernel(actor: Actor, function: Callable[..., T], *args: Any) -> T:
    """Call `function(its cell, *args)` in the kernel's thread: at once, or from a blocking actor's thread by asking.

    Raises ActorDied in what is left of an incarnation that was killed: its place may be another's by now.
    """
    cell = actor._mine()
    kernel = cell.kernel
    if current.kernel_here() is kernel:
        return _act(actor, cell, function, args)
    if kernel.runtime.closed:
        raise NodeGone(cell.name, kernel.runtime.node_id)  # in a forked child: nobody would answer
    done: Future[T] = Future("the kernel")

    def do() -> None:
        try:
            done.reply(_act(actor, cell, function, args))
        except BaseException as error:
            done.fail(error)

    kernel.post(do)
    return done.get()


def _act(actor: Actor, cell: Cell, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    if cell.object is not actor:
        raise ActorDied(cell.name, "this incarnation of it has ended", "never")
    return function(cell, *args)
