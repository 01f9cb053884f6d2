"""ProcessRuntime: one process's part of a node, as its actors see it.

Edge (kernels, lanes and tables of this process); the same class in the user's process and in every worker. It fulfils
the actor floor's `Runtime`: where an address lives, how to reach it, what its books say. An embedded node is a
runtime without lanes.
"""

from __future__ import annotations

import importlib
import logging
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..actor import (
    CONTROL,
    DEAD,
    ENDING,
    SIGNAL,
    ActorRef,
    Cell,
    DeadLetters,
    Future,
    Kernel,
    StartRequest,
    kernel_here,
    runtimes,
)
from ..errors import MessageTooLarge, NotSendable, SharedMemoryError, StartError, WorkerLost
from ..ids import CONTROLLER_HOME, LOCAL_HOME, process_of, show
from ..message import Crashed, WorkerDied
from ..transport import (
    Board,
    Outlet,
)
from .answers import Order, OrderTaken, RemoteAsk, copied_envelope
from .books import Books
from .crash_report import crash_report
from .facade import NodeFacade
from .giving_up import give_up, give_up_when_dropped
from .holding import know_actors
from .inlet import Inlet
from .letters import LetterCarrier
from .options import NodeOptions
from .sending import Sending
from .signs import Signs
from .stopped import RemoteStopped
from .tenure import take_name
from .unanswered import settle_lost

log = logging.getLogger("actorlab")


