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


def spawn_in_worker(batch: int) -> Sample:
    """A driver in worker 1 has a dynamic supervisor in that worker start the children there."""
    with al.Node(workers=2) as node:
        supervisor = node.start(al.DynamicSupervisor("jobs", placement=1))
        driver = node.spawn(Driver, placement=1)
        return rate(CHILDREN, driver.within(120.0).call.spawn_children(supervisor, CHILDREN, batch))


def spawn_from_user(batch: int) -> Sample:
    """The user's process has a dynamic supervisor in the controller start them, spread over both workers."""
    with al.Node(workers=2) as node:
        supervisor = node.start(al.DynamicSupervisor("jobs"))
        spec = al.child(Idle, restart="temporary")
        start_children = supervisor.within(60.0).call.start_children
        started = time.perf_counter_ns()
        for _ in range(CHILDREN // batch):
            start_children([spec] * batch)
        taken = rate(CHILDREN, time.perf_counter_ns() - started)
        assert supervisor.call.count_children().active == CHILDREN
        return taken


def spawn_tree() -> Sample:
    """A static tree in the controller: child after child, each when the one before has answered, as OTP has it."""
    tree = al.Supervisor(children=[al.child(Idle)] * CHILDREN)
    with al.Node(workers=2) as node:
        started = time.perf_counter_ns()
        supervisor = node.start(tree)
        taken = rate(CHILDREN, time.perf_counter_ns() - started)
        assert len(supervisor.call.which_children()) == CHILDREN
        return taken


SPAWN = (("Pykka ThreadingActor.start", peers.pykka_spawn),)

ROWS = (
    Row("actors_idle", "B", idle_bytes, 600, peers=(("Pykka ThreadingActor", peers.pykka_idle),)),
    Row(
        "actors_spawn_in_worker", "actors/s", lambda: spawn_in_worker(CHILDREN), 5.0e4, more_is_better=True, peers=SPAWN
    ),
    Row(
        "actors_spawn_from_user", "actors/s", lambda: spawn_from_user(CHILDREN), 1.0e4, more_is_better=True, peers=SPAWN
    ),
    Row("actors_spawn_each_in_worker", "actors/s", lambda: spawn_in_worker(1), more_is_better=True, peers=SPAWN),
    Row("actors_spawn_each_from_user", "actors/s", lambda: spawn_from_user(1), more_is_better=True, peers=SPAWN),
    Row("actors_spawn_tree", "actors/s", spawn_tree, more_is_better=True, peers=SPAWN),
)
