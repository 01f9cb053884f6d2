"""Part: one file of a stream, mapped.

An edge (files, memory); used by the stream's writer and its readers. A reader maps the whole capacity at once, though
most of it has no pages yet, and never looks beyond what is committed; so all that it reads of a part is one mapping.
"""

from __future__ import annotations

import os
from typing import Self

from ..errors import SegmentCorrupt
from .layout import PAGE, encode_header
from .segment import Segment
from .stream_layout import COMMITTED, DATA, MAGIC, MAX_PART_BYTES, VERSION, Commit, part_name, part_number, unpack


class Part:
    """One part: `number`, `first` (the number of its first batch), `capacity` (bytes), and its mapped `segment`."""

    __slots__ = ("capacity", "first", "number", "segment", "words")

    def __init__(self, segment: Segment, number: int, first: int, capacity: int) -> None:
        self.segment, self.number, self.first, self.capacity = segment, number, first, capacity
        self.words = segment.buf[COMMITTED : COMMITTED + 8].cast("Q")

    @classmethod
    def create(cls, folder: str, number: int, first: int, capacity: int, what: str) -> Self:
        """Create an empty part under its name, with pages for its header only. It appears whole or not at all."""
        header = encode_header(MAGIC, VERSION, number, first, capacity)
        path = os.path.join(folder, part_name(number))
        return cls(
            Segment.create(path, capacity, what=what, header=header, allocate_bytes=PAGE), number, first, capacity
        )

    @classmethod
    def open(cls, folder: str, number: int, *, writable: bool = False) -> Self:
        """Map an existing part. Raises FileNotFoundError, SegmentCorrupt. Readers are seen in /proc/locks meanwhile."""
        path = os.path.join(folder, part_name(number))
        segment = Segment.open(path, writable=writable, what="a stream", noted=not writable)
        try:
            own, first, capacity, *_ = segment.geometry(MAGIC, VERSION)
            if own != number or not DATA < capacity <= MAX_PART_BYTES or segment.size_bytes < DATA:
                raise SegmentCorrupt(path, f"is not part {number} of a stream")
            if writable and segment.size_bytes < capacity:  # its writer was killed while it cut a tail
                segment.resize_file(capacity)
                segment.close()
                segment = Segment.open(path, writable=True, what="a stream")
            part = cls(segment, number, first, capacity)
            if DATA + part.commit().length > capacity:
                raise SegmentCorrupt(path, f"claims {part.commit().length:,} bytes and has room for {capacity:,}")
            return part
        except BaseException:
            segment.close()
            raise

    @property
    def path(self) -> str:
        """Its file."""
        return self.segment.path

    def is_there(self) -> bool:
        """Whether its name is still its own: not when it was dropped, or the stream removed, or another has its name.

        A part that is not closed is dropped with its stream only.
        """
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (status.st_dev, status.st_ino) == self.segment.file

    def word(self) -> int:
        """Return the committed word, by one load."""
        return self.words[0]

    def commit(self) -> Commit:
        """Return what is committed now."""
        return unpack(self.words[0])

    def is_whole(self, length: int) -> bool:
        """Whether so many committed bytes are in this mapping; it was short if its writer was just cutting a tail."""
        return DATA + length <= self.segment.size_bytes

    def trim(self) -> None:
        """Cut what is behind the committed end: torn tails, and pages that were allocated ahead. The writer's.

        Of this very file: when the stream was removed, its name may be that of another stream's part.
        """
        end = DATA + self.commit().length
        # Whoever maps the part touches nothing behind `end`. Killed between the two: the file is short, and made long
        # again by the next writer, who comes by here.
        # crash: trim.cut
        self.segment.resize_file(end)
        # crash: trim.short
        self.segment.resize_file(self.capacity)
        # crash: trim.long

    def close(self) -> None:
        """Unmap, as soon as no batch of it is used any more."""
        self.words.release()
        self.segment.close()


def part_numbers(folder: str) -> list[int]:
    """Return the numbers of the parts there are, the oldest first. Raises FileNotFoundError for no stream."""
    return sorted(number for name in os.listdir(folder) if (number := part_number(name)) is not None)


def stream_bytes(folder: str) -> int:
    """Return what the file system charges for a stream; 0 if it is gone."""
    total = 0
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return 0
    for entry in entries:
        try:
            total += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            pass  # dropped since the listing
    return total
