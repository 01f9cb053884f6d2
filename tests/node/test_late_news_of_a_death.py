"""A death that is heard late, when the next process of that worker is long at work: its work is not taken for lost.

Worker 1 asks worker 2. It is frozen while worker 2 is killed and replaced, so it hears of the death when the
replacement has already taken up what lay in the lane, or is asked by a message of the same lane.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from late_news_actors import Asker, Gated, Many
from recovery_drill import (
    Clerk,
    answers,
    children_of,
    freeze_worker,
    kill_worker,
    open_node,
    replaced,
    trees_that_end,
    worker_of,
)

import actorlab as al
from actorlab.errors import WorkerLost
from actorlab.transport import LaneReader, lane_path

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with open_node(hang_timeout_s=60.0) as node:
        talker = node.spawn(Clerk, placement=1)
        other = node.spawn(Clerk, placement=2)
        talker.call.ask(other, "add")  # the lanes between the two are there from now on
        talker.stop()
        other.stop()
        node.wait_idle()
        yield node


@pytest.fixture
def start(node, eventually):
    yield from trees_that_end(node, eventually)


@pytest.fixture
def gate(tmp_path) -> Path:
    return tmp_path / "gate"


@contextmanager
def frozen(node: al.Node, number: int) -> Iterator[int]:
    """Hold a worker's process up; whatever it is sent waits in its lanes. It may be killed meanwhile."""
    pid = freeze_worker(node, number)
    try:
        yield pid
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def has_mail(node: al.Node, sender: int, receiver: int) -> Callable[[], bool]:
    """Return a condition: something lies in the lane between two workers that nobody has taken yet."""
    path = lane_path(node.runtime.directory, sender, receiver)

    def condition() -> bool:
        lane = LaneReader(path)
        try:
            return lane.ready
        finally:
            lane.close()

    return condition


def who_began(gate: Path) -> set[int]:
    """Return the processes that are at what waits for the gate, or were."""
    return {int(path.suffix[1:]) for path in gate.parent.glob("*.begun.*")}


def hears(node: al.Node, number: int) -> None:
    """Return when a worker has acted on all that the controller told it before."""
    node.runtime.control(number, "ping").get(timeout=30)


# -- orders -----------------------------------------------------------------------------------------------------------


def test_a_child_that_the_next_process_starts_is_its_supervisors_however_late_that_hears(node, start, eventually, gate):
    start(al.Supervisor(children=[al.Supervisor(name="far", placement=1, max_restarts=9)]))
    far = node.whereis("far")
    spec = al.child(Gated, str(gate), name="late", placement=2, init_timeout_s=30.0)
    with frozen(node, 2):
        asked = far.request.start_child(spec)
        eventually(has_mail(node, 1, 2))
        with frozen(node, 1):
            old = kill_worker(node, 2)
            eventually(lambda: who_began(gate))
    hears(node, 1)
    gate.touch()
    child = asked.get(timeout=30)
    assert child.call.process() == worker_of(node, 2).pid != old
    assert node.whereis("late") == child
    assert children_of(far)["late"].status == "running"


def test_a_supervisor_comes_back_whose_order_lay_in_a_dead_workers_lane(node, start, eventually, gate):
    """It is started anew with its children; else one of them would live on, and keep its name from it for ever."""
    gate.touch()
    first = al.child(Gated, str(gate), name="first", placement=2, init_timeout_s=30.0)
    second = al.child(Clerk, name="second", placement=1)
    far = al.Supervisor(strategy="rest_for_one", name="far", placement=1, max_restarts=9, children=[first, second])
    start(al.Supervisor(max_restarts=9, children=[far]))
    node.wait_idle()
    gate.unlink()
    for path in gate.parent.glob("*.begun.*"):
        path.unlink()
    with frozen(node, 2):
        old = kill_worker(node, 1)
        eventually(has_mail(node, 1, 2))
        eventually(replaced(node, 1, old))
        with frozen(node, 1):
            kill_worker(node, 2)
            eventually(lambda: who_began(gate))
    hears(node, 1)
    gate.touch()
    eventually(lambda: (second := node.whereis("second")) is not None and answers(second), within_s=30)
    assert node.whereis("first").call.process() == worker_of(node, 2).pid
    assert {name: child.status for name, child in children_of(node.whereis("far")).items()} == {
        "first": "running", "second": "running",
    }  # fmt: skip


