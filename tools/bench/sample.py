"""Sample and row: what one measurement says, and what a benchmark measures against what.

Pure; every bench module makes rows out of it, report.py prints them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: its figure in the row's unit, from how many operations, and the 99th percentile if each was timed."""

    value: float
    n: int
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `run` measures us, each of `peers` another way to do the same; both in `unit`.

    `target` is a limit from above, or from below where `more_is_better`; None: printed without a verdict.
    """

    name: str
    unit: str
    run: Callable[[], Sample]
    target: float | None = None
    more_is_better: bool = False
    peers: tuple[tuple[str, Callable[[], Sample]], ...] = ()
    target_is_ratio: bool = False  # to the first peer of the same run


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of `values` do not exceed.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0], 0.99)
    (2.0, 2.0)
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def latency(times_ns: Sequence[int]) -> Sample:
    """Sum up operations that were timed one by one, in microseconds.

    >>> latency([1000, 2000, 9000])
    Sample(value=2.0, n=3, p99=9.0)
    """
    return Sample(median(times_ns) / 1e3, len(times_ns), percentile(times_ns, 0.99) / 1e3)


def rate(n: int, elapsed_ns: int) -> Sample:
    """Return `n` operations within `elapsed_ns` as operations a second."""
    return Sample(n / (elapsed_ns / 1e9), n)


def time_each(operation: Callable[[Any], object], n: int, *, gap_s: float = 0.0, warm_up: int = 0) -> list[int]:
    """Time `operation(i)` `n` times, in nanoseconds, asleep `gap_s` before each."""
    for i in range(warm_up):
        operation(i)
    now, times = time.perf_counter_ns, []
    for i in range(n):
        if gap_s:
            time.sleep(gap_s)
        started = now()
        operation(i)
        times.append(now() - started)
    return times
