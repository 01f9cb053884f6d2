"""The bytes of a process's slabs: one sparse file, `slabs.<slot>.<epoch>`, and a table of who has which slab.

Pure; used by both ends and by whoever accounts for memory. Numbers are little-endian and aligned: a store is one move.

    0       the segment header: "alSlabs", version, geometry = (budget in bytes,)
    64      messages   u64  sender   how many messages went into slabs
    72      fallbacks  u64  sender   how many did not, and went into files of their own
    4096    entries    n × 64 bytes, one a slab:
            ┌───────────────────────────────────────────────────────────────────────────┐
            │  0  lent   u64  sender    generation << 33 | slot of the receiver         │
            │  8  bytes  u64  sender    how much of the slab has pages behind it        │
            │ 32  taken  u64  receiver  generation << 33 | epoch of the holder << 1 | 1 │
            │                           generation << 33: given back                    │
            └───────────────────────────────────────────────────────────────────────────┘
    …       slabs, the largest class first, at a multiple of 2 MiB

A slab is *free* when `taken` says that the generation in `lent` was given back (0 and 0: never used), *lent* when
`taken` is of an earlier generation (its message is unread), *held* when the receiver in that epoch looks at it. Only
the sender writes `lent`, only the receiver that it names writes `taken`, so each has one writer at a time.

Classes are powers of two; a slab's pages are allocated up to what its messages needed, so a class that is twice the
message wastes addresses and no memory. The budget bounds the pages of all slabs together, not the addresses.
"""

from __future__ import annotations

from functools import lru_cache

from ..errors import SegmentCorrupt
from ..lean_dataclass import dataclass
from ..memory import HEADER_BYTES, PAGE, Segment, decode_header, encode_header, round_up

MAGIC = b"alSlabs"
VERSION = 1

SMALLEST_BYTES = 64 * 1024
LARGEST_BYTES = 64 << 20
MIN_BUDGET_BYTES = 1 << 20
MOST_OF_A_CLASS = 64

MESSAGES = HEADER_BYTES // 8  # these index the file as u64
FALLBACKS = MESSAGES + 1
TABLE_AT = PAGE
ENTRY_WORDS = 8
LENT, BYTES, TAKEN = 0, 1, 4

GENERATION_SHIFT = 33
GENERATION_MASK = (1 << 31) - 1
HELD = 1

_DATA_ALIGN = 2 << 20


@dataclass(frozen=True, slots=True)
class SlabLayout:
    """Where everything stands. By slab: `offsets`, `sizes` (bytes); by class, the smallest first: `classes`."""

    budget_bytes: int
    classes: tuple[tuple[int, range], ...]
    """Size, and the indices of its slabs."""
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    table_bytes: int
    size_bytes: int

    def header(self) -> bytes:
        """Return the first bytes of a new file."""
        return encode_header(MAGIC, VERSION, self.budget_bytes)

    @property
    def largest_bytes(self) -> int:
        """Return the size of the largest message that fits a slab."""
        return self.classes[-1][0]

    def class_of(self, size: int) -> int:
        """Return the smallest class that takes `size` bytes; at most the largest message's.

        >>> [lay_out_slabs(1 << 28).class_of(size) for size in (1, 65_536, 65_537, 1 << 20)]
        [0, 0, 1, 4]
        """
        return max(0, (size - 1).bit_length() - 16)


@lru_cache(maxsize=16)
def lay_out_slabs(budget_bytes: int) -> SlabLayout:
    """Return the layout for slabs whose pages may take `budget_bytes` together (at least MIN_BUDGET_BYTES).

    No slab is larger than a quarter of that, so that a few may be under way at once.

    >>> layout = lay_out_slabs(1 << 20)
    >>> [(size, len(slabs)) for size, slabs in layout.classes], layout.largest_bytes
    ([(65536, 16), (131072, 8), (262144, 4)], 262144)
    """
    most = max(SMALLEST_BYTES, min(LARGEST_BYTES, budget_bytes // 4))
    sizes = [SMALLEST_BYTES << c for c in range((most // SMALLEST_BYTES).bit_length())]
    counts = [min(MOST_OF_A_CLASS, max(1, budget_bytes // size)) for size in sizes]
    table_bytes = TABLE_AT + 8 * ENTRY_WORDS * sum(counts)
    at, index = round_up(table_bytes, _DATA_ALIGN), 0
    offsets: list[int] = []
    by_slab: list[int] = []
    classes: list[tuple[int, range]] = []
    for size, number in zip(reversed(sizes), reversed(counts), strict=True):
        offsets += range(at, at + size * number, size)
        by_slab += [size] * number
        classes.append((size, range(index, index + number)))
        at, index = at + size * number, index + number
    return SlabLayout(budget_bytes, tuple(reversed(classes)), tuple(offsets), tuple(by_slab), table_bytes, at)


def layout_of_slabs(segment: Segment) -> SlabLayout:
    """Return the layout of a slab file, or raise SegmentCorrupt."""
    return layout_in_header(segment.path, bytes(segment.buf[:HEADER_BYTES]), segment.size_bytes)


def layout_in_header(path: str, raw: bytes, size_bytes: int) -> SlabLayout:
    """Return the layout that the first bytes of a file of `size_bytes` tell of, or raise SegmentCorrupt."""
    budget_bytes, *_ = decode_header(path, raw, magic=MAGIC, version=VERSION)
    if budget_bytes < MIN_BUDGET_BYTES or lay_out_slabs(budget_bytes).size_bytes != size_bytes:
        raise SegmentCorrupt(path, f"{size_bytes:,} bytes are no slabs of {budget_bytes:,} bytes")
    return lay_out_slabs(budget_bytes)
