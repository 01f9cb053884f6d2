"""Garbage collection: how long a worker with 100,000 actors and a large context mapped is held up by it.

Edge (starts nodes). Agents are made and given some state; then they get messages, each of which leaves cyclic garbage,
and the worker times its pauses. Python's default collects the youngest objects so often that a 99th percentile hides
the long pauses: so the longest one, the longest while the agents came to be, and a full collection stand beside it.
`cpu` is what the collector itself took, where others had the cores meanwhile.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa

import actorlab as al
from actorlab import Handle, observe

from .sample import Row, Sample, percentile

ACTORS = 100_000
CONTEXT_ROWS = 25_000_000  # 200 MB
FIRST_MESSAGES, MESSAGES = 200_000, 150_000
NODES = 10
"""Objects of the cyclic garbage that a message leaves, three times over (a node, its attributes, its list)."""
KEPT = 2
"""Records an actor keeps of the last messages it had."""
Way = Literal["ours", "default"]


class Leaf:
    """A node of a tree that knows its parent: what a parser makes of a message."""

    def __init__(self, parent: Leaf | None) -> None:
        self.parent = parent
        self.children: list[Leaf] = []
        if parent is not None:
            parent.children.append(self)


class Agent(al.Actor):
    """An agent with some state: what it has seen lately."""

    def __init__(self) -> None:
        self.seen: list[dict[str, list[int]]] = []

    def note(self, k: int) -> None:
        tree = Leaf(None)
        for _ in range(NODES - 1):
            Leaf(tree)
        self.seen.append({"in": [k], "out": [k, len(tree.children)]})
        if len(self.seen) > KEPT:
            del self.seen[0]


class Driver(al.Actor):
    """Gives agents of its own worker work, holds the context, and times the collector's pauses."""

    def hold(self, handle: Handle) -> int:
        self.context = handle.get()
        return int(self.context.num_rows)

    def drive(self, agents: list[al.ActorRef[Agent]], messages: int) -> list[tuple[float, float]]:
        """Return the pauses meanwhile, in s: by the clock, and the CPU time of them."""
        pauses: list[tuple[float, float]] = []
        started = began = 0.0

        def on_collection(phase: str, info: dict[str, Any]) -> None:
            nonlocal started, began
            if phase == "start":
                started, began = time.perf_counter(), time.thread_time()
            elif started:
                pauses.append((time.perf_counter() - started, time.thread_time() - began))

        gc.callbacks.append(on_collection)
        try:
            for k in range(messages):
                agents[k * 7919 % len(agents)].call.note(k)
        finally:
            gc.callbacks.remove(on_collection)
        return pauses

    def collect(self) -> float:
        started = time.perf_counter()
        gc.collect()
        return time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Pauses:
    """What one run showed, in s."""

    under_load: tuple[float, ...]
    cpu_under_load: tuple[float, ...]
    longest_before: float
    full: float


@cache
def pauses(way: Way, run: int) -> Pauses:
    """Return the pauses of one run; the rows share their runs."""
    options = al.NodeOptions(workers=1, start_timeout_s=60, hold_warning_s=60, hang_timeout_s=300)
    if way == "default":
        options = replace(options, gc_thresholds=(700, 10, 10), gc_freeze="never")
    with al.Node(options) as node:
        driver = node.spawn(Driver)
        table = pa.table({"n": np.arange(CONTEXT_ROWS)})
        assert driver.call.hold(node.pool("context").put("numbers", table)) == CONTEXT_ROWS
        agents = node.spawn_many(Agent, ACTORS)
        driver.within(600).call.drive(agents, FIRST_MESSAGES)
        settle(node)
        before = worker(node).max_s
        under_load = driver.within(600).call.drive(agents, MESSAGES)
        full = min(driver.within(60).call.collect() for _ in range(3))
        clock, cpu = zip(*under_load, strict=True)
        return Pauses(clock, cpu, before, full)


def settle(node: al.Node, patience_s: float = 2.0) -> None:
    """Let the worker's heart beat often enough to see how many actors there are."""
    node.wait_idle(timeout=60)
    time.sleep(patience_s)


def worker(node: al.Node) -> observe.GcAccount:
    """Return the only worker's account of its pauses."""
    (found,) = [one.gc for one in observe.snapshot(node.directory).processes if one.role == "worker"]
    assert found is not None
    return found


_runs: dict[tuple[str, Way], int] = {}


def figure(name: str, way: Way) -> Sample:
    """Return one figure of one run; the rows share their runs."""
    run = _runs[name, way] = _runs.get((name, way), 0) + 1
    found = pauses(way, run)
    value = {
        "p99": percentile(found.under_load, 0.99),
        "p99_cpu": percentile(found.cpu_under_load, 0.99),
        "max": max(found.under_load),
        "growing": found.longest_before,
        "full": found.full,
    }[name]
    return Sample(value * 1e3, len(found.under_load))


def row(name: str, target: float | None) -> Row:
    """Return the row of one figure, Python's default beside it."""
    beside = (("Python's default, nothing frozen", lambda: figure(name, "default")),)
    return Row(f"gc_pause_{name}", "ms", lambda: figure(name, "ours"), target, peers=beside)


ROWS = (row("p99", 25.0), row("p99_cpu", None), row("max", None), row("growing", None), row("full", None))
