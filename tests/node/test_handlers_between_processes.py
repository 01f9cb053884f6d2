"""Stash, priorities and reentrancy where messages come from other processes, and where workers die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from handlers_drill import Clinic, Door, Twin, Worker

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    children = [
        al.child(Door, name="door", placement=2),
        al.child(Twin, name="twin", placement=2),
    ]
    tree = al.Supervisor(children=children, max_restarts=1000)
    with al.Node(workers=2, call_timeout_s=20.0, tree=tree) as node:
        for place in (1, 2):
            node.spawn(Worker, placement=place).stop()
        node.wait_idle()
        yield node


def test_a_stash_survives_the_death_of_its_worker_in_order(node):
    """Promise 4: what came from other processes is kept, aside or waiting; large messages too."""
    door = node.whereis("door")
    calls = [door.request.enter(1)]
    door.cast.enter(b"x" * 100_000)
    door.cast.enter(3)
    node.wait_idle()
    assert door.statistics().depth == 3
    before = door.incarnation
    os.kill(door.call.pid(), signal.SIGKILL)
    node.wait_idle()
    assert door.incarnation == before + 1
    door.cast.enter(4)
    node.wait_idle()
    assert door.statistics().depth == 4
    door.call.open()
    assert calls[0].get(timeout=30) == "in"
    assert door.call.all() == [1, 100_000, 3, 4]
    door.exit("kill")
    node.wait_idle()


def test_what_was_stashed_from_within_the_worker_is_written_off_by_number(node):
    door = node.whereis("door")
    neighbour = node.spawn(Door, placement=2)
    victim = door.call.pid()
    neighbour.call.send_all(door, [1, 2, 3])
    door.cast.enter("from outside")
    node.wait_idle()
    lost = door.statistics().dead_lettered
    os.kill(victim, signal.SIGKILL)
    node.wait_idle()
    door.call.open()
    assert door.call.all() == ["from outside"]
    assert door.statistics().dead_lettered == lost + 3
    door.exit("kill")
    node.wait_idle()


def test_one_senders_stash_does_not_keep_his_next_message_out(node):
    """A stash is smaller than the mailbox, so the message that empties it always gets through."""
    door = node.spawn(Door, placement=1, mailbox=al.Mailbox(capacity=21, timeout_s=5))
    for who in range(20):
        door.cast.enter(who)
    assert door.call.open() == 20
    assert door.call.all() == list(range(20))
    door.stop()


def test_the_most_urgent_of_other_processes_come_first(node, tmp_path, eventually):
    clinic = node.spawn(Clinic, placement=2)
    gate = tmp_path / "gate"
    answer = clinic.request.hold(str(gate))
    eventually(Path(f"{gate}.held").exists)
    clinic.cast.do("visit")
    clinic.cast.do(b"x" * 100_000)
    clinic.cast.emergency("emergency")
    clinic.cast.emergency(b"y" * 100_000)
    clinic.tell(7)
    last = clinic.request.do("last")
    node.spawn(Worker, placement=2).call.done()
    gate.touch()
    assert answer.get(timeout=30) == "held"
    assert last.get(timeout=30) == "last"
    shape = [item if not isinstance(item, bytes) else item[:1] for item in clinic.call.done()]
    assert shape == [7, "emergency", b"y", "visit", b"x", "last"]
    clinic.stop()


def test_a_full_one_refuses_what_is_urgent_too(node, tmp_path, eventually):
    clinic = node.spawn(Clinic, placement=2, mailbox=al.Mailbox(capacity=2, overflow="reject"))
    gate = tmp_path / "gate"
    answer = clinic.request.hold(str(gate))
    eventually(Path(f"{gate}.held").exists)
    waiting = [clinic.request.do(n) for n in range(2)]
    with pytest.raises(al.MailboxFull):
        clinic.call.emergency("too many")
    gate.touch()
    assert answer.get(timeout=30) == "held"
    assert al.gather(*waiting).get(timeout=30) == [0, 1]
    clinic.stop()


@pytest.mark.parametrize("how", ["back_and_forth", "aback_and_forth"])
def test_reentrant_actors_call_each_other_across_workers(node, how):
    here, there = node.spawn(Twin, placement=1), node.spawn(Twin, placement=2)
    assert getattr(here.call, how)(there, 30) == 30


def test_what_a_reentrant_actor_was_at_is_never_handled_twice(node, tmp_path, eventually):
    twin = node.whereis("twin")
    gates = [tmp_path / f"gate{n}" for n in range(3)]
    answers = [twin.request.hold(str(gate)) for gate in gates]
    for gate in gates:
        eventually(Path(f"{gate}.held").exists)
        Path(f"{gate}.held").unlink()
    os.kill(twin.call.pid(), signal.SIGKILL)
    for answer in answers:
        with pytest.raises(al.ActorDied) as died:
            answer.get(timeout=30)
        assert died.value.delivery == "unknown"
    assert twin.call.pid()
    node.wait_idle()
    assert not any(Path(f"{gate}.held").exists() for gate in gates)
