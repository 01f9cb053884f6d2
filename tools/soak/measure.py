"""What must not grow: memory, descriptors, shared-memory bytes, threads, sampled while a soak runs; and its slopes.

Edge (reads /proc) but for `slope` and `trend`, which are pure. Memory is PSS, summed over the node's processes, so that
what they share counts once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
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
    threads: int
    shared_mib: float
    shared_files: int
    processes: int
    kills: int


def look(began: float, directory: Path, kills: int) -> Sample:
    """Sample this process (the controller), its descendants, and the node's directory."""
    me = psutil.Process()
    pss, descriptors, threads, count, own = 0, 0, 0, 0, 0
    for process in (me, *me.children(recursive=True)):
        try:
            used = process.memory_full_info().pss
            pss += used
            threads += process.num_threads()
            count += 1
            if process.pid == me.pid:
                own, descriptors = used, process.num_fds()
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
    return Sample(at_s, pss / mib, own / mib, descriptors, threads, used_bytes / mib, files, count, kills)


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


MEASURES = ("pss_mib", "own_pss_mib", "descriptors", "threads", "shared_mib", "shared_files")


def trend(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return for each measure its first and last values (medians of a tenth) and its growth an hour.

    The first tenth is warming up: pages are touched, lanes are made. It has no part in the slope.
    """
    found = {}
    rows = [asdict(sample) for sample in samples]
    if len(rows) > 400:
        rows = rows[:: len(rows) // 400 + 1]
    tenth = max(1, len(rows) // 10)
    for measure in MEASURES:
        values = [float(row[measure]) for row in rows]
        points = [(float(row["at_s"]), float(row[measure])) for row in rows[tenth:]]
        found[measure] = {
            "first": sorted(values[tenth : 2 * tenth] or values)[len(values[tenth : 2 * tenth] or values) // 2],
            "last": sorted(values[-tenth:])[tenth // 2],
            "per_hour": slope(points) * 3600,
        }
    return found
