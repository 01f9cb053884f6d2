"""A lane's receiving end: drain, free, and find what a killed predecessor left.

An edge (memory). Used by the process that receives; lane.py says what a lane is, and what holds when a process is
killed.
"""

from __future__ import annotations

import os
import threading
from itertools import repeat

from .lane import LaneEnd
from .lane_layout import (
    BLOCK_SHIFT,
    FREE,
    HEAD,
    MESSAGE_HEADER_BYTES,
    POSITION,
    RECORD,
    RETURNED,
    SINGLE,
    SPAN,
    TAIL,
    WANT,
)

Record = tuple[int, int, int, int, int, int]
"""A drained message: dest, corr, kind, flags, block, length of its payload in bytes."""


class LaneReader(LaneEnd):
    """The receiver's end, for one thread of one process. A replacement calls `survivors` before its first `drain`.

    `status` is open to the kernel's fast path: `status[block] = 0` frees a message of one block.
    """

    __slots__ = ("_head", "_lock")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, writable=True)
        self._head: int = self.words[HEAD]
        self._lock = threading.Lock()

    @property
    def ready(self) -> bool:
        """Return whether there is something to drain."""
        return bool(self.words[TAIL] != self._head)

    def drain(self, limit: int = 256) -> list[Record]:
        """Take up to `limit` messages in order. Their blocks stay theirs until `free`; the head moves on at once."""
        head = self._head
        # crash: drain.tail
        count = self.words[TAIL] - head
        if not count:
            return []
        if count > limit:
            count = limit
        at = head & self.mask
        end = at + count
        # crash: drain.ring
        if end <= self.blocks:
            offsets = self.ring[at:end].tolist()
        else:
            offsets = self.ring[at:].tolist() + self.ring[: end - self.blocks].tolist()
        records: list[Record] = list(map(RECORD.unpack_from, repeat(self.mapped), offsets))
        # The head is for statistics and for us; a successor goes by the status bytes, wherever it stands.
        # crash: drain.head
        self.words[HEAD] = self._head = head + count
        # crash: drain.done
        return records

    def payload(self, block: int, length: int) -> memoryview:
        """Return a view of a message's payload, good until `free(block)`; release it before `close`."""
        at = self.data + (block << BLOCK_SHIFT) + MESSAGE_HEADER_BYTES
        return self.buf[at : at + length]

    def payload_bytes(self, block: int, length: int) -> bytes:
        """Return a copy of a message's payload: as fast as a view when it is small, and free of its block."""
        at = self.data + (block << BLOCK_SHIFT) + MESSAGE_HEADER_BYTES
        return self.mapped[at : at + length]

    def free(self, block: int) -> None:
        """Give a message's blocks back. One store, so a killed receiver did it or did not."""
        status = self.status
        # crash: free.before
        status[block] = FREE if status[block] == SINGLE else RETURNED
        # crash: free.after

    def survivors(self) -> list[Record]:
        """Return every message accepted and not yet freed, in order, and let `drain` go on behind them.

        For a new receiver whose predecessor is surely dead. What the predecessor had in hand is among them: the node
        table knows which. The sender may be alive, dead or recovering. Killed at any point, it can be repeated.
        """
        # The tail first: whatever is published after this look has a position at or past it, and is left to drain.
        tail = self.words[TAIL]
        # crash: survivors.tail
        statuses = self.mapped[self.status_at : self.status_at + self.blocks]
        found: list[tuple[int, Record]] = []
        for block, status in enumerate(statuses):
            if status in (SINGLE, SPAN):
                at = self.data + (block << BLOCK_SHIFT)
                # crash: survivors.each
                (position,) = POSITION.unpack_from(self.mapped, at)
                # A block that a recovering sender frees and fills again right now shows 0, or a number past the tail.
                if 0 < position < tail:
                    found.append((position, RECORD.unpack_from(self.mapped, at)))
        found.sort()
        # crash: survivors.head
        self.words[HEAD] = self._head = tail
        # crash: survivors.done
        return [record for _position, record in found]

    def take_want(self) -> bool:
        """Return whether the sender waits for room, and clear its mark: then ring it. Once a pass, after the frees."""
        with self._lock:  # the fence between the frees before and the look below
            pass
        if not self.buf[WANT]:
            return False
        # The mark goes before the bell: a sender that sets it again in between is rung as well, and looks once more.
        # crash: want.clear
        self.buf[WANT] = 0
        # crash: want.cleared
        return True
