"""Segment headers: the first 64 bytes of every mapped file, by which a reader knows what it holds.

Pure; used by every owner of a mapped file. A header is written before its file gets a name (`Segment.create`), so a
reader never meets a half-written one. All numbers are little-endian and stand at a multiple of their size, which
makes each store of one number a single move of the processor.

    0        8         12        16                       64
    ┌────────┬─────────┬─────────┬────────────────────────┐
    │ magic  │ version │ spare   │ six u64: the geometry  │
    └────────┴─────────┴─────────┴────────────────────────┘

A wrong magic means a file of another kind, a wrong version another actorlab: both raise SegmentCorrupt. What the
geometry must satisfy is for the caller to check.
"""

from __future__ import annotations

import struct

from ..errors import SegmentCorrupt

PAGE = 4096
HEADER_BYTES = 64
GEOMETRY_WORDS = 6

_HEADER = struct.Struct("<8sII6Q")


def round_up(n: int, unit: int) -> int:
    """Return the least multiple of `unit` that is at least `n`.

    >>> round_up(1, 4096), round_up(4096, 4096), round_up(0, 8)
    (4096, 4096, 0)
    """
    return -(-n // unit) * unit


def encode_header(magic: bytes, version: int, *geometry: int) -> bytes:
    """Return the 64 bytes of a header; `magic` has at most 8 bytes, `geometry` at most six numbers.

    >>> decode_header("f", encode_header(b"alTest", 1, 7), magic=b"alTest", version=1)
    (7, 0, 0, 0, 0, 0)
    """
    return _HEADER.pack(magic, version, 0, *geometry, *(0,) * (GEOMETRY_WORDS - len(geometry)))


def decode_header(path: str, raw: bytes, *, magic: bytes, version: int) -> tuple[int, ...]:
    """Return the six numbers of the geometry in `raw`, or raise SegmentCorrupt (`path` is for its text)."""
    if len(raw) < HEADER_BYTES:
        raise SegmentCorrupt(path, f"{len(raw)} bytes are too few for a header of {HEADER_BYTES}")
    found, found_version, _spare, *geometry = _HEADER.unpack_from(raw)
    found = found.rstrip(b"\0")
    if found != magic:
        raise SegmentCorrupt(path, f"starts with {found!r} instead of {magic!r}")
    if found_version != version:
        raise SegmentCorrupt(path, f"has layout version {found_version}, this actorlab reads {version}")
    return tuple(geometry)
