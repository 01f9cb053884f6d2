"""Tells between processes, until the last was handled: one pair of workers, and from the user's process.

Edge (starts nodes). Each message is pickled on its own, as promise 3 wants; beside a bare `multiprocessing.Queue`.
"""

from __future__ import annotations

import time

import actorlab as al

from . import peers
from .agents import Driver, Sink
from .cores import apart
from .sample import Row, Sample, rate

TELLS = 300_000


def between_workers() -> Sample:
    with al.Node(workers=2) as node, apart(node):
        driver = node.spawn(Driver, placement=1)
        sink = node.spawn(Sink, TELLS, placement=2)
        return rate(TELLS, driver.within(60.0).call.flood(sink, TELLS))


def from_user() -> Sample:
    with al.Node(workers=2) as node, apart(node):
        sink = node.spawn(Sink, TELLS, placement=1)
        tell = sink.tell
        started = time.perf_counter_ns()
        for i in range(TELLS):
            tell(i)
        ended = sink.within(60.0).call.ended()  # comes after the tells
        assert ended, "the sink has not seen every message"
        return rate(TELLS, ended - started)


PEERS = (("multiprocessing.Queue, no actor behind it", peers.queue_tell),)

ROWS = (
    Row("tell_worker_to_worker", "msg/s", between_workers, 6.0e5, more_is_better=True, peers=PEERS),
    Row("tell_user_to_worker", "msg/s", from_user, more_is_better=True, peers=PEERS),
)
