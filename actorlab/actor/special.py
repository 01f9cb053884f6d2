"""Special: what a kernel keeps of an actor that uses more than messages: idle time, a stash, a stream, a suspension.

Edge (one kernel's thread, or the actor's own); hangs at a cell's `Extra`, built when first needed, so that nobody else
pays for it. What it keeps aside counts as waiting in the books (P5), and follows the mailbox over a crash (P4).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cell import Cell
    from .idle import IdleWatch
    from .keeping import Keeper
    from .streaming import Outflow


class Special:
    """The specialities of one actor."""

    __slots__ = ("aside", "back", "idle", "keeper", "starting", "strands", "streams", "suspended",
                 "watches")  # fmt: skip

    def __init__(self) -> None:
        self.idle: IdleWatch | None = None  # tells it when nothing has come for a while
        self.aside: deque[Any] = deque()  # stashed: envelopes and lanes' records, oldest first
        self.back: deque[Any] = deque()  # taken out of the stash, each with a step in the mailbox
        self.strands: set[Any] = set()  # of a reentrant actor: the messages it is at
        self.starting = False  # one of them is a task that has not had its first step
        self.keeper: Keeper | None = None  # takes its snapshots
        self.suspended = False  # held up by a request of the system's
        self.watches: list[int] = []  # monitors of the kernel's on its behalf
        self.streams: dict[Any, Outflow] = {}  # the generators that others read from, by their readers' keys

    def take_stash(self) -> list[Any]:
        """Return what is aside, and keep nothing."""
        taken = [*self.aside, *self.back]
        self.aside.clear()
        self.back.clear()
        return taken

    def stays(self) -> str:
        """Return what of an actor belongs to this process now, so that it cannot be moved; empty: nothing."""
        if self.aside or self.back:
            return f"{len(self.aside) + len(self.back)} messages are in its stash"
        if self.strands:
            return f"it is at {len(self.strands)} messages at once"
        if self.streams:
            return f"{len(self.streams)} streams are read from it"
        return "it is suspended" if self.suspended else "it is tied to another actor" if self.watches else ""

    def part(self) -> None:
        """The incarnation is over: what was its own goes with it."""
        self.idle = None
        self.starting = self.suspended = False
        streams, self.streams = self.streams, {}  # a blocking actor's thread may still open or end one of the old ones
        for flow in tuple(streams.values()):
            flow.ended()

    def settled(self) -> int:
        """An activation is over; return how many messages are kept aside."""
        if self.idle is not None:
            self.idle.touch()
        if self.keeper is not None:
            self.keeper.count()
        return self.kept()

    def kept(self) -> int:
        """Return how many messages are kept aside, or are under way beside the queue."""
        return len(self.aside) + len(self.back) + len(self.strands)


def special_of(cell: Cell) -> Special:
    """Return a cell's specialities, building them if need be."""
    extra = cell.main.more()
    special = extra.special
    if special is None:
        special = extra.special = Special()
    return special
