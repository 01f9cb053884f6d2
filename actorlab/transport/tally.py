"""Tally: what the actors of each class that are gone had done, so that a class's counts never shrink.

An edge (memory). One file a home beside its node table, with the same writer: the kernel of the home, and after its
death whoever takes over. A row of 64 bytes a class number (u64 each); the numbers from 1024 on share row 0:

    ended │ handled │ failed │ dead_lettered │ restarts │ local_messages │ local_bytes │

The first five are sums over the actors that gave up their slots: with those of the living, in the node table, they
make counters. The last two say what waits in mailboxes without lying in a lane (messages within the process), as the
kernel's last beat estimated it.

An actor is counted here after its slot is free. Killed in between, its figures are lost; the other way round its
successor would find the slot and count them twice. A reader in between sees the sum too small, and too large never.
"""

from __future__ import annotations

import os
from typing import Self

from ..lean_dataclass import dataclass
from ..memory import PAGE, Segment, encode_header

MAGIC = b"alTally"
VERSION = 1

ROWS = 1024
ROW_WORDS = 8
FILE_BYTES = PAGE + ROWS * ROW_WORDS * 8
_ROWS_A_PAGE = PAGE // (ROW_WORDS * 8)
_AT = PAGE // 8
_ENDED, _HANDLED, _FAILED, _DEAD, _RESTARTS, _LOCAL, _LOCAL_BYTES = range(7)


@dataclass(frozen=True, slots=True)
class TallyRow:
    """What a class's row says."""

    ended: int
    handled: int
    failed: int
    dead_lettered: int
    restarts: int
    local_messages: int
    local_bytes: int


class Tally:
    """The tally of one home, as its kernel writes it."""

    def __init__(self, segment: Segment) -> None:
        """Use `create` or `adopt`."""
        segment.geometry(MAGIC, VERSION)
        self._segment, self._words = segment, segment.buf.cast("Q")
        self._allocated = 0
        self.ended = 0  # by this process

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """Create an empty one. Raises SharedMemoryFull or FileExistsError."""
        header = encode_header(MAGIC, VERSION, ROWS)
        return cls(Segment.create(path, FILE_BYTES, what="a tally", header=header, allocate_bytes=PAGE))

    @classmethod
    def adopt(cls, path: str | os.PathLike[str]) -> Self:
        """Go on with one whose writer is surely dead."""
        return cls(Segment.open(path, writable=True, grows=True, what="a tally"))

    def bury(self, class_id: int, handled: int, failed: int, dead_lettered: int, restarts: int) -> None:
        """Add what an actor of the class had done; its slot is free already. Raises SharedMemoryFull."""
        at = self._row(class_id)
        words = self._words
        # Killed before or between these stores: what is missing is lost, and nothing counts twice.
        # crash: bury.handled
        words[at + _HANDLED] += handled
        # crash: bury.rest
        if failed:
            words[at + _FAILED] += failed
        # crash: bury.failed
        if dead_lettered:
            words[at + _DEAD] += dead_lettered
        # crash: bury.dead
        if restarts:
            words[at + _RESTARTS] += restarts
        # crash: bury.ended
        words[at + _ENDED] += 1
        # crash: bury.done
        self.ended += 1

    def say_local(self, class_id: int, messages: int, size_bytes: int) -> None:
        """Say what waits in the mailboxes of the class's actors by reference, and roughly how large it is."""
        at = self._row(class_id)
        # What waits by reference dies with its process; killed in between, the number is new and the size is old. The
        # next process says both anew.
        # crash: local.messages
        self._words[at + _LOCAL] = messages
        # crash: local.bytes
        self._words[at + _LOCAL_BYTES] = size_bytes
        # crash: local.said

    def close(self) -> None:
        """Unmap. Idempotent; the file stays."""
        self._words.release()
        self._segment.close()

    def _row(self, class_id: int) -> int:
        row = class_id if class_id < ROWS else 0
        if row >= self._allocated:
            pages = row // _ROWS_A_PAGE + 1
            self._segment.allocate(PAGE, pages * PAGE)
            self._allocated = pages * _ROWS_A_PAGE
        return _AT + row * ROW_WORDS


def view_tally(raw: bytes) -> dict[int, TallyRow]:
    """Return the rows that say anything, by class number. Raises ValueError when the bytes are no tally."""
    if len(raw) != FILE_BYTES or raw[:8].rstrip(b"\0") != MAGIC:
        raise ValueError(f"{len(raw)} bytes are no tally")
    words = memoryview(raw).cast("Q")
    rows = {}
    for row in range(ROWS):
        at = _AT + row * ROW_WORDS
        values = words[at : at + 7].tolist()
        if any(values):
            rows[row] = TallyRow(*values)
    return rows
