"""ActorRef: how everybody else holds an actor; an address with manners. A genuine `pykka.ActorRef`.

Edge (sends); what users hold, keep in state and put into messages. The two fast paths, to an actor of the same kernel
from one of its handlers, are here; everything else goes the long way through `outbound`. A reference stays good
across its actor's restarts (P8) and never reaches a stranger: the address carries the slot's generation.
"""

from __future__ import annotations

import threading
from _thread import get_ident
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import pykka

from ..ids import home_of, show
from . import current, outbound
from .cell import IDLE, READY
from .current import here, kernels
from .envelope import CAST, TELL
from .future import Future
from .gone import GoneRuntime
from .proxy import Shell
from .pykka_messages import ActorStop
from .remote_call import call_from_outside, call_out
from .stream import Streams
from .system import System
from .waiting import call as local_call

if TYPE_CHECKING:
    from .cell import Cell
    from .runtime import Runtime

A = TypeVar("A", bound=pykka.Actor)
A_co = TypeVar("A_co", covariant=True)


class ActorRef(pykka.ActorRef[A]):
    """A reference to an actor, in this process or another. Cheap to copy, to compare and to send."""

    address: int
    path: str
    """The actor's class as `module:qualname`."""
    shortcut: Callable[..., bool] | None = None
    """The short way to an actor of another process, once it is known: kind, body, sink → whether it was sent."""

    if TYPE_CHECKING:
        call: A
        """`ref.call.method(…)`: send and wait for the answer, 5 s at most (`within` for another deadline)."""
        cast: A
        """`ref.cast.method(…)`: send, no answer."""
        system: System
        """`ref.system.get_state()` and its like: looking into it, and holding it up."""
        stream: A
        """`ref.stream.method(…)`: the items that a generator of the actor yields, in order, as a Stream."""
        request: Request[A]
        """`ref.request.method(…)` or `ref.request(Class.method, …)`: send; the answer is a Future."""

    def __init__(self, runtime: Runtime, address: int, path: str, cell: Cell | None = None) -> None:
        self.runtime = runtime
        self.address = address
        self.path = path
        self.cell = cell

    # -- who ------------------------------------------------------------------------------------------------

    @property
    def home(self) -> int:
        """The kernel that hosts it: 0 the controller, a worker's number, or 255 for the user's own process."""
        return home_of(self.address)

    @property
    def label(self) -> str:
        """Class and address, as people read them."""
        cell = self.cell
        if cell is not None and cell.behaviour.pykka_rule:
            return str(self)
        return f"{self.path.rpartition('.')[2].rpartition(':')[2]} <{show(self.address)}>"

    def __repr__(self) -> str:
        return f"<ActorRef for {self}>"

    def __str__(self) -> str:
        return f"{self.path.rpartition('.')[2].rpartition(':')[2]} ({self.actor_urn})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ActorRef)
            and other.address == self.address
            and other.runtime.node_id == self.runtime.node_id
        )

    def __hash__(self) -> int:
        return hash(self.address)

    def __reduce__(self) -> tuple[Any, ...]:
        return revive, (self.runtime.node_id, self.address, self.path)

    @property
    def name(self) -> str | None:
        """Its registered name, where this process can know it without asking."""
        return self.runtime.name_of(self.address)

    @property
    def incarnation(self) -> int:
        """How many times its supervisor has restarted it."""
        return self.runtime.incarnation_of(self.address)

    def is_alive(self) -> bool:
        """Whether an incarnation lives or will come."""
        return self.runtime.is_alive(self.address)

    def statistics(self) -> Any:
        """Read its books from the node table: state, depth, handled, failed, dead-lettered. Asks nobody."""
        return self.runtime.statistics_of(self.address)

    def load(self) -> int:
        """How many messages it has to do, as far as the node table says: those that wait, and one in hand."""
        load: int = self.runtime.table(self.home).load_reader(self.address)()
        return load

    # -- actorlab's spelling ----------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # `call`, `cast` and `request` are built when first used and then found by ordinary look-up
        if name == "call":
            facade: Any = Call(self, self.runtime.call_timeout_s)
        elif name == "cast":
            facade = Cast(self)
        elif name == "stream":
            facade = Streams(self, self.runtime.call_timeout_s)
        elif name == "system":
            facade = System(self, self.runtime.call_timeout_s)
        elif name == "request":
            facade = Request(self)
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__[name] = facade
        return facade

    def within(self, timeout_s: float | None) -> Within[A]:
        """Return this reference with another deadline for `call`: `ref.within(1.0).call.add(2)`; None: no deadline."""
        return Within(self, timeout_s)

    def tell(self, message: Any) -> None:
        """Send a message; no answer. Raises ActorDied, MailboxFull or NotSendable: then nothing was sent (P3)."""
        cell = self.cell
        if cell is not None and get_ident() == cell.ident:
            mailbox = cell.mailbox
            if len(mailbox) < cell.brake and message.__class__ is not ActorStop:
                mailbox.append((TELL, message))
                if cell.phase == IDLE:
                    cell.phase = READY
                    cell.kernel.runq.append(cell)
                return
        elif self.shortcut is not None and message.__class__ is not ActorStop and self.shortcut(TELL, message):
            return
        outbound.tell(self, message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message and return what `on_receive` returns, waiting `timeout` seconds (None: without end).

        With `block=False` return a Future at once.
        """
        future = outbound.ask(self, message, waits=block)
        return outbound.answer_of(self, future, timeout, timeout) if block else future

    async def send(self, message: Any) -> None:
        """`tell` for async handlers: waits for room without blocking the loop."""
        await outbound.send_async(self, message)

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Stop the actor when the messages before this one are done. Return True, or False if it was dead already.

        Supervised actors stop for good: the exit is `normal`, which only a permanent child survives.
        """
        asked = outbound.stop(self)
        answer: Future[bool] = Future(f"the stop of {self.label}")

        def settled() -> None:
            state, outcome = asked.outcome()
            if state == 2 and not isinstance(outcome, pykka.ActorDeadError):
                answer.fail(outcome)
            else:
                answer.reply(state == 1)

        asked.on_settled(settled)
        return answer.get(timeout=timeout) if block else answer

    def exit(self, reason: Any = "shutdown") -> None:
        """Send an exit signal: `"kill"` cannot be trapped; `"normal"` is ignored, as in OTP (use `stop`).

        Any other reason ends an actor that does not trap exits, and is an `Exit` message to one that does.
        """
        self.runtime.signal(self.address, ("exit", self.address, 0, reason, "exit"))

    def proxy(self) -> Any:
        """Return a Pykka proxy. Calls give futures; attributes can be read and set.

        Asks an actor of another process for its attributes (a round trip). Raises ActorDeadError if it is gone.
        """
        return pykka.ActorProxy(actor_ref=self)

    def monitor(self) -> int:
        """Watch it from the current handler's actor: a `Down` comes when this incarnation ends."""
        number: int = _own_actor("monitor").monitor(self)
        return number

    def link(self) -> None:
        """Link it with the current handler's actor: when one ends other than normally, so does the other."""
        _own_actor("link").link(self)

    # -- Pykka's view -----------------------------------------------------------------------------------------

    @property
    def actor_class(self) -> type[A]:  # type: ignore[override]
        """The actor's class, imported if need be."""
        cell = self._cell_here()
        return cast("type[A]", cell.behaviour.cls if cell is not None else self.runtime.class_of(self.path))

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """Pykka's name for it: a URN, stable for the actor's life."""
        return self.runtime.urn_of(self.address)

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]
        """Something with `is_set()` and `wait(timeout)`."""
        stopped: threading.Event = self.runtime.stopped_event(self)
        return stopped

    @property
    def actor_inbox(self) -> Any:  # type: ignore[override]
        """Pykka's inbox: `put(envelope)` sends."""
        return Inbox(self)

    def _actor_weakref(self) -> Any:  # type: ignore[override]
        cell = self._cell_here()
        if cell is not None and cell.object is not None:
            return cell.object
        return Shell(self) if self.is_alive() else None

    def _cell_here(self) -> Cell | None:
        if self.cell is not None:
            return self.cell
        kernel = self.runtime.kernels.get(self.address >> 56)
        return kernel.cells.get(self.address) if kernel is not None else None


