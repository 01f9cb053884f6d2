"""The bytes of a large message: its token in the lane, and its image in a file or a slab.

Pure; used by spill.py, which says where an image lies, and by the two ends of the slabs. The token, 22 bytes:

    ┌──────────┬───────────┬────────────┬──────────┐    serial below 2^63: the number of a file of its own;
    │ slot u16 │ epoch u32 │ serial u64 │ size u64 │    else a slab of that process: 1 << 63 | generation << 16 | index
    └──────────┴───────────┴────────────┴──────────┘

The image, whose buffers each begin at a multiple of 64:

    ┌────────────────────────┬─────────────────────┬──────┬───────────┬──────────┬──
    │ magic, meta_bytes, n   │ n × (offset, bytes) │ meta │ buffer 0  │ buffer 1 │ …
    └────────────────────────┴─────────────────────┴──────┴───────────┴──────────┴──
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ..errors import SegmentCorrupt

SPILLED = 1
"""Flag of a message in a lane whose payload is a token."""
ALIGN = 64
TOKEN_BYTES = 22

_TOKEN = struct.Struct("<HIQQ")  # slot, epoch, serial, size of the image
_HEAD = struct.Struct("<8sQQ")  # magic, bytes of meta, number of buffers
_ENTRY = struct.Struct("<QQ")  # offset, bytes
_MAGIC = b"alspill1"
_IN_SLAB = 1 << 63
_INDEX_BITS = 16


class Token(NamedTuple):
    """What a lane carries in a large message's stead. `slot` and `epoch` are its sender's, `size` the image's bytes."""

    slot: int
    epoch: int
    serial: int
    size: int

    @property
    def in_slab(self) -> bool:
        """Return whether the image lies in a slab, not in a file of its own."""
        return self.serial >= _IN_SLAB

    @property
    def slab(self) -> int:
        """Return which slab of its sender's it is."""
        return self.serial & (1 << _INDEX_BITS) - 1

    @property
    def generation(self) -> int:
        """Return which of the messages that the slab carries, one after the other."""
        return (self.serial ^ _IN_SLAB) >> _INDEX_BITS

    def pack(self) -> bytes:
        """Return the bytes for the lane."""
        return _TOKEN.pack(*self)


def parse_token(token: bytes | memoryview) -> Token:
    """Return what the bytes of a token say."""
    return Token(*_TOKEN.unpack(token))


def size_in(token: bytes | memoryview) -> int:
    """Return the bytes of the message that a token stands for."""
    return parse_token(token).size


def slab_serial(index: int, generation: int) -> int:
    """Return the serial of a message in a slab.

    >>> Token(1, 2, slab_serial(3, 77), 0)[2] == 1 << 63 | 77 << 16 | 3
    True
    """
    return _IN_SLAB | generation << _INDEX_BITS | index


def lay_out(
    pieces: Iterable[bytes], buffers: Collection[memoryview]
) -> tuple[list[tuple[int, bytes | memoryview]], int]:
    """Return the parts of a message's image, each with its offset, in order, and its size; `pieces` are the pickle."""
    at = meta_at = _HEAD.size + _ENTRY.size * len(buffers)
    parts: list[tuple[int, bytes | memoryview]] = []
    for piece in pieces:
        parts.append((at, piece))
        at += len(piece)
    head = bytearray(_HEAD.pack(_MAGIC, at - meta_at, len(buffers)))
    for view in buffers:
        if not view.nbytes:
            head += _ENTRY.pack(0, 0)
            continue
        at += -at % ALIGN
        head += _ENTRY.pack(at, view.nbytes)
        parts.append((at, view))
        at += view.nbytes
    return [(0, bytes(head)), *parts], at


def take_apart(data: memoryview, where: str) -> tuple[memoryview, Iterator[memoryview]]:
    """Return an image's meta and buffers, as views; SegmentCorrupt, which names `where`, if it is no image."""
    try:
        magic, meta_bytes, buffers = _HEAD.unpack_from(data)
        entries = [_ENTRY.unpack_from(data, _HEAD.size + _ENTRY.size * i) for i in range(buffers)]
    except struct.error:
        raise SegmentCorrupt(where, "is too short for its header") from None
    start = _HEAD.size + _ENTRY.size * buffers
    if magic != _MAGIC or start + meta_bytes > len(data) or any(at + length > len(data) for at, length in entries):
        raise SegmentCorrupt(where, "has a header that does not fit its bytes")
    return data[start : start + meta_bytes], (data[at : at + length] for at, length in entries)
