"""Memory: what agents cost that share one context, beside those that do not; and mailboxes that are flooded.

Edge (starts programs, reads /proc). Everything is counted, from outside: the PSS of the user's process, the forkserver
and the workers, and whatever of the node's directory is mapped by nobody (see footprint). MB are 10^6 bytes. A flood
lasts 6 seconds, or as long as FLOOD_SECONDS says.
"""

from __future__ import annotations

import atexit
import json
import os
import tempfile
import time
from functools import cache
from statistics import median

from .flooding import CAPACITY
from .footprint import Program, program
from .readers import write_context
from .sample import Row, Sample

AGENTS, AGENTS_MB, STATE_BYTES = 12, 180, 1 << 18
MANY, MANY_MB, WORKERS = 1_000, 200, 4
DEFAULT_WORKERS = 0  # as many as there are cores
LOAD_S = 3.0
FLOOD_S = float(os.environ.get("FLOOD_SECONDS", "6"))  # FLOOD_SECONDS=60 for the whole minute
WARM_UP_S = 2.0
TIMES_FASTER = 10


@cache
def context_file(megabytes: int) -> str:
    """Write the context to a file on disk, once."""
    descriptor, path = tempfile.mkstemp(prefix="actorlab-bench-", suffix=".arrow", dir="/var/tmp")
    os.close(descriptor)
    atexit.register(os.unlink, path)
    write_context(path, megabytes)
    return path


def agents(way: str) -> Sample:
    """Σ of everything, in MB an agent, at its peak while the mailboxes are under load."""
    arguments = (way, context_file(AGENTS_MB), AGENTS, DEFAULT_WORKERS, STATE_BYTES, 1)
    with program("tools.bench.readers", *arguments) as running:
        running.goes_on()
        assert running.hears() == "loaded"
        peak = running.peak_bytes(LOAD_S)
        running.goes_on()
        assert int(running.hears()) > AGENTS, "nobody answered"
        return Sample(peak / 1e6 / AGENTS, AGENTS)


def many(way: str) -> Sample:
    """Σ of everything above what the same node costs without agents, in MB."""
    with program("tools.bench.readers", way, context_file(MANY_MB), MANY, WORKERS, 0, 0) as running:
        empty = running.counted_bytes()
        running.goes_on()
        assert running.hears() == "loaded"
        return Sample((running.peak_bytes(1.0) - empty) / 1e6, MANY)


def flood(source: str) -> Sample:
    """How much everything grew, in MB, from two seconds after the flood began to its end."""
    with program("tools.bench.flooding", source) as running:
        running.goes_on()
        assert running.hears() == "flooding"
        time.sleep(WARM_UP_S)
        before = steady(running)
        time.sleep(max(0.0, FLOOD_S - WARM_UP_S))
        grown = steady(running) - before
        running.goes_on()
        report = json.loads(running.hears())
    for overflow, seen in report.items():
        assert 0 < seen["deepest"] <= CAPACITY, f"{overflow}: {seen}"
        # who is made to wait offers no more than is taken; the others must have been too fast
        assert overflow == "block" or seen["offered"] > TIMES_FASTER * seen["handled"], f"{overflow}: {seen}"
    return Sample(grown / 1e6, sum(seen["offered"] for seen in report.values()))


def steady(running: Program) -> float:
    """Return what it costs, at the median of a second: lanes are fuller at one moment than at another."""
    return median(running.peak_bytes(0.05) for _ in range(20))


ROWS = (
    Row(
        "memory_agents",
        "MB/agent",
        lambda: agents("shared"),
        25,
        peers=(("the same, unshared", lambda: agents("unshared")),),
    ),
    Row(
        "memory_many",
        "MB",
        lambda: many("shared"),
        1.05 * MANY_MB + 2 * WORKERS,
        peers=(("one copy a worker", lambda: many("worker")),),
    ),
    *(Row(f"memory_flood_{source}", "MB grown", lambda source=source: flood(source), 2.0)  # type: ignore[misc]
      for source in ("within", "between", "user")),
)  # fmt: skip
