"""Account: what processes cost in memory, each shared page divided among those who share it.

Edge (reads /proc); used by job.py. PSS is the only figure that adds up over processes: resident sizes count a
shared page once for everybody who maps it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import psutil

from ..lean_dataclass import dataclass
from ..memory import has


def pss_bytes(pids: Iterable[int]) -> int | None:
    """Return the proportional set sizes of these processes, added; one that is gone counts nothing. A few ms each.

    None where the system does not tell.
    """
    if not has("proc"):
        return None
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_full_info().pss
        except psutil.Error:
            continue
    return total


def mapped_bytes(pids: Iterable[int], folder: str) -> int:
    """Return how much of these processes' PSS are files of `folder`, as far as they have been read. Some 10 ms each."""
    total = 0
    for pid in pids:
        try:
            maps = psutil.Process(pid).memory_maps(grouped=True)
        except psutil.Error:
            continue
        total += sum(one.pss for one in maps if one.path.startswith(folder))
    return total


@dataclass(frozen=True, slots=True)
class SearcherCost:
    """What one searcher costs: bytes measured with the corpus shared, and what a copy of its own would add up to."""

    searchers: int
    shared_bytes: int
    copied_bytes: int

    @classmethod
    def of(
        cls, searchers: int, before_bytes: int, after_bytes: int, mapped_bytes: int, index_bytes: int
    ) -> SearcherCost:
        """Work it out from the workers' PSS before and after the team began to search.

        `mapped_bytes` is how much of it is the index: the pages that were read, each counted once. A searcher with a
        copy would hold the whole index, and beside it what a searcher holds now without the shared one.

        >>> cost = SearcherCost.of(10, before_bytes=50, after_bytes=200, mapped_bytes=80, index_bytes=100)
        >>> cost.shared_bytes, cost.copied_bytes
        (15, 107)
        """
        own = max(after_bytes - before_bytes - mapped_bytes, 0)
        return cls(searchers, (own + mapped_bytes) // searchers, own // searchers + index_bytes)

    def __str__(self) -> str:
        return (
            f"one searcher costs {megabytes(self.shared_bytes)} with the corpus shared (PSS, "
            f"{self.searchers} searchers), {megabytes(self.copied_bytes)} with a copy of its own"
        )


def megabytes(size_bytes: int) -> str:
    """Return a size as people read it.

    >>> megabytes(5_250_000), megabytes(64_000_000)
    ('5.2 MB', '64 MB')
    """
    size = size_bytes / 1e6
    return f"{size:.1f} MB" if size < 10 else f"{size:,.0f} MB"


def milliseconds(times_s: Sequence[float]) -> str:
    """Return median and maximum of times in seconds.

    >>> milliseconds([0.001, 0.002, 0.009])
    'median 2.0 ms, slowest 9.0 ms'
    """
    return f"median {statistics.median(times_s) * 1e3:.1f} ms, slowest {max(times_s) * 1e3:.1f} ms"
