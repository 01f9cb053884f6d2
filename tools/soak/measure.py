"""What must not grow: memory, descriptors, bytes of shared memory, threads, sampled while a soak runs; and the verdict.

Edge (reads /proc) but for `slope`, `trend` and `grown`, which are pure. Memory is PSS, summed over the node's
processes, so that what they share counts once; descriptors and threads are those of all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: seconds since the start, and what the node's processes hold."""

    at_s: float
    pss_mib: float
    own_pss_mib: float
    descriptors: int
    own_descriptors: int
    threads: int
    shared_mib: float
    shared_files: int
    processes: int
    kills: int


def look(began: float, directory: Path, kills: int) -> Sample:
    """Sample this process (the controller), its descendants, and the node's directory."""
    me = psutil.Process()
    pss, descriptors, threads, count, own, own_descriptors = 0, 0, 0, 0, 0, 0
    for process in (me, *me.children(recursive=True)):
        try:
            used, open_here, running = process.memory_full_info().pss, process.num_fds(), process.num_threads()
            pss, descriptors, threads, count = pss + used, descriptors + open_here, threads + running, count + 1
            if process.pid == me.pid:
                own, own_descriptors = used, open_here
        except psutil.Error:
            pass  # just killed
    files, used_bytes = 0, 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                used_bytes += os.stat(os.path.join(folder, name)).st_blocks * 512
                files += 1
            except OSError:
                pass
    at_s, mib = time.monotonic() - began, 2**20
    memory, shared_mib = (pss / mib, own / mib), used_bytes / mib
    return Sample(at_s, *memory, descriptors, own_descriptors, threads, shared_mib, files, count, kills)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes between all pairs of points (Theil and Sen): outliers do not move it.

    >>> slope([(0, 1), (1, 2), (2, 3), (3, 4), (4, 100)])
    1.0
    >>> slope([(0, 1)])
    0.0
    """
    slopes = sorted((y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :] if x2 > x1)
    if not slopes:
        return 0.0
    middle = len(slopes) // 2
    return slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2


LIMITS = {
    "pss_mib": 8.0, "own_pss_mib": 8.0, "descriptors": 1.0, "own_descriptors": 1.0, "threads": 1.0, "shared_mib": 1.0,
    "shared_files": 1.0,
}  # fmt: skip
"""How much each may grow in an hour with a kill a second: memory by what the books of 3,600 deaths take, all else by
less than one, which is not at all."""

LONG_ENOUGH_S = 600.0
"""A slope over less time is that of chance."""


def trend(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return for each measure its first and last values (medians of a tenth) and its growth an hour.

    The first tenth is warming up: pages are touched, lanes are made. It has no part in the slope.
    """
    found = {}
    rows = [asdict(sample) for sample in samples]
    if len(rows) > 400:
        rows = rows[:: len(rows) // 400 + 1]
    tenth = max(1, len(rows) // 10)
    for measure in LIMITS:
        values = [float(row[measure]) for row in rows]
        points = [(float(row["at_s"]), float(row[measure])) for row in rows[tenth:]]
        found[measure] = {
            "first": sorted(values[tenth : 2 * tenth] or values)[len(values[tenth : 2 * tenth] or values) // 2],
            "last": sorted(values[-tenth:])[tenth // 2],
            "per_hour": slope(points) * 3600,
        }
    return found


def grown(trends: Mapping[str, Mapping[str, float]], took_s: float, kills: int) -> list[str]:
    """Return what grew by more than it may, in words; nothing of a soak that was too short to tell.

    Where more died than one a second, memory may have grown by as much more.

    >>> grown({"threads": {"first": 40, "last": 44, "per_hour": 4.0}}, 3600, 3600)
    ['threads: 40 after a tenth, 44 at the end, +4.00 an hour where 1.00 is the limit']
    >>> grown({"threads": {"first": 40, "last": 44, "per_hour": 4.0}}, 60, 60)
    []
    """
    if took_s < LONG_ENOUGH_S:
        return []
    found = []
    for measure, row in trends.items():
        limit = LIMITS[measure] * (max(1.0, kills / took_s) if "pss" in measure else 1.0)
        if row["per_hour"] > limit:
            ends = f"{row['first']:g} after a tenth, {row['last']:g} at the end"
            found.append(f"{measure}: {ends}, {row['per_hour']:+.2f} an hour where {limit:.2f} is the limit")
    return found