def test_what_died_with_its_process_is_lost_though_the_next_one_is_there(node, eventually, gate):
    asker = node.spawn(Asker, placement=1)
    asked = asker.request.order(str(gate), 2)
    eventually(lambda: who_began(gate))
    with frozen(node, 1):
        old = kill_worker(node, 2)
        eventually(replaced(node, 2, old))
    assert asked.get(timeout=30) == "WorkerLost"
    asker.stop()


def test_what_a_second_process_took_up_and_died_with_is_lost_too(node, eventually, gate):
    asker = node.spawn(Asker, placement=1)
    with frozen(node, 2):
        asked = asker.request.order(str(gate), 2)
        eventually(has_mail(node, 1, 2))
        with frozen(node, 1):
            kill_worker(node, 2)
            eventually(lambda: who_began(gate))
            second = kill_worker(node, 2)
            eventually(replaced(node, 2, second))
    assert asked.get(timeout=30) == "WorkerLost"
    assert who_began(gate) == {second}
    asker.stop()


def test_a_process_that_is_killed_before_it_can_say_what_it_took_up_leaves_nobody_waiting(node, eventually, gate):
    asker = node.spawn(Asker, placement=1)
    with frozen(node, 2):
        asked = asker.request.order(str(gate), 2)
        eventually(has_mail(node, 1, 2))
        with frozen(node, 1):
            kill_worker(node, 2)
            eventually(lambda: who_began(gate))
            second = freeze_worker(node, 2)
        hears(node, 1)  # it asks, and the frozen one does not answer
        assert not asked.state
        os.kill(second, signal.SIGKILL)
    assert asked.get(timeout=30) == "WorkerLost"
    eventually(replaced(node, 2, second))
    asker.stop()


def test_an_order_is_lost_with_its_worker_though_the_death_is_heard_while_it_is_being_sent(
    node, monkeypatch, eventually, gate
):
    """Another thread hears of it, before ours could note whom the order went to."""
    post = node.runtime.sending.post_body

    def post_and_see_it_die(process, dest, corr, kind, body, what):
        post(process, dest, corr, kind, body, what)
        if what == "start":
            eventually(lambda: who_began(gate))
            eventually(replaced(node, 2, kill_worker(node, 2)))

    monkeypatch.setattr(node.runtime.sending, "post_body", post_and_see_it_die)
    with pytest.raises(WorkerLost):
        node.spawn(Gated, str(gate), placement=2)


# -- questions --------------------------------------------------------------------------------------------------------


def test_a_call_that_a_reentrant_actor_is_at_in_the_next_process_is_answered(node, start, eventually, gate):
    start(al.Supervisor(max_restarts=9, children=[al.child(Many, name="many", placement=2)]))
    many = node.whereis("many")
    asker = node.spawn(Asker, placement=1)
    with frozen(node, 2):
        asked = asker.request.question(many, str(gate))
        eventually(has_mail(node, 1, 2))
        with frozen(node, 1):
            old = kill_worker(node, 2)
            eventually(lambda: who_began(gate))
    hears(node, 1)
    gate.touch()
    assert asked.get(timeout=30) == worker_of(node, 2).pid != old
    asker.stop()


@pytest.mark.parametrize("calls_before", [0, 3])
def test_a_call_is_lost_with_its_worker_though_the_death_is_heard_while_it_is_being_sent(
    node, start, monkeypatch, eventually, gate, calls_before
):
    """Another thread hears of it, before ours could note whom it has asked. The first call goes another way."""
    start(al.Supervisor(max_restarts=9, children=[al.child(Many, name="many", placement=2)]))
    many = node.whereis("many")
    gate.touch()
    lane = node.runtime.outlet.open(2)
    sends = {True: (node.runtime.outlet, node.runtime.outlet.try_send), False: (lane, lane.try_send)}
    where, send = sends[calls_before == 0]
    dies = threading.Event()

    def send_and_see_it_die(*message):
        sent = send(*message)
        if dies.is_set():
            dies.clear()
            eventually(lambda: who_began(gate))
            eventually(replaced(node, 2, kill_worker(node, 2)))
        return sent

    monkeypatch.setattr(where, "try_send", send_and_see_it_die)
    for _ in range(calls_before):
        assert many.call.pass_through(str(gate)) == worker_of(node, 2).pid
    gate.unlink()
    for path in gate.parent.glob("*.begun.*"):
        path.unlink()
    dies.set()
    with pytest.raises(al.ActorDied) as died:
        many.within(20).call.pass_through(str(gate))
    assert died.value.delivery == "unknown" and not dies.is_set()
