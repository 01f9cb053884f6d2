"""Large messages travel in files of their own, in order with the small ones, and leave nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from messaging_drill import Held, Patient, Replies, Sender, Undecodable, open_all_lanes

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]
MIB = 1 << 20


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, max_message_bytes=32 * MIB) as node:
        open_all_lanes(node)
        yield node


def spilled(node: al.Node) -> list[str]:
    assert node.directory is not None
    return [entry.name for entry in os.scandir(node.directory) if entry.name.startswith("spill-")]


@pytest.mark.parametrize("size_bytes", [20_000, MIB, 16 * MIB])
def test_bytes_go_there_and_back(node: al.Node, size_bytes: int) -> None:
    data = os.urandom(1024) * (size_bytes // 1024)
    ref = node.spawn(Held, placement=1)
    assert ref.within(30).call.take(data) == data
    assert ref.ask(data, timeout=30) == data
    assert spilled(node) == []


@pytest.mark.parametrize("size_bytes", [MIB, 16 * MIB])
def test_arrays_go_there_and_back(node: al.Node, size_bytes: int) -> None:
    data = np.arange(size_bytes // 8, dtype=np.int64)
    ref = node.spawn(Held, placement=2)
    back = ref.within(30).call.take({"array": data, "n": 1})
    assert (back["array"] == data).all()
    assert spilled(node) == []


def test_large_messages_go_between_workers(node: al.Node, eventually: Eventually) -> None:
    data = bytes(MIB)
    sender, ref = node.spawn(Sender, placement=1), node.spawn(Held, placement=2)
    assert sender.within(30).call.tell(ref, [data, 1, data]) == ["ok"] * 3
    eventually(lambda: [type(item) for item in ref.within(30).call.all()] == [bytes, int, bytes])
    assert len(sender.within(30).call.call(ref, "take", data)) == MIB
    assert spilled(node) == []


def test_large_and_small_messages_keep_their_order(node: al.Node) -> None:
    sender, ref = node.spawn(Sender, placement=1), node.spawn(Held, placement=2)
    assert sender.within(60).call.mixed(ref, 210, 50_000) == 210
    assert [item[0] for item in ref.within(30).call.all()] == list(range(210))
    assert spilled(node) == []


def test_a_message_above_the_limit_is_refused_at_once(node: al.Node) -> None:
    ref = node.spawn(Held, placement=1)
    for send in (ref.tell, ref.call.take, ref.cast.take, ref.request.take):
        with pytest.raises(al.MessageTooLarge) as refused:
            send(bytes(32 * MIB + 1))
        assert refused.value.delivery == "never"
        assert "max_message_bytes" in str(refused.value)
    assert ref.call.all() == []
    assert spilled(node) == []


def test_a_reply_above_the_limit_is_the_callers_error_and_the_actor_lives(node: al.Node) -> None:
    ref = node.spawn(Replies, placement=1)
    with pytest.raises(al.MessageTooLarge) as refused:
        ref.within(30).call.huge(32 * MIB + 1)
    assert refused.value.delivery == "handled"
    assert ref.call.fine() == "fine"
    assert spilled(node) == []


def test_an_argument_of_a_start_may_be_large(node: al.Node) -> None:
    ref = node.spawn(Replies, bytes(MIB), placement=2)
    assert ref.call.fine() == "fine"
    assert spilled(node) == []


def test_a_large_message_that_is_dropped_leaves_nothing(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    gate = tmp_path / "open"
    ref = node.spawn(Held, placement=1, mailbox=al.Mailbox(capacity=2, overflow="drop_new"))
    ref.cast.hold(str(gate))
    eventually((tmp_path / "open.held").exists)
    for _ in range(6):
        ref.tell(bytes(MIB))
    eventually(lambda: len(spilled(node)) == 2)
    ref.exit("kill")
    eventually(lambda: spilled(node) == [])
    gate.touch()


def test_a_large_message_to_a_dead_actor_leaves_nothing(node: al.Node) -> None:
    ref = node.spawn(Held, placement=1)
    ref.stop()
    with pytest.raises(al.ActorDied):
        ref.tell(bytes(MIB))
    assert spilled(node) == []


def test_a_large_message_that_cannot_be_unpickled_leaves_nothing(node: al.Node) -> None:
    ref = node.spawn(Patient, placement=1)
    with pytest.raises(al.NotSendable):
        ref.call.take([bytes(MIB), Undecodable()])
    assert ref.call.all() == []
    assert spilled(node) == []


def test_a_late_large_reply_leaves_nothing(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    gate = tmp_path / "open"
    ref = node.spawn(Replies, placement=1)
    holder = node.spawn(Held, placement=1)
    holder.cast.hold_worker(str(gate))
    eventually((tmp_path / "open.held").exists)
    late = node.runtime.late_replies
    with pytest.raises(al.CallTimeout):
        ref.within(0.05).call.huge(MIB)
    gate.touch()
    eventually(lambda: node.runtime.late_replies == late + 1)
    assert spilled(node) == []


def test_what_a_killed_sender_wrote_and_did_not_send_is_swept(eventually: Eventually, tmp_path: Path) -> None:
    with al.Node(workers=2) as node:
        assert node.directory is not None
        gate = tmp_path / "open"
        receiver = node.spawn(Held, placement=2)
        receiver.cast.hold(str(gate))
        eventually((tmp_path / "open.held").exists)
        sender = node.spawn(Sender, placement=1)
        assert sender.call.tell(receiver, [bytes(MIB), bytes(MIB)]) == ["ok", "ok"]
        sent = set(spilled(node))
        assert len(sent) == 2
        lost = node.directory / "spill-1-1-ffff"
        lost.write_bytes(b"half a message")
        pid = node.workers[0].pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: node.workers[0].pid not in (0, pid) and not lost.exists())
        assert set(spilled(node)) == sent  # what had been sent is the receiver's
        gate.touch()
        assert [len(item) for item in receiver.within(10).call.all()] == [MIB, MIB]
        assert spilled(node) == []


def test_a_large_message_outlives_its_receivers_worker(eventually: Eventually, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    tree = al.Supervisor(children=[al.child(Held, name="held", placement=1)])
    with al.Node(workers=2, tree=tree) as node:
        ref: Any = node.whereis("held")
        assert ref is not None
        ref.cast.hold(str(gate))
        eventually((tmp_path / "open.held").exists)
        ref.tell(bytes(MIB))
        pid = node.workers[0].pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: node.workers[0].pid not in (0, pid) and ref.incarnation == 1)
        assert [len(item) for item in ref.within(10).call.all()] == [MIB]
        assert spilled(node) == []
