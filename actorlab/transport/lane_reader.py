"""A lane's receiving end: drain, free, and find what a killed predecessor left.

An edge (memory). Used by the process that receives; lane.py says what a lane is, and what holds when a process is
killed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import compress, repeat

from .lane import LaneEnd
from .lane_layout import (
    BLOCK_SHIFT,
    FREE,
    HEAD,
    IS_MESSAGE,
    MESSAGE_HEADER_BYTES,
    POSITION,
    RECORD,
    RETURNED,
    SINGLE,
    TAIL,
    WANT,
)

Record = tuple[int, int, int, int, int, int]
"""A drained message: dest, corr, kind, flags, block, length of its payload in bytes."""


class LaneReader(LaneEnd):
    """The receiver's end, for one thread of one process. A replacement calls `survivors` before its first `drain`.

    `status` is open to the kernel's fast path: `status[block] = 0` frees a message of one block.
    """

    __slots__ = ("_lock", "drain")

    drain: Callable[..., list[Record]]
    """`drain(limit=256)`: take up to `limit` messages in order. Their blocks stay theirs until `free`; the head moves
    on at once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, writable=True)
        self._lock = threading.Lock()
        self.drain = _drainer(self)

    @property
    def ready(self) -> bool:
        """Return whether there is something to drain."""
        return bool(self.words[TAIL] != self.words[HEAD])

    @property
    def head(self) -> int:
        """Return the position of the first message that was not drained."""
        return int(self.words[HEAD])

    def payload(self, block: int, length: int) -> memoryview:
        """Return a view of a message's payload, good until `free(block)`; release it before `close`."""
        at = self.data + (block << BLOCK_SHIFT) + MESSAGE_HEADER_BYTES
        return self.buf[at : at + length]

    def payload_bytes(self, block: int, length: int) -> bytes:
        """Return a copy of a message's payload: as fast as a view when it is small, and free of its block."""
        at = self.data + (block << BLOCK_SHIFT) + MESSAGE_HEADER_BYTES
        return self.mapped[at : at + length]

    def position(self, block: int) -> int:
        """Return the place of a block's message among all of this lane: no two have the same."""
        number: int = POSITION.unpack_from(self.mapped, self.data + (block << BLOCK_SHIFT))[0]
        return number

    def record(self, block: int) -> Record:
        """Return the message whose first block this is."""
        return RECORD.unpack_from(self.mapped, self.data + (block << BLOCK_SHIFT))

    def holds(self, block: int) -> bool:
        """Return whether a block is the first of a message that was not given back."""
        return bool(IS_MESSAGE[self.status[block]])

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
        for block in compress(range(self.blocks), statuses.translate(IS_MESSAGE)):
            at = self.data + (block << BLOCK_SHIFT)
            # crash: survivors.each
            (position,) = POSITION.unpack_from(self.mapped, at)
            # A block that a recovering sender frees and fills again right now shows 0, or a number past the tail.
            if 0 < position < tail:
                found.append((position, RECORD.unpack_from(self.mapped, at)))
        found.sort()
        # crash: survivors.head
        self.words[HEAD] = tail
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


def _drainer(reader: LaneReader) -> Callable[..., list[Record]]:
    """Return `reader.drain`: a closure, for looking up six attributes of `self` costs as much as a short drain."""
    words, ring, mapped, mask, blocks = reader.words, reader.ring, reader.mapped, reader.mask, reader.blocks
    unpack_from, tail_at, head_at = RECORD.unpack_from, TAIL, HEAD

    def drain(limit: int = 256) -> list[Record]:
        head = words[head_at]
        # crash: drain.tail
        count = words[tail_at] - head
        if not count:
            return []
        if count > limit:
            count = limit
        at = head & mask
        # crash: drain.ring
        if count == 1:
            records: list[Record] = [unpack_from(mapped, ring[at])]
        else:
            end = at + count
            if end <= blocks:
                offsets = ring[at:end].tolist()
            else:
                offsets = ring[at:].tolist() + ring[: end - blocks].tolist()
            records = list(map(unpack_from, repeat(mapped), offsets))
        # The head is for statistics and for us; a successor goes by the status bytes, wherever it stands.
        # crash: drain.head
        words[head_at] = head + count
        # crash: drain.done
        return records

    return drain
