"""Runtime: what actors need of the node they live in, as protocols; the node fulfils them and is injected.

Pure (types only); used by the kernel, references and futures. `Runtime` is one process's part of a node, `Inlet`
the receiving end of a worker's lanes.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..transport import LaneReader
    from .cell import Cell
    from .dead_letters import DeadLetters
    from .future import Future
    from .ref import ActorRef
    from .scheduler import Kernel
    from .start_request import StartRequest


class Table(Protocol):
    """A home's part of the node table, as its kernel writes it (see transport's node table)."""

    words: Any


class Inlet(Protocol):
    """Where a kernel's messages from other processes come in."""

    readers: dict[int, LaneReader]
    """The lanes, by their sender's process."""
    question: Any
    """Make the sink of a question from another process: its correlation id, its chain."""
    freed: bool
    """Set when a block was freed."""
    unfinished: set[int]
    """Senders whose lane was not drained to its end."""

    def poll(self, wait: bool, busy: bool) -> bool:
        """Take what has arrived, at most a fixed number, and hand it on; return whether there was anything.

        `wait`: if another thread does so now. `busy`: there will be more soon.
        """

    def has_news(self) -> bool:
        """Whether `poll` would find something. Cheap."""

    def look(self, also: Sized) -> bool:
        """Look for news for a few µs, or until `also` is not empty, then offer the core to others. True: news."""

    def sleep(self) -> bool:
        """Say "ring me"; return False if news came meanwhile (then do not sleep)."""

    def woke(self) -> None:
        """Say "no need to ring"."""

    def open(self, cell: Cell, record: Any) -> Any:
        """Unpickle the message that a lane's record stands for; return its envelope, None if it cannot be."""

    def weigh(self, record: Any) -> int:
        """Return the bytes of a message that a lane's record stands for; a stop weighs nothing."""

    def record_at(self, hand: int) -> Any:
        """Return the record of a message that lies in a lane: `hand` is `sender's process << 16 | block`."""

    def peek(self, record: Any) -> Any:
        """Unpickle the body of a message that stays where it is; raise what that raises."""

    def room_for(self, sender: int) -> None:
        """A block was freed and `sender` waits for one."""

    def epoch_of(self, home: int) -> int:
        """Return which process of the slot of `home` it is now: they are counted."""

    def free(self, hand: int) -> None:
        """Give a block back to its sender: `hand` is `sender's process << 16 | block`."""

    def settle(self, cell: Cell, hand: int, failed: bool, in_hand: bool) -> None:
        """Count a message of a lane as failed or as a dead letter of `cell`, and free its block, as one."""

    def drop(self, record: Any, reason: str, error: BaseException | None, cell: Cell | None = None) -> None:
        """Dead-letter a message unhandled: tell its caller, if any (not without an error), and free its block.

        It is counted, if it is a cell's."""


class Runtime(Protocol):
    """One process's part of a node."""

    node_id: str
    epoch: int
    node: Any
    options: Any
    kernels: dict[int, Kernel]
    dead_letters: DeadLetters
    strict_messages: bool
    call_timeout_s: float
    closed: bool

    def table(self, home: int) -> Any:
        """Return the node table of `home`."""

    def ref(self, address: int) -> ActorRef[Any]:
        """Return a reference to whatever lives at `address`."""

    def ref_at(self, address: int, path: str) -> ActorRef[Any]:
        """Return a reference to an actor whose class (`module:qualname`) is known."""

    # what a reference asks about its actor; nobody is sent a message
    def is_alive(self, address: int) -> bool: ...
    def name_of(self, address: int) -> str | None: ...
    def urn_of(self, address: int) -> str: ...
    def incarnation_of(self, address: int) -> int: ...
    def statistics_of(self, address: int) -> Any: ...
    def stopped_event(self, ref: ActorRef[Any]) -> Any: ...
    def class_of(self, path: str) -> type[Any]: ...
    def know_class(self, actor: type[Any]) -> None: ...

    def copy_envelope(self, envelope: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return an envelope as it would arrive from another process (strict messages)."""

    def send(self, ref: ActorRef[Any], kind: int, body: Any, sink: Any, timeout_s: float | None) -> None:
        """Send to an actor in another process; park or block for room, at most as long as its mailbox says."""

    async def send_async(self, ref: ActorRef[Any], kind: int, body: Any) -> None:
        """`send` without an answer, that waits for room as a coroutine."""

    def forget(self, question: Any) -> None:
        """Nobody waits for this answer any more."""

    def take_back(self, question: Any, address: int) -> bool:
        """Forget a question to the actor at `address`, and have it not handled if it has not begun.

        Return whether that is certain already; of what is elsewhere nothing is.
        """

    def loosen(self, question: Any, address: int) -> None:
        """Take back a question to the actor at `address` as soon as nobody holds the future that it is."""

    def signal(self, address: int, signal: tuple[Any, ...]) -> None:
        """Send a signal to the kernel of `address`; never waits, never fails."""

    def control(self, home: int, operation: str, *args: Any) -> Future[Any]:
        """Ask the kernel of `home` to do something; the answer is a future."""

    def tell_kernel(self, home: int, operation: str, *args: Any) -> None:
        """Have the kernel of `home` do something; no answer."""

    def wait_in_foreign_thread(self, future: Any, timeout_s: float | None) -> bool:
        """Wait for a future in a thread that is no kernel's, helping the lanes along; False: wait yourself."""

    def start_default(self, actor: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorRef[Any]:
        """Start an actor where `Class.start(…)` means."""

    def start_from(self, cell: Cell, request: StartRequest, placement: Any) -> ActorRef[Any]:
        """Start an actor from a handler of `cell`, beside it unless told otherwise."""

    def register(self, name: str, address: int, metadata: Any = None, patience_s: float = 0.0) -> None:
        """Register a name; parks or blocks. Raises NameTaken, after `patience_s` at the earliest."""

    def register_many(self, rows: list[tuple[Any, int]]) -> list[bool]:
        """Register names for new actors of one kernel; return for each whether it has its name. Parks or blocks."""

    def ended(self, cell: Cell) -> None:
        """An actor of this process is gone for good: free its names."""

    def crashed(self, cell: Cell, what: str, error: BaseException) -> None:
        """Report a crash to the user's log."""

    def happened(self, kind: str, text: str, fields: dict[str, Any]) -> None:
        """Tell the controller's listeners what happened."""

    def report(
        self, level: int, kind: str, text: str, fields: dict[str, Any], error: BaseException | None = None
    ) -> None:
        """Say what happened in the user's log, with the traceback of `error`, and tell the controller's listeners."""
