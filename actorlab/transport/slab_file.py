"""A slab file as its sender sees it: the table's states, and pages that come and go.

An edge (files, memory); used by slab_lender.py. slab_layout.py shows the bytes.
"""

from __future__ import annotations

import mmap
import os
from typing import Self

from ..lean_dataclass import dataclass
from ..memory import HEADER_BYTES, PAGE, Segment, has, round_up
from .slab_layout import (
    BYTES,
    ENTRY_WORDS,
    FALLBACKS,
    GENERATION_SHIFT,
    HELD,
    LENT,
    MESSAGES,
    TABLE_AT,
    TAKEN,
    lay_out_slabs,
    layout_in_header,
    layout_of_slabs,
)

SPARE_SHARE = 8
"""Slabs leave one part in so many of the file system to lanes, tables and pools, and go into files instead."""


def slab_file_name(slot: int, epoch: int) -> str:
    """Return the name of the slabs of the process that was in `slot` in `epoch`."""
    return f"slabs.{slot}.{epoch}"


def entry_at(index: int) -> int:
    """Return where a slab's entry begins, in words of 8 bytes."""
    return TABLE_AT // 8 + index * ENTRY_WORDS


class SlabFile:
    """One process's slabs, mapped writable: `words` is the table, `segment.buf` everything."""

    __slots__ = ("layout", "segment", "words")

    def __init__(self, segment: Segment) -> None:
        """Use `create` or `open`."""
        self.segment = segment
        self.layout = layout_of_slabs(segment)
        self.words = segment.buf[: self.layout.table_bytes].cast("Q")

    @classmethod
    def create(cls, path: str, budget_bytes: int) -> Self:
        """Create it; no slab has pages yet. Raises SharedMemoryFull, or OSError where files may not be so large."""
        layout = lay_out_slabs(budget_bytes)
        header, table = layout.header(), layout.table_bytes
        return cls(Segment.create(path, layout.size_bytes, what="slabs", header=header, allocate_bytes=table))

    @classmethod
    def open(cls, path: str) -> Self:
        """Map what a dead process left. Raises FileNotFoundError, SegmentCorrupt."""
        segment = Segment.open(path, writable=True, grows=False, what="slabs")
        try:
            return cls(segment)
        except BaseException:
            segment.close()
            raise

    def is_free(self, index: int) -> bool:
        """Return whether nobody has the slab: its last message was given back, or there was none."""
        at = entry_at(index)
        words = self.words
        return bool(words[at + TAKEN] == words[at + LENT] >> GENERATION_SHIFT << GENERATION_SHIFT)

    def holder(self, index: int) -> tuple[int, int] | None:
        """Return slot and epoch of the process that looks at the slab's message; None: nobody has read it yet."""
        at = entry_at(index)
        lent, taken = self.words[at + LENT], self.words[at + TAKEN]
        if not taken & HELD or taken >> GENERATION_SHIFT != lent >> GENERATION_SHIFT:
            return None
        return lent & 0xFF, taken >> 1 & 0xFFFFFFFF

    def free(self, index: int) -> None:
        """Give a slab back in its receiver's stead: one that is dead, or never heard of the message."""
        at = entry_at(index)
        # Killed before it: the successor finds it lent to nobody who reads it, and frees it. After it: it is free.
        # crash: slab.free
        self.words[at + TAKEN] = self.words[at + LENT] >> GENERATION_SHIFT << GENERATION_SHIFT
        # crash: slab.freed

    def grow(self, index: int, size: int) -> bool:
        """Put pages behind the first `size` bytes of a slab; False: the file system is too full for that.

        The pages are there before a byte is written, so that a full tmpfs is an answer here and not a SIGBUS.
        """
        at, before = entry_at(index), self.words[entry_at(index) + BYTES]
        more = round_up(size, PAGE) - before
        room = os.statvfs(os.path.dirname(self.segment.path))
        if (room.f_bavail - room.f_blocks // SPARE_SHARE) * room.f_frsize < more:
            return False
        try:
            # crash: grow.allocate
            self.segment.allocate(self.layout.offsets[index] + before, more)
        except OSError:  # SharedMemoryFull is one; so is a limit on the size of files
            return False
        # Killed here, some pages are counted by nobody but the file system; the successor drops the whole slab's.
        # crash: grow.allocated
        self.words[at + BYTES] = before + more
        # Killed here: a free slab with pages, which the successor gives back with the rest.
        # crash: grow.counted
        return True

    def shrink(self, index: int) -> int:
        """Give the pages of a free slab back to the system; return how many bytes. It reads as zeros from then on."""
        at = entry_at(index)
        size = int(self.words[at + BYTES])
        if not has("punch_hole"):
            return 0
        try:
            # crash: shrink.remove
            self.segment.mmap.madvise(mmap.MADV_REMOVE, self.layout.offsets[index], self.layout.sizes[index])
        except OSError:
            return 0  # no file system that can do that: the pages stay, and stay counted
        # Killed before this store, `bytes` says too much until the successor has removed the file.
        # crash: shrink.removed
        self.words[at + BYTES] = 0
        # crash: shrink.counted
        return size

    def count(self, messages: int, fallbacks: int) -> None:
        """Let others see the sender's counts; those of a killed one may lack the message it was about to send."""
        # crash: counts.messages
        self.words[MESSAGES] = messages
        # crash: counts.fallbacks
        self.words[FALLBACKS] = fallbacks
        # crash: counts.done

    def close(self) -> None:
        """Unmap; the file stays."""
        self.words.release()
        self.segment.close()


@dataclass(frozen=True, slots=True)
class SlabUsage:
    """The slabs of one process, as anybody may read them from outside.

    `bytes` is what the file system charges for all of them. lent: a message lies there unread; held: a receiver looks
    at it. `sender_epoch` older than the slot's process: left by a dead one, until its receivers let go.
    """

    sender: int
    sender_epoch: int
    bytes: int
    slabs: int
    lent: int
    lent_bytes: int
    held: int
    held_bytes: int
    messages: int
    fallbacks: int
    held_by: tuple[tuple[int, int], ...] = ()
    """By the receiver's process slot, in order: the bytes it holds."""


def slab_usage(directory: str | os.PathLike[str]) -> tuple[SlabUsage, ...]:
    """Return what the slabs of all processes of a node hold. Reads the tables from outside, in nobody's way.

    What changes meanwhile is seen before or after. A file that goes meanwhile is left out.
    """
    rows = []
    for name in sorted(os.listdir(directory)):
        parts = name.split(".")
        if parts[0] == "slabs" and len(parts) == 3:
            try:
                rows.append(_usage(os.path.join(directory, name), int(parts[1]), int(parts[2])))
            except FileNotFoundError:
                pass
    return tuple(rows)


def _usage(path: str, slot: int, epoch: int) -> SlabUsage:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        status = os.fstat(fd)
        layout = layout_in_header(path, os.pread(fd, HEADER_BYTES, 0), status.st_size)
        words = memoryview(os.pread(fd, layout.table_bytes, 0)).cast("Q")
    finally:
        os.close(fd)
    lent = lent_bytes = held = slabs = 0
    by: dict[int, int] = {}
    for index in range(len(layout.offsets)):
        at = entry_at(index)
        size, lending, taken = words[at + BYTES], words[at + LENT], words[at + TAKEN]
        slabs += size > 0
        if taken >> GENERATION_SHIFT != lending >> GENERATION_SHIFT:
            lent, lent_bytes = lent + 1, lent_bytes + size
        elif taken & HELD:
            held += 1
            by[lending & 0xFF] = by.get(lending & 0xFF, 0) + size
    charged = status.st_blocks * 512
    counts = words[MESSAGES], words[FALLBACKS]
    return SlabUsage(
        slot, epoch, charged, slabs, lent, lent_bytes, held, sum(by.values()), *counts, tuple(sorted(by.items()))
    )
