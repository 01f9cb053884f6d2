"""What a supervisor's decision costs with 100,000 dynamic children: events a second through the plan alone.

python tools/bench/bench_plan.py [children]
"""

from __future__ import annotations

import platform
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable

import pykka

from actorlab.supervision import (
    Begin,
    Death,
    DynamicSupervisor,
    Event,
    Exited,
    ShutdownAll,
    StartChild,
    StartOk,
    State,
    Stopped,
    TerminateChild,
    child,
    plan,
)


class Agent(pykka.ThreadingActor):
    """Never started here."""


def measure(what: str, state: State, events: Iterable[Event], clock: Callable[[], float] = time.perf_counter) -> None:
    """Print median, 99th percentile and rate for `events`."""
    took = []
    for event in list(events):
        before = clock()
        plan(state, event, 0.0)
        took.append(clock() - before)
    took.sort()
    n = len(took)
    median, high = took[n // 2] * 1e6, took[n * 99 // 100] * 1e6
    print(f"{what:34} n={n:7,}  median {median:8.2f} µs  p99 {high:8.2f} µs  {n / sum(took):11,.0f} events/s")


def main(n: int) -> None:
    """Measure each kind of event once over."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"plan(), {n:,} dynamic children; {platform.machine()}, Python {platform.python_version()}, {commit or '?'}")
    state = State(DynamicSupervisor(max_restarts=10**9))
    plan(state, Begin(), 0.0)
    spec = child(Agent, restart="permanent")
    measure("start_child", state, (StartChild(spec) for _ in range(n)))
    names = [c.id for c in state.roster]
    measure("start ok", state, (StartOk(name, 1, name) for name in names))
    random.Random(1).shuffle(names)
    measure("one crash", state, (Exited((Death(name, 1, "boom"),)) for name in names))
    measure("start ok after a crash", state, (StartOk(name, 2, name) for name in names))
    worker = Exited(tuple(Death(name, 2, "killed") for name in names[: n // 4]))
    measure(f"a worker's death, {n // 4:,} children", state, [worker])
    measure("start ok after it", state, (StartOk(name, 3, name) for name in names[: n // 4]))
    few = [state.roster.get(name) for name in names[: n // 10]]
    measure("terminate_child", state, (TerminateChild(c.id) for c in few if c))
    measure("stopped, forgotten", state, (Stopped(c.id, c.incarnation) for c in few if c))
    measure("shutdown", state, [ShutdownAll()])
    measure("stopped", state, [Stopped(c.id, c.incarnation) for c in state.roster])
    assert state.over

    tracemalloc.start()
    state = State(DynamicSupervisor())
    for _ in range(n):
        plan(state, StartChild(spec), 0.0)
    print(f"memory: {tracemalloc.get_traced_memory()[0] / n:.0f} bytes a child (specification shared)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
