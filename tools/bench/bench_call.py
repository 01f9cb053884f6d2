"""Calls between processes: under way, when both sides are awake, and asleep, 3 ms after the last one.

Edge (starts nodes). From the user's process to a worker, and from worker to worker; beside a bare
`multiprocessing.Pipe` under the same gaps. Each process has a core of its own, ours and the peers'.
"""

from __future__ import annotations

import time

import actorlab as al

from . import peers
from .agents import Driver, Echo
from .cores import apart
from .sample import Row, Sample, latency, time_each

CALLS = 20_000
SLEEPY_CALLS = 300
GAP_S = 0.003


def from_user(n: int, gap_s: float = 0.0, *, pinned: bool = True) -> Sample:
    with al.Node(workers=2) as node, apart(node, pinned=pinned):
        echo = node.spawn(Echo, placement=1)
        return latency(time_each(lambda i: echo.call.echo(i), n, gap_s=gap_s, warm_up=20 if gap_s else 500))


def between_workers() -> Sample:
    with al.Node(workers=2) as node, apart(node):
        driver = node.spawn(Driver, placement=1)
        echo = node.spawn(Echo, placement=2)
        return latency(driver.within(60.0).call.ask(echo, CALLS))


def between_sleeping_workers() -> Sample:
    with al.Node(workers=2) as node, apart(node):
        driver = node.spawn(Driver, placement=1)
        echo = node.spawn(Echo, placement=2)
        driver.call.ask_now_and_then(echo, SLEEPY_CALLS, GAP_S)
        deadline = time.monotonic() + 60
        time.sleep(SLEEPY_CALLS * GAP_S)  # do not wake the driver's worker by asking
        while len(taken := driver.call.taken()) < SLEEPY_CALLS:
            assert time.monotonic() < deadline, f"only {len(taken)} of {SLEEPY_CALLS} calls came back"
            time.sleep(0.2)
        return latency(taken)


def pipe_under_way() -> Sample:
    return peers.pipe_round_trip(CALLS)


def pipe_asleep() -> Sample:
    return peers.pipe_round_trip(SLEEPY_CALLS, GAP_S)


UNDER_WAY = (("multiprocessing.Pipe round trip", pipe_under_way),)
ASLEEP = (("multiprocessing.Pipe round trip, 3 ms gaps", pipe_asleep),)

UNPINNED = (("multiprocessing.Pipe round trip", lambda: peers.pipe_round_trip(CALLS, pinned=False)),)
ASLEEP_UNPINNED = (
    ("multiprocessing.Pipe round trip, 3 ms gaps", lambda: peers.pipe_round_trip(SLEEPY_CALLS, GAP_S, pinned=False)),
)

ROWS = (
    Row("call_user_to_worker", "µs", lambda: from_user(CALLS), 12.0, peers=UNDER_WAY),
    Row("call_worker_to_worker", "µs", between_workers, 12.0, peers=UNDER_WAY),
    Row(
        "call_asleep_user_to_worker",
        "µs",
        lambda: from_user(SLEEPY_CALLS, GAP_S),
        1.3,
        peers=ASLEEP,
        target_is_ratio=True,
    ),
    Row("call_asleep_worker_to_worker", "µs", between_sleeping_workers, 1.3, peers=ASLEEP, target_is_ratio=True),
    Row("call_unpinned_user_to_worker", "µs", lambda: from_user(CALLS, pinned=False), peers=UNPINNED),
    Row(
        "call_unpinned_asleep_user_to_worker",
        "µs",
        lambda: from_user(SLEEPY_CALLS, GAP_S, pinned=False),
        peers=ASLEEP_UNPINNED,
    ),
)
