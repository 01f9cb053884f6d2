"""Looking into actors of other processes, and holding them up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from handlers_drill import Door, Watcher, Worker

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    tree = al.Supervisor(children=[al.child(Door, name="door", placement=2)], max_restarts=1000)
    with al.Node(workers=2, call_timeout_s=20.0, tree=tree) as node:
        for place in (1, 2):
            node.spawn(Worker, placement=place).stop()
        node.wait_idle()
        yield node


def test_a_state_is_read_and_replaced_from_elsewhere(node):
    worker, watcher = node.spawn(Worker, placement=2), node.spawn(Watcher, placement=1)
    worker.call.do("this")
    assert watcher.call.look(worker) == {"did": ["this"]}
    worker.system.replace_state(lambda state: {"did": [*state["did"], "that"]})
    assert worker.call.done() == ["this", "that"]
    for ref in (worker, watcher):
        ref.stop()


def test_a_state_that_cannot_travel_is_said_so(node):
    worker = node.spawn(Worker, placement=2)
    worker.system.replace_state(_with_a_lock)
    with pytest.raises(al.NotSendable):
        worker.system.get_state()
    worker.stop()


def _with_a_lock(state):
    return {**state, "lock": threading.Lock()}


def test_a_trace_tells_an_actor_of_another_worker(node, eventually):
    worker, watcher = node.spawn(Worker, placement=2), node.spawn(Watcher, placement=1)
    watcher.call.trace(worker)
    worker.call.do(1)
    eventually(lambda: watcher.call.heard() == ["do(1) returned 1"])
    for ref in (worker, watcher):
        ref.stop()


def test_a_suspended_actors_queue_survives_its_worker(node):
    door = node.whereis("door")
    victim = door.call.pid()
    door.system.suspend()
    answer = door.request.pid()
    node.wait_idle()
    assert not answer.state
    os.kill(victim, signal.SIGKILL)
    assert answer.get(timeout=30) != victim  # the next incarnation is not suspended


def test_one_of_a_worker_that_dies_is_a_typed_error(node):
    worker = node.spawn(Worker, placement=2)
    victim = node.whereis("door").call.pid()
    os.kill(victim, signal.SIGKILL)
    with pytest.raises((al.ActorDied, al.StartError)):
        while True:
            worker.system.get_state()
    node.wait_idle()
