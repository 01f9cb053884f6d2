"""Groups: what joining, leaving and publishing cost, and what a million names do to a look-up.

Edge (starts nodes, writes shared memory). Joins and leaves are each a change of their own, published to every process;
beside them the same changes to a dictionary in a process that everybody asks, fewer of them, for it is slow.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import actorlab as al
from actorlab.ids import pack
from actorlab.registry import SharedBackend, SharedReader

from . import peers
from .agents import Echo
from .sample import Row, Sample, latency, time_each

MEMBERS = 100_000
MILLION = 1_000_000
LOOK_UPS = 50_000


def join_and_leave() -> Sample:
    """Seconds for 100,000 joins and as many leaves, each a change by itself: 100 actors in 1,000 groups."""
    with al.Node(workers=2) as node:
        refs = node.spawn_many(Echo, 100)
        groups = [node.group(f"group-{n}") for n in range(MEMBERS // len(refs))]
        started = time.perf_counter()
        for group in groups:
            for ref in refs:
                group.join(ref)
        for group in groups:
            for ref in refs:
                group.leave(ref)
        elapsed = time.perf_counter() - started
        return Sample(elapsed, 2 * MEMBERS)


def whereis_of_a_million() -> Sample:
    """µs a look-up, each of another one of a million names, so that no cache helps."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="actorlab-bench-") as folder:
        backend = SharedBackend.create(Path(folder) / "names", 8)
        for n in range(MILLION):
            backend.register(f"agent-{n}", pack(1 + n % 4, n % 100_000, 1))
        reader = SharedReader.open(Path(folder) / "names")
        whereis = reader.whereis
        asked = [f"agent-{n * 7919 % MILLION}" for n in range(LOOK_UPS)]
        times = time_each(lambda n: whereis(asked[n]), LOOK_UPS, warm_up=100)
        reader.close()
        backend.remove()
        return latency(times)


ROWS = (
    Row("names_groups_100k_join_and_leave", "s", join_and_leave, 2.0),
    Row(
        "names_whereis_of_a_million",
        "µs",
        whereis_of_a_million,
        3.0,
        peers=(("multiprocessing.Manager dict", peers.manager_lookup),),
    ),
)
