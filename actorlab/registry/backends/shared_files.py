"""The shared backend's files: mapped, checked, and nothing more.

Edge; used by owner and readers. Mappings that were replaced are dropped, not closed: another thread may be in the
middle of a lookup, and the last reference unmaps them.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import SegmentCorrupt
from ...memory import Segment
from .shared_layout import (
    CONTROL_FILE,
    CONTROL_MAGIC,
    FIRST_SLOT,
    LAYOUT_VERSION,
    MAX_ARENA_BYTES,
    PLACE_MASK,
    RECORD,
    RECORD_HEAD,
    TABLE_MAGIC,
    TAIL,
    arena_start,
    control_bytes,
    table_name,
)


class Control:
    """The control file, mapped: `words` is all of it, `partitions` how many there are."""

    __slots__ = ("partitions", "words")

    def __init__(self, directory: Path, *, writable: bool = False) -> None:
        """Map it. Raises FileNotFoundError, SegmentCorrupt."""
        path = directory / CONTROL_FILE
        segment = Segment.open(path, writable=writable)
        try:
            (self.partitions, *_) = segment.geometry(CONTROL_MAGIC, LAYOUT_VERSION)
            if segment.size_bytes != control_bytes(self.partitions):
                raise SegmentCorrupt(str(path), f"has {segment.size_bytes} bytes, which do not fit its header")
            self.words = segment.buf.cast("Q")
        finally:
            segment.close()  # its descriptor; the view keeps the mapping


class Table:
    """One generation of one partition, mapped: `words` are its first lines, `slots` the slots, `bytes` the whole file.

    The segment of a writable one stays open, so that pages can be allocated, until `close`.
    """

    __slots__ = ("arena", "bytes", "generation", "mask", "segment", "slots", "words")

    def __init__(self, segment: Segment, generation: int) -> None:
        (slots, *_) = segment.geometry(TABLE_MAGIC, LAYOUT_VERSION)
        self.arena = arena_start(slots)
        room = segment.size_bytes - self.arena
        if not slots or slots & (slots - 1) or not 0 <= room <= MAX_ARENA_BYTES:
            raise SegmentCorrupt(segment.path, f"has {segment.size_bytes:,} bytes, which do not fit {slots} slots")
        self.segment, self.generation, self.mask = segment, generation, slots - 1
        self.bytes = segment.mmap
        words = segment.buf[: self.arena].cast("Q")
        self.words, self.slots = words[:FIRST_SLOT], words[FIRST_SLOT:]
        if self.words[TAIL] > room:
            raise SegmentCorrupt(segment.path, f"its tail, {self.words[TAIL]:,}, is behind its end")

    @classmethod
    def open(cls, directory: Path, partition: int, generation: int, *, writable: bool = False) -> Table:
        """Map a table. Raises FileNotFoundError if it was replaced meanwhile, SegmentCorrupt."""
        path = directory / table_name(partition, generation)
        segment = Segment.open(path, writable=writable, what="registry names")
        try:
            table = cls(segment, generation)
        except BaseException:
            segment.close()
            raise
        if not writable:
            table.close()
        return table

    def record(self, word: int) -> tuple[int, int, bytes, bytes]:
        """Return address, version, name and metadata of the record that a slot's word names."""
        start = self.arena + ((word & PLACE_MASK) << 3)
        address, version, name_bytes, _, metadata_bytes = RECORD.unpack_from(self.bytes, start)
        start += RECORD_HEAD
        end = start + name_bytes
        return address, version, self.bytes[start:end], self.bytes[end : end + metadata_bytes]

    def close(self) -> None:
        """Give the descriptor back. The views keep the mapping for as long as somebody reads them."""
        self.segment.close()
