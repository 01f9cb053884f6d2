"""Choices: which of several members gets the next message: the rules of routing.

Pure (what is random or known of the members is handed in); used by the router. A rule is asked for an index among as
many members as there are now; it keeps nothing of the members but, for the ring, their addresses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Literal, get_args
from zlib import crc32

Rule = Literal["round_robin", "least_loaded", "consistent_hash", "random"]
RULES: tuple[Rule, ...] = get_args(Rule)

POINTS = 64
"""Points that each member has on the ring: more spread keys more evenly, and cost more to build."""

LOOK_AT_ALL = 8
"""Up to so many members are all looked at for the least loaded; of more, two picked at random are."""


def least_loaded(loads: Sequence[Callable[[], int]], number: int, turn: int, random: Callable[[int], int]) -> int:
    """Return the index of a member with little to do. Equals take turns, so that a burst is spread.

    Of many members it is the better of two random ones, which is nearly as good (Mitzenmacher) and costs two looks.

    >>> least_loaded([lambda: 3, lambda: 1, lambda: 1], 3, turn=2, random=lambda n: 0)
    2
    """
    if number > LOOK_AT_ALL:
        one, other = random(number), random(number)
        return one if loads[one]() <= loads[other]() else other
    best = turn % number
    least = loads[best]()
    for step in range(1, number):
        if not least:
            break
        index = (turn + step) % number
        its = loads[index]()
        if its < least:
            best, least = index, its
    return best


def hash_of_key(key: str | bytes | int) -> int:
    """Return a key's place on the ring: the same in every process and after every restart.

    Raises TypeError for what has no bytes of its own.
    """
    if isinstance(key, str):
        return crc32(key.encode("utf-8", "surrogatepass"))
    if isinstance(key, bytes):
        return crc32(key)
    if isinstance(key, int):
        return crc32(key.to_bytes(16, "little", signed=True))
    raise TypeError(f"a key is a str, bytes or int (to 15 bytes), not {type(key).__name__}: give its name or number")


class Ring:
    """Members on a circle of hashes; a key belongs to the next one. One more or less moves only that one's keys.

    >>> ring = Ring([10, 20, 30])
    >>> moved = sum(ring.at(str(n)) != Ring([10, 20, 30, 40]).at(str(n)) for n in range(1000))
    >>> 150 < moved < 400
    True
    """

    __slots__ = ("_indices", "_points")

    def __init__(self, addresses: Sequence[int]) -> None:
        points = sorted(
            (crc32(f"{address}/{point}".encode()), index)
            for index, address in enumerate(addresses)
            for point in range(POINTS)
        )
        self._points = [point for point, _ in points]
        self._indices = [index for _, index in points]

    def at(self, key: str | bytes | int) -> int:
        """Return the index of the member that a key belongs to."""
        # crc32 of similar keys is similar in its low bits only; one more round spreads them over the circle
        at = bisect_right(self._points, crc32(hash_of_key(key).to_bytes(4, "little")))
        return self._indices[at if at < len(self._indices) else 0]
