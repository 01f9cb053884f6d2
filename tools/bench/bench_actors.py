"""Many actors: what an idle one costs in private memory, and how fast supervised ones are started.

Edge (starts nodes, reads /proc). Memory is the growth of the workers' USS (and the forkserver's, which has none)
divided by the actors; the references that the user's process keeps are not in it.
"""

from __future__ import annotations

import time

import psutil

import actorlab as al

from . import peers
from .agents import Driver, Idle
from .sample import Row, Sample, rate

ACTORS = 100_000
CHILDREN = 10_000


def uss_of_descendants() -> int:
    return sum(process.memory_full_info().uss for process in psutil.Process().children(recursive=True))


def idle_bytes() -> Sample:
    with al.Node(workers=2) as node:
        node.wait_idle()
        before = uss_of_descendants()
        refs = node.spawn_many(Idle, ACTORS)
        node.wait_idle()
        per_actor = (uss_of_descendants() - before) / ACTORS
        assert refs[-1].call.echo(1) == 1
        return Sample(per_actor, ACTORS)


def spawn_in_worker() -> Sample:
    """A driver in worker 1 has a dynamic supervisor beside it start each child in turn."""
    with al.Node(workers=2) as node:
        supervisor = node.start(al.DynamicSupervisor("jobs", max_children=CHILDREN, placement=1))
        driver = node.spawn(Driver, placement=1)
        return rate(CHILDREN, driver.within(120.0).call.spawn_children(supervisor, CHILDREN))


def spawn_tree_in_worker() -> Sample:
    """A supervisor that lives in worker 1 starts its children as one batch."""
    return start_tree(al.Supervisor(children=[al.child(Idle, placement=1)] * CHILDREN, placement=1))


def spawn_tree_from_user() -> Sample:
    """The same, with the supervisor in the controller and the children spread over both workers."""
    return start_tree(al.Supervisor(children=[al.child(Idle)] * CHILDREN))


def start_tree(tree: al.Supervisor) -> Sample:
    with al.Node(workers=2) as node:
        started = time.perf_counter_ns()
        supervisor = node.start(tree)
        taken = rate(CHILDREN, time.perf_counter_ns() - started)
        assert len(supervisor.call.which_children()) == CHILDREN
        return taken


def spawn_one_by_one() -> Sample:
    """The user's process starts each child of a dynamic supervisor in turn, and waits for each."""
    with al.Node(workers=2) as node:
        supervisor = node.start(al.DynamicSupervisor("jobs", max_children=CHILDREN))
        spec = al.child(Idle, restart="temporary")
        started = time.perf_counter_ns()
        for _ in range(CHILDREN):
            supervisor.call.start_child(spec)
        return rate(CHILDREN, time.perf_counter_ns() - started)


SPAWN = (("Pykka ThreadingActor.start", peers.pykka_spawn),)

ROWS = (
    Row("actors_idle", "B", idle_bytes, 600, peers=(("Pykka ThreadingActor", peers.pykka_idle),)),
    Row("actors_spawn_tree_in_worker", "actors/s", spawn_tree_in_worker, 5.0e4, more_is_better=True, peers=SPAWN),
    Row("actors_spawn_tree_from_user", "actors/s", spawn_tree_from_user, 1.0e4, more_is_better=True, peers=SPAWN),
    Row("actors_spawn_each_in_worker", "actors/s", spawn_in_worker, more_is_better=True, peers=SPAWN),
    Row("actors_spawn_each_from_user", "actors/s", spawn_one_by_one, more_is_better=True, peers=SPAWN),
)