class Inbox:
    """What Pykka's own code may use as an actor's inbox."""

    __slots__ = ("_ref",)

    def __init__(self, ref: ActorRef[Any]) -> None:
        self._ref = ref

    def put(self, envelope: Any) -> None:
        """Send Pykka's envelope, binding its future to the answer."""
        if envelope.reply_to is None:
            self._ref.tell(envelope.message)
            return
        answer, reply_to = outbound.ask(self._ref, envelope.message, waits=False), envelope.reply_to

        def settled() -> None:
            state, outcome = answer.outcome()
            if state == 1:
                reply_to.set(outcome)
            else:
                reply_to.set_exception((type(outcome), outcome, outcome.__traceback__))

        answer.on_settled(settled)


class Call:
    """`ref.call`: methods that send and wait. Each is built once and then found by ordinary look-up."""

    _ref: ActorRef[Any]
    _timeout_s: float | None

    def __init__(self, ref: ActorRef[Any], timeout_s: float | None) -> None:
        self.__dict__["_ref"] = ref
        self.__dict__["_timeout_s"] = timeout_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        _public(self._ref, name)
        ref, timeout_s = self._ref, self._timeout_s

        def call(*args: Any, **kwargs: Any) -> Any:
            cell = ref.cell
            if cell is not None and get_ident() == cell.ident:
                return local_call(cell.kernel, cell, name, args, kwargs, timeout_s)
            if ref.shortcut is not None:
                kernel = kernels.get(get_ident())
                if kernel is not None:
                    return call_out(kernel, ref, name, args, kwargs, timeout_s)
                if here.cell is None:
                    return call_from_outside(ref, name, args, kwargs, timeout_s)
            return outbound.call(ref, name, args, kwargs, timeout_s)

        self.__dict__[name] = call
        return call


