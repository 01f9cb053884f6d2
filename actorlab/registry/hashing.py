"""Hashing: which partition a name belongs to, and where its search begins.

Pure; used by every backend and by whoever must find a name's partition. CRC-32 because it is the same in every
process and after every restart (Python's `hash` is not), and costs a tenth of a cryptographic hash. On names as
people give them (`agent-17`) it fills tables more evenly than a random function would; it is no defence against
somebody who picks names in order to make them collide, which slows lookups but breaks nothing.
"""

from __future__ import annotations

from zlib import crc32

MAX_PARTITIONS = 256


def hash_of(key: bytes) -> int:
    """Return a name's stable hash, 0 to 2**32-1.

    >>> hash_of(b"counter")
    3240268920
    """
    return crc32(key)


def partition_of(hashed: int, partitions: int) -> int:
    """Return the partition that owns a hash.

    >>> partition_of(hash_of(b"counter"), 8)
    0
    """
    return hashed % partitions


def home_slot(hashed: int, partitions: int, slots: int) -> int:
    """Return where a search begins in a table of `slots` (a power of two), from the bits the partition left over.

    >>> home_slot(0b1111_000, partitions=8, slots=8)
    7
    """
    return hashed // partitions & (slots - 1)


def check_partitions(partitions: int) -> int:
    """Return `partitions` if there can be so many, or raise ValueError."""
    if type(partitions) is not int or not 1 <= partitions <= MAX_PARTITIONS:
        raise ValueError(f"partitions must be a whole number from 1 to {MAX_PARTITIONS}, not {partitions!r}")
    return partitions
