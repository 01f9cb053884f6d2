"""The board, copied: what every process slot shows of itself, without mapping the file.

Edge (files, read-only); used by the observer. An observer that mapped the node's files would take a share of their
pages, and the node's own sum of shares would come out too small. So it copies what it needs.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..transport import BOARD_ROWS_AT, ROW_U32, ROW_U64


class BoardImage:
    """A copy of the board as it was at one moment; each field whole, neighbours perhaps a moment apart."""

    def __init__(self, directory: Path) -> None:
        """Copy it. Raises OSError if there is none: the node is over."""
        raw = memoryview(read_at(directory / "board", BOARD_ROWS_AT))
        self._u32, self._u64 = raw.cast("I"), raw.cast("Q")

    def u32(self, slot: int, field: int) -> int:
        """Return a 4-byte field of a slot's row: PID, EPOCH."""
        return self._u32[slot * ROW_U32 + field]

    def u64(self, slot: int, field: int) -> int:
        """Return an 8-byte field of a slot's row: BEAT, BEAT2, CURRENT, BUSY_FROM."""
        return self._u64[slot * ROW_U64 + field]


def read_at(path: Path, start: int, length: int | None = None) -> bytes:
    """Return `length` bytes of a file from `start` on (all there are, unless told), through the system's own copy."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.pread(fd, (os.fstat(fd).st_size - start) if length is None else length, start)
    finally:
        os.close(fd)