class Cast:
    """`ref.cast`: methods that send and do not wait."""

    _ref: ActorRef[Any]

    def __init__(self, ref: ActorRef[Any]) -> None:
        self.__dict__["_ref"] = ref

    def __getattr__(self, name: str) -> Callable[..., None]:
        _public(self._ref, name)
        ref = self._ref

        def send(*args: Any, **kwargs: Any) -> None:
            cell = ref.cell
            if cell is not None and get_ident() == cell.ident:
                mailbox = cell.mailbox
                if len(mailbox) < cell.brake:
                    mailbox.append((CAST, name, args, kwargs))
                    if cell.phase == IDLE:
                        cell.phase = READY
                        cell.kernel.runq.append(cell)
                    return
            elif ref.shortcut is not None and ref.shortcut(CAST, (name, args, kwargs)):
                return
            outbound.cast(ref, name, args, kwargs)

        self.__dict__[name] = send
        return send


class Request(Generic[A_co]):
    """`ref.request`: methods that send and return a Future; or `ref.request(Class.method, …)`, typed."""

    _ref: ActorRef[Any]

    def __init__(self, ref: ActorRef[Any]) -> None:
        self.__dict__["_ref"] = ref

    def __call__(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        return outbound.request(self._ref, method.__name__, args, kwargs)

    def __getattr__(self, name: str) -> Callable[..., Future[Any]]:
        _public(self._ref, name)
        ref = self._ref

        def send(*args: Any, **kwargs: Any) -> Future[Any]:
            return outbound.request(ref, name, args, kwargs)

        self.__dict__[name] = send
        return send


class Within(Generic[A]):
    """A reference with another deadline: of a call, or of each item of a stream."""

    __slots__ = ("call",)

    def __init__(self, ref: ActorRef[A], timeout_s: float | None) -> None:
        self.call: A = cast("A", Call(ref, timeout_s))

    @property
    def stream(self) -> A:
        """`ref.within(30).stream.method(…)`: the deadline is each item's."""
        call = cast("Call", self.call)
        return cast("A", Streams(call._ref, call._timeout_s))


def _public(ref: ActorRef[Any], name: str) -> None:
    if name.startswith("_"):
        raise AttributeError(f"{name!r} is private: public methods can be called")


def _own_actor(what: str) -> Any:
    cell = current.cell_here()
    if cell is None or cell.object is None:
        raise RuntimeError(f"ref.{what}() is for handlers: outside, use node.monitor(ref)")
    return cell.object


def revive(node_id: str, address: int, path: str) -> ActorRef[Any]:
    """Rebuild a reference that came by message. One of a node that is not here can be held, not used."""
    runtime = current.runtime_of(node_id)
    if runtime is None:
        return ActorRef(GoneRuntime(node_id), address, path)
    ref: ActorRef[Any] = runtime.ref_at(address, path)
    return ref
