"""The layout of a stream's parts: a page that says how far the part is committed, then Arrow's own stream format.

Pure; used by the parts. A stream is a directory of parts, numbered from 1; each holds the schema and some batches:

    0                64                72          4096                                     capacity
    ┌────────────────┬─────────────────┬───────────┬────────┬─────────┬─────────┬───────────┐
    │ segment header │ committed (u64) │ spare     │ schema │ batch   │ batch   │ zeros     │
    └────────────────┴─────────────────┴───────────┴────────┴─────────┴─────────┴───────────┘

    geometry: the part's number, the number of its first batch, its capacity in bytes
    committed: bits 0-30 batches, bit 31 closed, bits 32-63 length in units of 8 bytes

Everything that a reader must know changes in that one word, by one 8-byte store: whoever writes it was killed before or
after, and no batch is ever seen in part. What follows byte 4096 is an Arrow IPC stream for any reader of that format:
zeros are its end mark. The low half changes with every commit, so it is what sleepers watch.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .layout import PAGE

STREAMS = "streams"
"""Where a pool's data has its streams, a directory each."""

MAGIC = b"alStream"
VERSION = 1
COMMITTED = 64
DATA = PAGE
UNIT = 8

CLOSED = 1 << 31
MAX_BATCHES = CLOSED - 1
MAX_PART_BYTES = UNIT * (2**32 - 1)

_PART = re.compile(r"([0-9]{8,})\.part")


class Commit(NamedTuple):
    """What the committed word says: bytes from `DATA` on, how many batches are in them, and whether more may come."""

    length: int
    batches: int
    closed: bool


def pack(length: int, batches: int, closed: bool = False) -> int:
    """Return the committed word; `length` is a multiple of 8.

    >>> unpack(pack(4096, 7, True))
    Commit(length=4096, batches=7, closed=True)
    """
    return length // UNIT << 32 | (CLOSED if closed else 0) | batches


def unpack(word: int) -> Commit:
    """Return what a committed word says.

    >>> unpack(0)
    Commit(length=0, batches=0, closed=False)
    """
    return Commit((word >> 32) * UNIT, word & MAX_BATCHES, bool(word & CLOSED))


def part_name(number: int) -> str:
    """Return the name of a part's file.

    >>> part_name(12), part_number(part_name(12)), part_number("other")
    ('00000012.part', 12, None)
    """
    return f"{number:08d}.part"


def part_number(name: str) -> int | None:
    """Return the number in a part's name; None if it is no part's."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match else None