class ProcessRuntime:
    """This process's part of a node."""

    def __init__(self, node_id: str, process: int, options: NodeOptions, directory: Path | None) -> None:
        self.node_id = node_id
        self.process = process
        self.options = options
        self.directory = directory
        self.strict_messages = options.strict_messages
        self.call_timeout_s = options.call_timeout_s
        self.kernels: dict[int, Kernel] = {}
        self.dead_letters = DeadLetters()
        self.pending: dict[int, Any] = {}
        self.orders: set[int] = set()  # of other processes, that kernels of ours are at: their numbers
        self.operations: dict[str, Callable[..., Any]] = {}
        self.names: Any = None
        self.backend: Any = None  # the registry itself, in the process that owns it
        self.outlet: Outlet | None = None
        self.inlet: Inlet | None = None
        self.board: Board | None = None
        self.letters: LetterCarrier | None = None
        self.spill: Any = None
        self.signs: Signs | None = None
        self.hear: Callable[..., None] | None = None  # in the controller's process: who listens to events
        self.start_local: Callable[[], Kernel] | None = None
        self.own_directory: Callable[[], Path] = _no_directory
        self.on_crash: Callable[[Cell, str, BaseException], None] | None = None
        self.pools: dict[str, Any] = {}
        self.pool_made: Callable[[Path], object] = lambda directory: None
        self.closed = False
        self.late_replies = 0  # answers whose question had been given up
        self.epoch = 1
        self.deaths: dict[int, tuple[WorkerDied, int | None]] = {}  # by process: the last we heard of, and its epoch
        self.abandoned: dict[int, WorkerDied] = {}  # processes that will have no successor
        self._books: dict[int, Books] = {}
        self._classes: dict[str, type[Any]] = {}
        self.sending = Sending(self, process)
        self.send = self.sending.send
        self.send_async = self.sending.send_async
        self.take_back = partial(give_up, self)
        self.loosen = partial(give_up_when_dropped, self)
        self.node = NodeFacade(self)
        runtimes.setdefault(node_id, self)
        know_actors()

    # -- tables, references ---------------------------------------------------------------------------------------

    def table(self, home: int) -> Books:
        """Return the books of `home`: our own to write, another's to read."""
        books = self._books.get(home)
        if books is None:
            if self.directory is None:
                books = Books.anonymous(self.options.max_actors, home)
            else:
                books = Books.open(self.directory, home)
            if self._books.setdefault(home, books) is not books:
                books.close()  # another thread was faster
        return self._books[home]

    def own_table(self, home: int, books: Books) -> None:
        """Use `books` as the table of a kernel of this process."""
        self._books[home] = books

    def ref_at(self, address: int, path: str) -> ActorRef[Any]:
        """Return a reference to an actor whose class is known."""
        kernel = self.kernels.get(address >> 56)
        cell = kernel.cells.get(address) if kernel is not None and not self.strict_messages else None
        return ActorRef(self, address, path, cell)

    def ref(self, address: int) -> ActorRef[Any]:
        """Return a reference to whatever lives at `address`."""
        return self.ref_at(address, self.path_of(address))

    def path_of(self, address: int) -> str:
        """Return the class of the actor at `address`, as `module:qualname`."""
        kernel = self.kernels.get(address >> 56)
        cell = kernel.cells.get(address) if kernel is not None else None
        if cell is not None:
            return cell.behaviour.path
        try:
            books = self.table(address >> 56)
        except OSError:
            return "actor"
        return books.path_at(address) or "actor"

    def label(self, address: int) -> str:
        """Return how the actor at `address` is called in messages to people."""
        return f"{self.path_of(address).rpartition(':')[2]} <{show(address)}>"

    def class_of(self, path: str) -> type[Any]:
        """Import a class by its path."""
        found = self._classes.get(path)
        if found is None:
            module, _, qualname = path.partition(":")
            value: Any = importlib.import_module(module)
            for part in qualname.split("."):
                value = getattr(value, part)
            found = self._classes[path] = value
        return found

    def know_class(self, actor: type[Any]) -> None:
        """Remember a class that may not be importable here (one of `__main__`)."""
        self._classes.setdefault(f"{actor.__module__}:{actor.__qualname__}", actor)

    def urn_of(self, address: int) -> str:
        """Return Pykka's name for an actor: the same in every process, without asking."""
        import xxhash

        return uuid.UUID(bytes=xxhash.xxh3_128_digest(f"{self.node_id}/{address}".encode()), version=4).urn

    def name_of(self, address: int) -> str | None:
        """Return the actor's registered name, if it is an actor of this process."""
        kernel = self.kernels.get(address >> 56)
        cell = kernel.cells.get(address) if kernel is not None else None
        if cell is not None and cell.extra is not None:
            return cell.extra.name
        return None

    def incarnation_of(self, address: int) -> int:
        """Return how often the actor was restarted."""
        view = self.table(address >> 56).read(address)
        return view.incarnation if view is not None else 0

    def is_alive(self, address: int) -> bool:
        """Whether an incarnation lives or will come."""
        if self.closed:
            return False
        kernel = self.kernels.get(address >> 56)
        if kernel is not None:
            cell = kernel.cells.get(address)
            if cell is None or cell.phase in (DEAD, ENDING):
                return False
            return bool(cell.parent) or cell.extra is None or not cell.extra.ending
        try:
            return self.table(address >> 56).is_tenant(address)
        except OSError:
            return False

    def statistics_of(self, address: int) -> Any:
        """Return an actor's books from the node table."""
        return self.table(address >> 56).statistics(address)

    def stopped_event(self, ref: ActorRef[Any]) -> Any:
        """Return Pykka's view of an actor's end."""
        kernel = self.kernels.get(ref.address >> 56)
        cell = ref.cell if ref.cell is not None else (kernel.cells.get(ref.address) if kernel else None)
        if cell is not None and cell.object is not None:
            return cell.object.actor_stopped
        if cell is not None and cell.extra is not None and cell.extra.stopped is not None:
            return cell.extra.stopped
        return RemoteStopped(self, ref)

    def forget(self, question: Any) -> None:
        """Nobody waits for this answer any more: it is counted when it comes, and dropped (P6)."""
        self.pending.pop(question.corr, None)

    # -- signals and control ----------------------------------------------------------------------------------------

    def signal(self, address: int, signal: tuple[Any, ...]) -> None:
        """Send a signal to the kernel of `address`; never waits, never fails."""
        home = address >> 56
        if home in self.kernels:
            self.signal_here(address, signal)
            return
        if self.outlet is None or self.closed:
            return
        try:
            self.sending.post_body(process_of(home), address, self.sending.unnumbered, SIGNAL, signal, "a signal")
        except NotSendable:
            plain = tuple(item if isinstance(item, (int, str, Crashed)) else repr(item) for item in signal)
            self.sending.post_body(process_of(home), address, self.sending.unnumbered, SIGNAL, plain, "a signal")
        except (MessageTooLarge, SharedMemoryError) as error:
            log.error("a signal to %s is lost: %s", show(address), error)

    def signal_here(self, address: int, signal: tuple[Any, ...], at_once: bool = True) -> None:
        """Hand a signal to a kernel of this process; `at_once`: if this is its thread, else behind what it was told."""
        kernel = self.kernels.get(address >> 56)
        if kernel is None:
            return
        if at_once and kernel_here() is kernel:
            kernel.signals.signal(signal)
        else:
            kernel.post(kernel.signals.signal, signal)

    def happened(self, kind: str, text: str, fields: dict[str, Any]) -> None:
        """Tell the controller's listeners what happened."""
        if self.hear is not None:
            self.hear(kind, text, fields)
        else:
            self.tell_kernel(CONTROLLER_HOME, "event", kind, text, fields)

    def report(
        self, level: int, kind: str, text: str, fields: dict[str, Any], error: BaseException | None = None
    ) -> None:
        """Say what happened in the user's log, with the traceback of `error`, and tell the controller's listeners."""
        log.log(level, "%s", text, exc_info=error, extra={"event": kind})
        self.happened(kind, text, fields)

    def control(self, home: int, operation: str, *args: Any) -> Future[Any]:
        """Ask the kernel of `home` to do something; the answer is a future."""
        future: Future[Any] = Order(f"{operation} in worker {home}")
        if home == LOCAL_HOME and home not in self.kernels and self.start_local is not None:
            self.start_local()
        kernel = self.kernels.get(home)
        if kernel is not None:
            run = self.operations[operation]
            kernel.post(kernel.submit, lambda: run(kernel, *args), future)
            return future
        process = process_of(home)
        if process in self.abandoned:
            future.fail(WorkerLost(future.what, str(self.abandoned[process])))
            return future
        death = self.deaths.get(process)
        corr = future.corr = self.sending.number()
        self.pending[corr] = future
        try:
            self.sending.post_body(process, home << 56, corr, CONTROL, (operation, args), operation)
        except BaseException as error:
            self.pending.pop(corr, None)
            future.fail(error)
        self.asked(future, process, death)
        return future

    def asked(self, sink: Any, process: int, death: object) -> None:
        """Note of whom a question was asked: once it is in the lane, for what is not there is not lost with him.

        `death` is `deaths[process]` as it was before the question was sent.
        """
        sink.asked = process
        heard = self.deaths.get(process)
        if heard is not None and heard != death:
            # Another thread heard of a death meanwhile, and could not see that this concerns it.
            next(iter(self.kernels.values())).post(settle_lost, self, process, *heard)

    def tell_kernel(self, home: int, operation: str, *args: Any) -> None:
        """Have the kernel of `home` do something; no answer."""
        kernel = self.kernels.get(home)
        if kernel is not None:
            run = self.operations[operation]
            kernel.post(run, kernel, *args)
        elif self.outlet is not None and not self.closed:
            body = (operation, args)
            self.sending.post_body(process_of(home), home << 56, self.sending.unnumbered, CONTROL, body, operation)

    def control_here(self, home: int, body: Any, corr: int) -> None:
        """Do what another process asked a kernel of ours to do."""
        kernel = self.kernels.get(home)
        operation, args = body
        run = self.operations.get(operation)
        asks = corr & ((1 << 56) - 1)
        if kernel is None or run is None:
            if asks:
                RemoteAsk(self, corr, ()).fail(StartError(operation, f"process {self.process} cannot do that"))
            return
        if asks:
            kernel.post(kernel.submit, lambda: run(kernel, *args), OrderTaken(self, corr))
        else:
            kernel.post(run, kernel, *args)

    def wait_in_foreign_thread(self, future: Any, timeout_s: float | None) -> bool:
        """Help the lanes along for a moment while a thread of the user's waits; True if the answer came by it."""
        inlet = self.inlet
        help = inlet.help if inlet is not None else None
        return help is not None and timeout_s != 0 and help.wait(future, timeout_s)

    def settle_pending(self, error: BaseException) -> None:
        """Nobody will answer any more: every question still open fails."""
        for corr, sink in self.pending.copy().items():
            sink.fail(error)
            self.pending.pop(corr, None)  # only now: an interrupt in between, and it is done again

    # -- starting -----------------------------------------------------------------------------------------------------

    def start_default(self, actor: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorRef[Any]:
        """Start an actor where `Class.start(…)` means: in this process if the node has no workers, else in the next."""
        return self.node.spawn(actor, *args, **kwargs)

    def start_from(self, cell: Cell, request: StartRequest, placement: Any) -> ActorRef[Any]:
        """Start an actor from a handler of `cell`: beside it, unless told otherwise."""
        home = cell.kernel.home if placement is None else self.node.choose_home(placement)
        return self.start_at(home, request)

    def start_at(self, home: int, request: StartRequest) -> ActorRef[Any]:
        """Start an actor in `home` and wait until it is ready. Raises StartError, NameTaken; then nothing is left."""
        path = f"{request.actor.__module__}:{request.actor.__qualname__}"
        kernel = self.kernels.get(home)
        if kernel is not None and kernel_here() is kernel and kernel.in_handler():
            address = kernel.lifecycle.start(request)
        else:
            limit = None if request.init_timeout_s is None else request.init_timeout_s + self.options.start_timeout_s
            address = self.control(home, "start", request).get(timeout=limit)
        if not address:
            return None  # type: ignore[return-value]  # it raised Ignore
        return self.ref_at(address, path)

    # -- names, crashes, ends -----------------------------------------------------------------------------------------

    def register(self, name: Any, address: int, metadata: Any = None, patience_s: float = 0.0) -> None:
        """Register a name for an actor of this process. Raises NameTaken, InvalidName, InvalidMetadata."""
        self.table(address >> 56).set_named(self.kernels[address >> 56].cells[address].word)
        if self.names.whereis(name) != address:  # else it is a restart, and has it
            take_name(self, name, address, metadata, patience_s)

    def register_many(self, rows: list[tuple[Any, int]]) -> list[bool]:
        """Register names for new actors of one kernel of this process; return for each whether it has its name now."""
        for _, address in rows:
            self.table(address >> 56).set_named(self.kernels[address >> 56].cells[address].word)
        return [not isinstance(answer, Exception) for answer in self.names.register_many(rows)]

    def ended(self, cell: Cell) -> None:
        """An actor of this process is gone for good: free its names."""
        if not self.table(cell.kernel.home).is_named(cell.word):
            return
        if self.backend is not None:
            self.backend.release_owner(cell.address)
        else:
            self.tell_kernel(CONTROLLER_HOME, "ended", cell.address)

    def crashed(self, cell: Cell, what: str, error: BaseException) -> None:
        """Report a crash to the user's log and to whoever listens to events."""
        self.report(logging.ERROR, "actor_crashed", *crash_report(cell, what, error, self.process), error)
        if self.on_crash is not None:
            self.on_crash(cell, what, error)

    def copy_envelope(self, envelope: tuple[Any, ...]) -> tuple[Any, ...]:
        """Pickle a message between actors of one process, as if it went to another (strict messages)."""
        return copied_envelope(envelope)

    def close(self) -> None:
        """Let go of everything; references fail from now on."""
        self.closed = True
        if runtimes.get(self.node_id) is self:
            del runtimes[self.node_id]
        if self.inlet is not None:
            self.inlet.close()  # first: a thread that helps it sends, too
        if self.outlet is not None:
            self.outlet.close()
        for part in (self.signs, self.spill, *self._books.values()):
            if part is not None:
                part.close()


def _no_directory() -> Path:
    raise StartError("a pool", "this process has no node")
