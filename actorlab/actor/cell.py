"""Cell: what a kernel keeps of one actor.

Edge (owned by one kernel's thread); used by the kernel and, for the two fast paths, by references. A cell outlives
the actor object in it: a supervised actor that crashes leaves its cell, mailbox and address to its next incarnation.
An idle actor is one `Cell` and the user's object; everything rare is in `Extra`, built when first needed.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from .mailbox import Mailbox

if TYPE_CHECKING:
    from .behaviour import Behaviour
    from .future import Future
    from .scheduler import Kernel
    from .special import Special

# phases: what the kernel may do with the cell
IDLE = 0  # nothing to do: a message makes it READY
READY = 1  # in the run queue
RUNNING = 2  # its handler has the thread
PARKED = 3  # its handler waits (in a greenlet, a task or a thread of its own)
HELD = 4  # no incarnation: starting, or waiting for its supervisor's verdict; messages are kept
DEAD = 5  # no incarnation will come
ENDING = 6  # its last hook runs

STATE_OF_PHASE = (2, 2, 2, 2, 3, 5, 4)
"""Phase → the state the node table shows (running, restarting, dead, stopping)."""


def state_of(phase: int) -> int:
    """Return the node table's state for a phase."""
    return STATE_OF_PHASE[phase]


NO_MAIL: deque[Any] = deque(maxlen=0)
"""The mailbox of a cell that has none yet: always empty, shared by all. `brake` is 0 then, so nobody appends to it."""


ALONE = nullcontext()
"""The lock of a mailbox that only the kernel's thread uses."""


first_look = threading.Lock()
"""Held to put in place what is built when somebody first looks, for that may be another thread than the kernel's."""


class Extra:
    """The rarely needed part of a cell."""

    __slots__ = (
        "born", "continues", "ending", "greenlet", "links", "monitors", "name", "quiet", "reason", "special", "stopped",
        "task", "thread", "timers", "trap_exit", "unbounded", "waiting", "waits", "waits_for", "watching",
    )  # fmt: skip

    def __init__(self) -> None:
        self.name: str | None = None
        self.links: dict[int, int] | None = None  # address → epoch of its process
        self.monitors: dict[int, int] | None = None  # who watches us: monitor id → watcher
        self.watching: dict[int, int] | None = None  # whom we watch: monitor id → target
        self.timers: set[Any] | None = None
        self.waiting: deque[Any] | None = None  # not yet accepted: (envelope, Waiter | None)
        self.trap_exit = False
        self.waits_for = 0  # the actor whose answer the handler waits for, in a call
        self.waits: list[Future[Any]] | None = None  # the futures that the handler and its tasks wait for
        self.unbounded = 0  # how many in the mailbox are signals, which capacity does not count
        self.reason: Any = None  # why it is ending or has ended
        self.quiet = False  # its supervisor stops it and need not be told
        self.stopped: threading.Event | None = None  # Pykka's view of being dead, if somebody looked
        self.ending = False  # an END envelope is on its way through the mailbox
        self.greenlet: Any = None  # of the handler that is parked
        self.task: Any = None  # of the async handler under way
        self.thread: Any = None  # of a blocking actor
        self.born: tuple[tuple[Any, ...], dict[str, Any]] | None = None  # its arguments, where it can be built anew
        self.continues: list[Any] | None = None  # what its handlers left for right after them
        self.special: Special | None = None


class Cell:
    """One actor's place in its kernel. Fields are read by references; only the kernel's thread writes them."""

    __slots__ = (
        "address", "behaviour", "bounds", "brake", "extra", "hand", "handled", "ident", "incarnation", "kernel",
        "mailbox", "object", "parent", "phase", "sink", "word",
    )  # fmt: skip

    def __init__(self, kernel: Kernel, address: int, word: int, behaviour: Behaviour, bounds: Mailbox) -> None:
        self.kernel = kernel
        self.ident = kernel.ident  # the thread that may use the fast paths
        self.address = address
        self.word = word  # index of its first word in the node table
        self.behaviour = behaviour
        self.bounds = bounds
        self.object: Any = None
        self.phase = HELD
        self.mailbox: deque[Any] = NO_MAIL
        self.brake = 0  # a sender that finds this many messages waiting goes the slow way
        self.handled = 0
        self.hand = 0  # 1 + the lane block of the message in hand, 0: none
        self.sink: Any = None  # who waits for the message in hand
        self.parent = 0  # its supervisor's address
        self.incarnation = 0
        self.extra: Extra | None = None

    def __reduce__(self) -> Any:
        raise TypeError("what a kernel keeps of an actor does not travel: send its reference")

    def more(self) -> Extra:
        """Return the rare part, building it if need be."""
        extra = self.extra
        if extra is None:
            made = Extra()  # not under the lock: a collection may run here, and whatever it calls
            with first_look:
                if self.extra is None:
                    self.extra = made
                extra = self.extra
        return extra

    def queued(self) -> int:
        """Return how many messages wait in the mailbox; signals, which capacity does not count, are none.

        Nor is a blocking actor's start, which lies there until its thread takes it; one too few while it does.
        """
        number = len(self.mailbox) - (self.extra.unbounded if self.extra is not None else 0)
        if self.object is None and self.phase != HELD and self.behaviour.blocking:
            number -= 1
        return max(0, number)

    def mail_lock(self) -> AbstractContextManager[Any]:
        """Hold it to change the mailbox other than at its end: a blocking actor's thread takes messages meanwhile."""
        thread = self.extra.thread if self.extra is not None else None
        return ALONE if thread is None else thread.lock

    @property
    def main(self) -> Cell:
        """The actor's own cell: this one, unless it is one message's of a reentrant actor."""
        return self

    @property
    def name(self) -> str:
        """How the actor is called in messages to people."""
        extra = self.extra
        return self.behaviour.label if extra is None or extra.name is None else extra.name
