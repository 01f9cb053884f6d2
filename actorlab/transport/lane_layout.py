"""The bytes of a lane: where everything stands, and what each status means.

Pure; used by lane.py. One file a lane, from one process slot (the sender) to another (the receiver). B blocks of
256 bytes, B a power of two. All numbers are little-endian and aligned, so each store below is one move.

    0            the segment header: "alLane", version, geometry = (blocks, block bytes)
    64           tail     u64  sender    position after the last published message; the first position is 1
    72           sent     u64  sender    payload bytes published (behind by at most one refill of the free list)
    80           waits    u64  sender    times it found no room
    128          head     u64  receiver  position after the last drained message
    192          want     u8   both      1: the sender waits for room (it sets), 0: nobody does (the receiver clears)
    4096         ring     B × u32        entry of position p at p mod B: the file offset of the message's first block
    … + 4 B      status   B × u8         one a block, apart from the data
    … (a page)   blocks   B × 256

    a message's first block                               status      who writes it
    ┌──────────────────────────────────┐                  0 FREE      receiver (of one block), sender (of several)
    │  0  position u64                 │                  1 SINGLE    sender: published, one block
    │  8  dest     u64  address        │                  2 SPAN      sender: published, first of several blocks
    │ 16  corr     u64  correlation id │                  3 REST      sender: a further block of a span
    │ 24  kind u8  flags u8  block u16 │                  4 RETURNED  receiver: first block of a span it is done with;
    │ 28  length   u32  payload bytes  │                              the sender frees the span's blocks
    │ 32  payload …                    │
    └──────────────────────────────────┘

The payload goes on over the following blocks (they have no header), at most 64 in all. Sender and receiver are on
different cache lines. Position 0 is no position: a header that is being overwritten reads as 0 or as a whole number.
"""

from __future__ import annotations

import struct

from ..errors import SegmentCorrupt
from ..lean_dataclass import dataclass
from ..memory import HEADER_BYTES, PAGE, Segment, encode_header, round_up

MAGIC = b"alLane"
VERSION = 1

BLOCK_BYTES = 256
BLOCK_SHIFT = 8
MESSAGE_HEADER_BYTES = 32
MAX_SPAN = 64
MIN_BLOCKS, MAX_BLOCKS = 64, 32_768
DEFAULT_BLOCKS = 4096
MAX_PAYLOAD_BYTES = MAX_SPAN * BLOCK_BYTES - MESSAGE_HEADER_BYTES
ONE_BLOCK_BYTES = BLOCK_BYTES - MESSAGE_HEADER_BYTES

BLOCKS = 2  # these five index the file as u64
TAIL = HEADER_BYTES // 8
SENT_BYTES = TAIL + 1
WAITS = TAIL + 2
HEAD = 16
WANT = 192  # index of a byte
RING = PAGE

FREE, SINGLE, SPAN, REST, RETURNED = range(5)

IS_MESSAGE = bytes(status in (SINGLE, SPAN) for status in range(256))
"""For `statuses.translate`: 1 where a message's first block is."""

HEADER = struct.Struct("<QQQBBHI")
"""A message's header as the sender writes it: position, dest, corr, kind, flags, block, length."""

HEADER_AND_PAYLOAD = struct.Struct(f"<QQQBBHI{ONE_BLOCK_BYTES}s")
"""The same with a payload that fits the block."""

RECORD = struct.Struct("<8xQQBBHI")
"""A message's header as the receiver hands it on: dest, corr, kind, flags, block, length."""

POSITION = struct.Struct("<Q")
LENGTH = struct.Struct("<I")
LENGTH_AT = 28


def span_of(length: int) -> int:
    """Return how many blocks a payload of `length` bytes takes.

    >>> span_of(0), span_of(224), span_of(225), span_of(MAX_PAYLOAD_BYTES)
    (1, 1, 2, 64)
    """
    return (length + MESSAGE_HEADER_BYTES + BLOCK_BYTES - 1) >> BLOCK_SHIFT


@dataclass(frozen=True, slots=True)
class LaneLayout:
    """Where the parts of a lane of `blocks` blocks begin, as offsets in bytes."""

    blocks: int

    def __post_init__(self) -> None:
        if not MIN_BLOCKS <= self.blocks <= MAX_BLOCKS or self.blocks & (self.blocks - 1):
            raise ValueError(f"blocks must be a power of two from {MIN_BLOCKS} to {MAX_BLOCKS}, not {self.blocks}")

    @property
    def status(self) -> int:
        """Return where the status bytes begin."""
        return RING + 4 * self.blocks

    @property
    def data(self) -> int:
        """Return where the blocks begin."""
        return round_up(self.status + self.blocks, PAGE)

    @property
    def size_bytes(self) -> int:
        """Return the size of the file."""
        return self.data + self.blocks * BLOCK_BYTES

    def header(self) -> bytes:
        """Return the bytes a new lane begins with: header, tail = head = 1."""
        first = bytearray(HEAD * 8 + 8)
        first[:HEADER_BYTES] = encode_header(MAGIC, VERSION, self.blocks, BLOCK_BYTES)
        POSITION.pack_into(first, TAIL * 8, 1)
        POSITION.pack_into(first, HEAD * 8, 1)
        return bytes(first)


def layout_of(segment: Segment) -> LaneLayout:
    """Return the layout of a lane's segment, or raise SegmentCorrupt."""
    blocks, block_bytes, *_ = segment.geometry(MAGIC, VERSION)
    try:
        layout = LaneLayout(blocks)
    except ValueError as error:
        raise SegmentCorrupt(segment.path, str(error)) from None
    if block_bytes != BLOCK_BYTES or segment.size_bytes != layout.size_bytes:
        why = f"{blocks} blocks of {block_bytes} bytes do not make a file of {segment.size_bytes} bytes"
        raise SegmentCorrupt(segment.path, why)
    return layout
