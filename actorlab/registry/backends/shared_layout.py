"""The shared backend's bytes: what stands where in its files.

Pure; used by the owner, the readers and nobody else. Words are unsigned, 64 bits, little-endian and
at multiples of 8, so that one is written by one store and seen old or new, never mixed. A directory has one control
file and one table file a partition:

    control                                 three and more lines of 64 bytes
    ┌───────────────────────────────────────────────────────────────────────────────┐
    │ header (memory.layout); geometry: partitions                                  │    0 ..
    ├──────────────────┬──────────────────┬─────────────────────────────────────────┤
    │ owner's pid or 0 │ its start time   │ unused                                  │   64 ..
    ├──────────────────┼──────────────────┴─────────────────────────────────────────┤
    │ generation       │ unused                              (a line a partition)   │   64 (2 + partition) ..
    └──────────────────┴────────────────────────────────────────────────────────────┘

    table-<partition>-<generation>
    ┌───────────────────────────────────────────────────────────────────────────────┐
    │ header (memory.layout); geometry: slots (a power of two)                      │    0 ..
    ├──────────────────┬──────────────────┬──────────────────┬──────────────────────┤
    │ tail             │ versions         │ live             │ unused               │   64 ..
    ├──────────────────┼──────────────────┼──────────────────┴──────────────────────┤
    │ slot 0           │ slot 1           │ … open addressing, the next slot after  │  128 ..
    │                  │                  │ a collision; at most half are in use    │
    ├──────────────────┴──────────────────┴─────────────────────────────────────────┤
    │ arena: records, each at a multiple of 8 from its start, up to `tail` (bytes); │  128 + 8 slots ..
    │ behind the tail room, of which as much as is soon needed has pages            │
    └───────────────────────────────────────────────────────────────────────────────┘

    slot     0 empty, 1 freed, or    63 ── hash of the name ── 32 │ 31 ── record's place in the arena / 8 ── 0
    record   address (8) │ version (8) │ name's length (2) │ unused (2) │ metadata's length (4) │ name │ metadata

What follows from it. A record below the tail never changes and its place is never used again in that table: so a
slot that still holds the same word still names the same bytes, which is what the readers' cache relies on. A change
takes effect by the store into its slot, or, for a whole new table, into the generation; everything before that store
is invisible and may be lost with its writer. A table that has been replaced is never written again: whoever still
reads it sees the state at the moment of the replacement. The order of the stores is the order in which x86 makes them
visible; on ARM this is unproven.
"""

from __future__ import annotations

import struct

LINE = 64
WORD = 8

CONTROL_MAGIC = b"alNames"
TABLE_MAGIC = b"alTable"
LAYOUT_VERSION = 1

# Words, counted from the start of the file.
OWNER_PID, OWNER_STARTED = 8, 9
TAIL, VERSIONS, LIVE = 8, 9, 10
FIRST_SLOT = 16

EMPTY = 0
FREED = 1
FIRST_PLACE = 16
"""Where the first record stands in the arena: not at 0 or 8, so that no record's slot reads as empty or freed."""

RECORD = struct.Struct("<QQHHI")
RECORD_HEAD = RECORD.size
PLACE_MASK = (1 << 32) - 1
MAX_ARENA_BYTES = 1 << 35

CONTROL_FILE = "control"
TABLE_PREFIX = "table-"

MIN_SLOTS = 64
ARENA_BYTES_PER_SLOT = 128


def generation_word(partition: int) -> int:
    """Return which word of the control file holds a partition's generation.

    >>> generation_word(0), generation_word(1)
    (16, 24)
    """
    return (partition + 2) * LINE // WORD


def control_bytes(partitions: int) -> int:
    """Return the control file's size.

    >>> control_bytes(8)
    640
    """
    return LINE * (2 + partitions)


def table_name(partition: int, generation: int) -> str:
    """Return the name of a partition's table file.

    >>> table_name(3, 12)
    'table-3-12'
    """
    return f"{TABLE_PREFIX}{partition}-{generation}"


def arena_start(slots: int) -> int:
    """Return where a table's arena begins.

    >>> arena_start(64)
    640
    """
    return WORD * (FIRST_SLOT + slots)


def record_bytes(name_bytes: int, metadata_bytes: int) -> int:
    """Return the room a record takes, a multiple of 8.

    >>> record_bytes(7, 0), record_bytes(8, 1)
    (32, 40)
    """
    return (RECORD_HEAD + name_bytes + metadata_bytes + 7) & ~7


def slots_for(names: int) -> int:
    """Return how many slots a new table for `names` has: a sixth to a third of them in use at first.

    >>> slots_for(0), slots_for(1000)
    (64, 4096)
    """
    return max(MIN_SLOTS, 1 << (3 * names - 1).bit_length()) if names else MIN_SLOTS


def slot_word(hashed: int, place: int) -> int:
    """Return the word that publishes the record at `place` bytes into the arena.

    >>> hex(slot_word(0xABCD, 16))
    '0xabcd00000002'
    """
    return hashed << 32 | place >> 3
