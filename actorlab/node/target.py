"""Target: what a sender knows of an actor in another process, and its own messages on the way there.

Edge (the node table, read); used by `sending`. The receiver's kernel is the only judge of a mailbox's bounds; a sender
waits early only by what it can know: its own messages that were not yet begun there, by number and, where the mailbox
is bounded by bytes, by weight.
"""

from __future__ import annotations

from ..actor import Future
from ..errors import MailboxFull, MessageTooLarge
from ..ids import generation_of, home_of, index_of, process_of
from ..transport import (
    IN_HAND_LOCAL,
    IN_HAND_MASK,
    OVERFLOW_CODES,
    SLOT_U8,
    SLOT_U32,
    SLOT_WORDS,
    SPILLED,
    STATE,
    Outlet,
    Sink,
    spill_size_in,
)
from .books import Books

NO_LIMIT = 1 << 62


class Target:
    """What a sender knows of an actor in another process.

    `out` counts this process's own messages not yet done with there; up to `limit` of them may be not yet begun. `most`
    is what the fast path compares with: the limit, or 0 while somebody waits in `line`, so that nobody passes him by;
    and 0 for good where messages are weighed (`max_bytes`): `bytes_out` is the weight of those out.
    """

    __slots__ = ("address", "books", "bytes_out", "capacity", "generation", "generation_at", "large", "limit", "line",
                 "max_bytes", "most", "out", "overflow", "process", "state_at", "timeout_s", "word")  # fmt: skip

    def __init__(self, address: int, books: Books, lane_blocks: int) -> None:
        view = books.read(address)
        index = index_of(address)
        self.address = address
        self.books = books
        self.process = process_of(home_of(address))
        self.generation = generation_of(address)
        self.generation_at = index * SLOT_U32 + 2
        self.state_at = index * SLOT_U8 + STATE
        self.word = index * SLOT_WORDS
        self.out = self.bytes_out = 0
        self.large = False  # whether it was ever sent a large buffer: then they are looked for before they are copied
        self.capacity = view.capacity if view is not None else 1
        self.overflow = OVERFLOW_CODES[view.overflow] if view is not None else "reject"
        self.timeout_s = view.timeout_ms / 1000 if view is not None else 0.0
        self.max_bytes = books.max_bytes(view.class_id) if view is not None else None
        if self.overflow.startswith("drop"):
            self.limit = NO_LIMIT  # the receiver makes room by itself
        else:
            # one actor's backlog must leave room in the lane for the messages to others
            self.limit = min(self.capacity, lane_blocks * 3 // 4)
        self.most = 0
        self.line: list[Place] = []  # short, and an empty deque is 760 bytes
        self.open_fast_path()

    def open_fast_path(self) -> None:
        """Nobody waits in line: who has room by number alone need not look further."""
        self.most = self.limit if self.max_bytes is None else 0

    def has_begun(self, process: int) -> bool:
        """Whether the message in hand there is one of this process's."""
        hand = self.books.words[self.word] & IN_HAND_MASK
        return hand != IN_HAND_LOCAL and (hand - 1) >> 16 == process and hand > 0

    def is_gone(self) -> bool:
        """Whether the actor that was meant has ended for good."""
        return self.books.u32[self.generation_at] != self.generation or self.books.table.u8[self.state_at] in (0, 5)

    def has_room(self, process: int, outlet: Outlet, weight: int) -> bool:
        """Whether one more message of `process` may be under way, as far as is known here."""
        if self.out >= self.limit or self._is_heavy(process, outlet, weight):
            outlet.recount(self.process)
        by_number = self.out < self.limit or (self.out == self.limit and self.has_begun(process))
        return by_number and not self._is_heavy(process, outlet, weight)

    def _is_heavy(self, process: int, outlet: Outlet, weight: int) -> bool:
        if self.max_bytes is None or self.limit == NO_LIMIT or self.bytes_out + weight <= self.max_bytes:
            return False
        hand = self.books.words[self.word] & IN_HAND_MASK
        begun = 0  # the one in hand does not wait any more
        if hand and hand != IN_HAND_LOCAL and (hand - 1) >> 16 == process:
            sink = outlet.sink_of(self.process, (hand & 0xFFFF) - 1)
            begun = sink.weight if isinstance(sink, Load) else 0
        return self.bytes_out - begun + weight > self.max_bytes

    def weigh(self, flags: int, payload: bytes) -> int:
        """Return what a message weighs; 0 where nobody asks."""
        if self.max_bytes is None:
            return 0
        return spill_size_in(payload) if flags & SPILLED else len(payload)

    def sink(self, weight: int) -> Sink:
        """Return in what a lane counts a message of ours."""
        return self if self.max_bytes is None else Load(self, weight)

    def full(self, label: str) -> MailboxFull:
        """Return what to tell a sender for whom there is no room."""
        if self.max_bytes is not None and self.out < self.limit:
            return MailboxFull(label, self.max_bytes, self.overflow, "bytes")
        return MailboxFull(label, self.capacity, self.overflow)

    def refuse_heavy(self, label: str, weight: int) -> None:
        """Raise MessageTooLarge for a message that will never fit."""
        if self.max_bytes is not None and weight > self.max_bytes:
            raise MessageTooLarge(label, weight, self.max_bytes, "max_bytes of its mailbox")


class Load:
    """One message on its way to a mailbox that is bounded by bytes: a lane's `Sink` that counts it by weight too."""

    __slots__ = ("_out", "target", "weight")

    def __init__(self, target: Target, weight: int) -> None:
        self.target = target
        self.weight = weight
        self._out = 0

    @property
    def out(self) -> int:
        """1 while it is under way."""
        return self._out

    @out.setter
    def out(self, out: int) -> None:
        """Set under the lane's lock, as a target's own count is."""
        change, self._out = out - self._out, out
        self.target.out += change
        self.target.bytes_out += change * self.weight


class Place:
    """A sender's place in the line before a full mailbox or lane; `gate` settles when it is to look again."""

    __slots__ = ("gate",)

    def __init__(self) -> None:
        self.gate: Future[None] = Future("room")
