"""The node table: what every actor of one home is and does, readable by anyone, even while its process hangs.

An edge (memory). One file a home kernel; the kernel that hosts the actors is the only writer, and when it was reaped,
the controller or its replacement is. Fields are in node_table_layout.py; `words`, `u32`, `u16` and `u8` show the slots
as numbers of 8, 4, 2 and 1 bytes so that the kernel stores them without a call:

    table.words[index * SLOT_WORDS + WORD] = handled << HANDLED_SHIFT | in_hand(slot, block)

What a reader sees if the writer is killed at a store: the field's old value before it, the new one after it. Where the
order of two stores matters:

- A new tenant: first the generation, then the fields, with state FREE, then the state. Whoever holds an older
  generation reads generation, fields, generation: any field of the new tenant was stored after the old generation had
  gone, so it is never taken for his own. Killed in between: FREE and a generation skipped; none is used twice.
- Release: the state FREE, nothing else. Between the old tenant's end and the next `allocate` its address still finds
  its generation, with state FREE: dead.
- Growth: pages first, then `grown`. Killed in between: pages that the next growth allocates again, which is harmless.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from itertools import compress
from typing import Self

from ..errors import SegmentCorrupt, TableFull
from ..memory import PAGE, Segment, encode_header
from .node_table_layout import (
    CHUNK_SLOTS,
    DEFAULT_CAPACITY,
    GENERATION,
    GROWN,
    MAGIC,
    MAX_CAPACITY,
    SLOT_BYTES,
    SLOT_U8,
    SLOT_U32,
    SLOT_WORDS,
    SLOTS_AT,
    STATE,
    TEMPLATE_AT,
    VERSION,
    SlotView,
    State,
    slot_template,
    view_slot,
)

_PLAIN = slot_template()
_IS_FREE = bytes(state == State.FREE for state in range(256))


class NodeTable:
    """A table of actors. Make one with `create`, `anonymous` or `adopt` (the owner), or `open` (a reader).

    Only the owner may call `allocate…`, `release`, and store; its methods are for one thread.
    """

    __slots__ = (
        "_buf",
        "_free",
        "_grown",
                "_map",
        "_segment",
        "capacity",
        "header",
        "home",
        "u8",
        "u16",
        "u32",
        "words",
    )

    def __init__(self, mapped: mmap.mmap, capacity: int, home: int, segment: Segment | None, *, writable: bool) -> None:
        """Use the named constructors."""
        self.capacity, self.home = capacity, home
        self._segment, self._map = segment, mapped
        self._buf = segment.buf if segment is not None else memoryview(mapped)
        self.header = self._buf[:SLOTS_AT].cast("Q")
        slots = self._buf[SLOTS_AT : SLOTS_AT + capacity * SLOT_BYTES]
        self.u8 = slots
        self.u16, self.u32, self.words = slots.cast("H"), slots.cast("I"), slots.cast("Q")
        self._grown: int = self.header[GROWN]
        self._free: list[int] = []
        if writable:
            self._free = list(compress(range(self._grown), self.states().translate(_IS_FREE)))
            self._free.reverse()

    @classmethod
    def create(cls, path: str | os.PathLike[str], capacity: int = DEFAULT_CAPACITY, home: int = 0) -> Self:
        """Create an empty table as its owner: sparse, with pages for the first 4096 slots.

        Raises SharedMemoryFull (nothing is left behind), FileExistsError, or ValueError for a capacity out of range.
        """
        _check(capacity)
        segment = Segment.create(
            path,
            SLOTS_AT + capacity * SLOT_BYTES,
            what=f"the node table of {capacity:,} actors",
            header=encode_header(MAGIC, VERSION, capacity, home),
            allocate_bytes=PAGE,
        )
        return cls(segment.mmap, capacity, home, segment, writable=True)

    @classmethod
    def anonymous(cls, capacity: int = DEFAULT_CAPACITY, home: int = 0) -> Self:
        """Make a table without a file, for a node that is only this process. Memory comes as slots are used."""
        _check(capacity)
        size = SLOTS_AT + capacity * SLOT_BYTES
        mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0))
        return cls(mapped, capacity, home, None, writable=True)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Map a table to read it. Raises FileNotFoundError or SegmentCorrupt."""
        return cls._map_file(path, writable=False)

    @classmethod
    def adopt(cls, path: str | os.PathLike[str]) -> Self:
        """Take over a table whose owner is surely dead: rebuild its free list. `live()` names its tenants.

        Slots that its owner was about to fill are FREE; DEAD ones stay until someone releases them.
        """
        return cls._map_file(path, writable=True)

    @classmethod
    def _map_file(cls, path: str | os.PathLike[str], *, writable: bool) -> Self:
        segment = Segment.open(path, writable=writable, grows=writable, what="a node table")
        try:
            capacity, home, *_ = segment.geometry(MAGIC, VERSION)
            if not 1 <= capacity <= MAX_CAPACITY or segment.size_bytes != SLOTS_AT + capacity * SLOT_BYTES:
                raise SegmentCorrupt(segment.path, f"{capacity} slots do not make {segment.size_bytes} bytes")
            return cls(segment.mmap, capacity, home, segment, writable=writable)
        except BaseException:
            segment.close()
            raise

    @property
    def grown(self) -> int:
        """Return how many slots may be in use; no reader needs to look further."""
        return int(self.header[GROWN])

    @property
    def used(self) -> int:
        """Return how many slots are not free. For the owner."""
        return self._grown - len(self._free)

    def allocate(self, template: bytes = _PLAIN) -> tuple[int, int]:
        """Give a slot a new tenant in state STARTING; return (index, generation).

        `template` is from `slot_template`. Raises TableFull, or SharedMemoryFull when the table cannot grow.
        """
        free = self._free or self._grow()
        index = free.pop()
        generation_at = index * SLOT_U32 + GENERATION
        generation = self.u32[generation_at] + 1 & 0xFFFFFFFF or 1
        start = index * SLOT_BYTES + SLOTS_AT
        # crash: allocate.generation
        self.u32[generation_at] = generation
        # crash: allocate.word
        self.words[index * SLOT_WORDS] = 0
        # crash: allocate.fields
        self._map[start + TEMPLATE_AT : start + SLOT_BYTES] = template
        # Killed here or before: FREE, and its generation skipped.
        # crash: allocate.state
        self.u8[index * SLOT_U8 + STATE] = 1  # State.STARTING
        # Killed here: STARTING, and its creator gone: whoever adopts the table finds it among `live()`.
        # crash: allocate.done
        return index, generation

    def allocate_many(self, n: int, template: bytes = _PLAIN) -> list[tuple[int, int]]:
        """Allocate `n` slots alike, all or none. Raises as `allocate` does."""
        while len(self._free) < n:
            self._grow()
        allocate = self.allocate
        return [allocate(template) for _ in range(n)]

    def release(self, index: int) -> None:
        """End the tenancy of a slot: it may be allocated again at once."""
        # crash: release.state
        self.u8[index * SLOT_U8 + STATE] = 0  # State.FREE
        # crash: release.done
        self._free.append(index)

    def read(self, index: int) -> SlotView:
        """Return what slot `index` says now (any index below the capacity); compare its generation with yours.

        Read by another process than the writer's, the fields may stem from neighbouring moments, but never from
        another generation than the one returned: then it looks again.
        """
        at = index * SLOT_U32 + GENERATION
        start = SLOTS_AT + index * SLOT_BYTES
        if index >= self.header[GROWN]:
            return view_slot(bytes(SLOT_BYTES))
        while True:
            before = self.u32[at]
            raw = self._map[start : start + SLOT_BYTES]
            if before == self.u32[at]:
                return view_slot(raw)

    def states(self) -> bytes:
        """Return the state of every slot up to `grown`, one byte each."""
        return bytes(self.u8[STATE : self.grown * SLOT_BYTES : SLOT_BYTES])

    def live(self) -> Iterator[int]:
        """Yield the indices of all slots that are not FREE, lowest first, as of now."""
        states = self.states()
        return compress(range(len(states)), states)

    def count(self) -> dict[State, int]:
        """Return how many slots are in each state, FREE ones aside."""
        states = self.states()
        return {state: n for state in State if state and (n := states.count(state))}

    def close(self) -> None:
        """Unmap. Idempotent; the file stays."""
        for view in (self.words, self.u32, self.u16, self.u8, self.header, self._buf):
            view.release()
        if self._segment is not None:
            self._segment.close()
        else:
            self._map.close()

    def _grow(self) -> list[int]:
        first = self._grown
        if first >= self.capacity:
            raise TableFull(self.home, self.capacity)
        grown = min(first + CHUNK_SLOTS, self.capacity)
        if self._segment is not None:
            self._segment.allocate(SLOTS_AT + first * SLOT_BYTES, (grown - first) * SLOT_BYTES)
        # crash: grow.commit
        self.header[GROWN] = self._grown = grown
        # crash: grow.done
        self._free[:0] = range(grown - 1, first - 1, -1)
        return self._free


def _check(capacity: int) -> None:
    if not 1 <= capacity <= MAX_CAPACITY:
        raise ValueError(f"a node table has 1 to {MAX_CAPACITY:,} slots, not {capacity!r}")
