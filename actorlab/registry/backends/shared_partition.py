"""A partition of the shared backend, from its owner's side: every store into shared memory that names take.

Edge; used by the shared backend alone, under its lock. Each change becomes visible by one store of 8 bytes; the
order of the stores before it is the subject of the comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...errors import SegmentCorrupt, SharedMemoryFull
from ...memory import Segment, encode_header
from .shared_files import Control, Table
from .shared_layout import (
    ARENA_BYTES_PER_SLOT,
    EMPTY,
    FIRST_PLACE,
    FREED,
    LAYOUT_VERSION,
    LIVE,
    MAX_ARENA_BYTES,
    PLACE_MASK,
    RECORD,
    RECORD_HEAD,
    TABLE_MAGIC,
    TAIL,
    VERSIONS,
    arena_start,
    generation_word,
    record_bytes,
    slot_word,
    slots_for,
    table_name,
)

STEP_BYTES = 64 * 1024
"""The arena is allocated in steps of at least this, so that the system is asked seldom."""

SLACK_BYTES = 256 * 1024
"""Freed records are left lying until there are this many more bytes of them than of living ones."""


class Partition:
    """The one writer of one partition."""

    __slots__ = (
        "_allocated",
        "_control",
        "_directory",
        "_live",
        "_live_bytes",
        "_number",
        "_partitions",
        "_table",
        "_tail",
        "_used",
    )

    def __init__(self, directory: Path, number: int, control: Control) -> None:
        self._directory, self._number, self._control = directory, number, control.words
        self._partitions = control.partitions
        generation = control.words[generation_word(number)]
        try:
            self._table = Table.open(directory, number, generation, writable=True)
        except FileNotFoundError:
            raise SegmentCorrupt(str(directory), f"{table_name(number, generation)} is missing") from None
        self._live = self._used = self._live_bytes = 0
        self._tail = self._table.words[TAIL]
        self._allocated = self._tail

    def recover(self) -> Iterator[tuple[str, int]]:
        """Count what is there and yield each name with its address. Raises SegmentCorrupt."""
        table = self._table
        for word in table.slots.tolist():
            if word == EMPTY:
                continue
            self._used += 1
            if word == FREED:
                continue
            place = (word & PLACE_MASK) << 3
            address, _, key, metadata = table.record(word) if place + RECORD_HEAD <= self._tail else (0, 0, b"", b"")
            size = record_bytes(len(key), len(metadata))
            if not key or place + size > self._tail:
                raise SegmentCorrupt(table.segment.path, f"a slot names bytes at {place}, behind the tail")
            self._live += 1
            self._live_bytes += size
            yield key.decode(), address
        # Off by one if the last owner was killed between a slot and this word, and still so if we are killed before it.
        # crash: recover_count
        table.words[LIVE] = self._live
        # crash: recover_counted

    def find(self, key: bytes, hashed: int) -> tuple[int, int, bytes] | None:
        """Return address, version and metadata of a name, or None."""
        word = self._probe(key, hashed)[1]
        if word == EMPTY:
            return None
        address, version, _, metadata = self._table.record(word)
        return address, version, metadata

    def _probe(self, key: bytes, hashed: int) -> tuple[int, int]:
        """Return the slot and word of a name; or the slot where it would go, and 0."""
        table = self._table
        slots, mask = table.slots, table.mask
        slot = hashed // self._partitions & mask
        vacant = -1
        while word := slots[slot]:
            if word == FREED:
                if vacant < 0:
                    vacant = slot
            elif word >> 32 == hashed and table.record(word)[2] == key:
                return slot, word
            slot = slot + 1 & mask
        return (slot if vacant < 0 else vacant), EMPTY

    def put(self, key: bytes, hashed: int, address: int, metadata: bytes) -> int:
        """Publish a name's (new) record and return its version. Raises SharedMemoryFull with nothing changed."""
        size = record_bytes(len(key), len(metadata))
        self._make_room(size)
        table, tail = self._table, self._tail
        slot, old = self._probe(key, hashed)
        # The number before the record: killed in between, a version is skipped, but none is given out twice.
        version = table.words[VERSIONS] + 1
        # crash: version_next
        table.words[VERSIONS] = version
        # crash: version_taken
        start = table.arena + tail
        RECORD.pack_into(table.bytes, start, address, version, len(key), 0, len(metadata))
        # crash: head_written
        start += RECORD_HEAD
        table.bytes[start : start + len(key) + len(metadata)] = key + metadata
        # crash: record_written
        # The tail before the slot: else the next owner would write over a record that readers already see.
        table.words[TAIL] = self._tail = tail + size
        # crash: tail_moved
        was = table.slots[slot]
        table.slots[slot] = slot_word(hashed, tail)
        # crash: published
        self._live_bytes += size
        if old != EMPTY:
            _, _, old_key, old_metadata = table.record(old)
            self._live_bytes -= record_bytes(len(old_key), len(old_metadata))
            return version
        self._used += was == EMPTY
        self._live += 1
        table.words[LIVE] = self._live
        # crash: counted
        return version

    def close(self) -> None:
        """Give the descriptor back."""
        self._table.close()

    def free(self, key: bytes, hashed: int, owner: int | None) -> int | None:
        """Free a name (if `owner`, where given, has it) and return its address, or None."""
        table = self._table
        slots, mask = table.slots, table.mask
        slot, word = self._probe(key, hashed)
        if word == EMPTY:
            return None
        address, _, _, metadata = table.record(word)
        if owner is not None and address != owner:
            return None
        # Where the search would end at the next slot anyway, it may as well end here.
        is_last = slots[slot + 1 & mask] == EMPTY
        # crash: free_next
        slots[slot] = EMPTY if is_last else FREED
        # crash: freed
        self._used -= is_last
        self._live -= 1
        self._live_bytes -= record_bytes(len(key), len(metadata))
        table.words[LIVE] = self._live
        # crash: freed_counted
        return address

    def _make_room(self, size: int) -> None:
        table, needed = self._table, self._tail + size
        if 2 * (self._used + 1) > table.mask + 1 or table.arena + needed > len(table.bytes):
            self._rebuild(size)
            return
        if self._tail - FIRST_PLACE - self._live_bytes > self._live_bytes + SLACK_BYTES:
            try:
                self._rebuild(size)
                return
            except SharedMemoryFull:
                pass  # there is no room for a tidy copy, but there may be for one more record
        if needed > self._allocated:
            # An eighth of what there is: a big table asks as seldom as a small one.
            step = max(STEP_BYTES, self._tail // 8 & -8)
            room = len(table.bytes) - table.arena - self._allocated
            length = min(max(step, needed - self._allocated), room)
            table.segment.allocate(table.arena + self._allocated, length)
            self._allocated += length

    def _rebuild(self, size: int) -> None:
        """Write the living into a new table and publish that: grown to fit, without what was freed."""
        old = self._table
        names, room = self._live + 1, self._live_bytes + size
        table = write_table(self._directory, self._number, old.generation + 1, names, room)
        tail, used = _copy_living(old, table, self._partitions)
        # crash: copied
        self._control[generation_word(self._number)] = table.generation
        # crash: table_published
        # Before anything that may raise: from here on the old table is never written again.
        self._table, self._tail, self._used, self._allocated = table, tail, used, tail
        Path(old.segment.path).unlink(missing_ok=True)
        # crash: old_removed
        old.close()


def _copy_living(old: Table, new: Table, partitions: int) -> tuple[int, int]:
    """Copy records and slots into a table that nobody reads yet; return its tail and used slots."""
    source, target, mask = old.bytes, new.bytes, new.mask
    slots, tail, used = new.slots, FIRST_PLACE, 0
    unpack = RECORD.unpack_from
    for word in old.slots.tolist():
        if word <= FREED:
            continue
        start = old.arena + ((word & PLACE_MASK) << 3)
        _, _, name_bytes, _, metadata_bytes = unpack(source, start)
        size = (RECORD_HEAD + name_bytes + metadata_bytes + 7) & ~7
        place = new.arena + tail
        target[place : place + size] = source[start : start + size]
        hashed = word >> 32
        slot = hashed // partitions & mask
        while slots[slot]:
            slot = slot + 1 & mask
        slots[slot] = slot_word(hashed, tail)
        tail += size
        used += 1
    new.words[VERSIONS] = old.words[VERSIONS]
    new.words[TAIL] = tail
    new.words[LIVE] = used
    return tail, used


def write_table(directory: Path, number: int, generation: int, names: int, record_bytes_now: int) -> Table:
    """Make an empty table with room for `names` and `record_bytes_now` bytes of records, and more to grow into.

    Nobody sees it before its generation is published. Raises SharedMemoryFull, and then leaves no file.
    """
    slots = slots_for(names)
    needed = FIRST_PLACE + record_bytes_now
    arena = min(max(slots * ARENA_BYTES_PER_SLOT, 4 * needed), MAX_ARENA_BYTES)
    path = directory / table_name(number, generation)
    if needed > arena:
        raise SharedMemoryFull("registry names", needed, MAX_ARENA_BYTES, str(directory))
    # crash: table_begun
    path.unlink(missing_ok=True)  # left by an owner that was killed before it published one
    # crash: table_next
    segment = Segment.create(
        path,
        arena_start(slots) + arena,
        what="a registry table",
        header=encode_header(TABLE_MAGIC, LAYOUT_VERSION, slots),
        allocate_bytes=arena_start(slots) + min(needed + STEP_BYTES, arena),
    )
    # crash: table_linked
    table = Table(segment, generation)
    table.words[TAIL] = FIRST_PLACE
    # crash: table_made
    return table
