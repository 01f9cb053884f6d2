"""Large messages travel in slabs, or in files of their own, in order with the small ones, and leave nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from messaging_drill import Held, Patient, Replies, Sender, Undecodable, open_all_lanes

import actorlab as al
from actorlab.node.inlet import Inlet
from actorlab.testing import eventually
from actorlab.transport import WANT, slab_usage

pytestmark = pytest.mark.process

MIB = 1 << 20

WAYS = pytest.mark.parametrize("slab_bytes", [64 * MIB, 0], ids=["slabs", "files"])


@pytest.fixture(scope="module", params=[64 * MIB, 0], ids=["slabs", "files"])
def node(request: pytest.FixtureRequest) -> Iterator[al.Node]:
    with al.Node(workers=2, max_message_bytes=32 * MIB, slab_bytes=request.param) as node:
        open_all_lanes(node)
        yield node


def spilled(node: al.Node) -> list[str]:
    """Return what large messages have in shared memory now: the files, and the slabs that are not free."""
    assert node.directory is not None
    found = [entry.name for entry in os.scandir(node.directory) if entry.name.startswith("spill-")]
    for usage in slab_usage(node.directory):
        found += [f"slab {n} of {usage.sender}.{usage.sender_epoch}" for n in range(usage.lent + usage.held)]
    return found


def comes_back(node: al.Node) -> None:
    """Wait until no message has anything in shared memory: who has read one gives it back in his own time."""
    eventually(lambda: spilled(node) == [])


@pytest.mark.parametrize("size_bytes", [20_000, MIB, 16 * MIB])
def test_bytes_go_there_and_back(node: al.Node, size_bytes: int) -> None:
    data = os.urandom(1024) * (size_bytes // 1024)
    ref = node.spawn(Held, placement=1)
    assert ref.within(30).call.take(data) == data
    assert ref.ask(data, timeout=30) == data
    comes_back(node)


@pytest.mark.parametrize("size_bytes", [MIB, 16 * MIB])
def test_arrays_go_there_and_back(node: al.Node, size_bytes: int) -> None:
    data = np.arange(size_bytes // 8, dtype=np.int64)
    ref = node.spawn(Held, placement=2)
    back = ref.within(30).call.take({"array": data, "n": 1})
    assert (back["array"] == data).all()
    del back
    ref.stop()  # it has kept the array it was given
    comes_back(node)


def test_large_messages_go_between_workers(node: al.Node) -> None:
    data = bytes(MIB)
    sender, ref = node.spawn(Sender, placement=1), node.spawn(Held, placement=2)
    assert sender.within(30).call.tell(ref, [data, 1, data]) == ["ok"] * 3
    eventually(lambda: [type(item) for item in ref.within(30).call.all()] == [bytes, int, bytes])
    assert len(sender.within(30).call.call(ref, "take", data)) == MIB
    comes_back(node)


def test_large_and_small_messages_keep_their_order(node: al.Node) -> None:
    sender, ref = node.spawn(Sender, placement=1), node.spawn(Held, placement=2)
    assert sender.within(60).call.mixed(ref, 210, 50_000) == 210
    assert [item[0] for item in ref.within(30).call.all()] == list(range(210))
    comes_back(node)


def test_a_message_above_the_limit_is_refused_at_once(node: al.Node) -> None:
    ref = node.spawn(Held, placement=1)
    for send in (ref.tell, ref.call.take, ref.cast.take, ref.request.take):
        with pytest.raises(al.MessageTooLarge) as refused:
            send(bytes(32 * MIB + 1))
        assert refused.value.delivery == "never"
        assert "max_message_bytes" in str(refused.value)
    assert ref.call.all() == []
    comes_back(node)


def test_a_reply_above_the_limit_is_the_callers_error_and_the_actor_lives(node: al.Node) -> None:
    ref = node.spawn(Replies, placement=1)
    with pytest.raises(al.MessageTooLarge) as refused:
        ref.within(30).call.huge(32 * MIB + 1)
    assert refused.value.delivery == "handled"
    assert ref.call.fine() == "fine"
    comes_back(node)


def test_an_argument_of_a_start_may_be_large(node: al.Node) -> None:
    ref = node.spawn(Replies, bytes(MIB), placement=2)
    assert ref.call.fine() == "fine"
    comes_back(node)


def test_a_large_message_that_is_dropped_leaves_nothing(node: al.Node, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    ref = node.spawn(Held, placement=1, mailbox=al.Mailbox(capacity=2, overflow="drop_new"))
    ref.cast.hold(str(gate))
    eventually((tmp_path / "open.held").exists)
    for _ in range(6):
        ref.tell(bytes(MIB))
    eventually(lambda: len(spilled(node)) == 2)
    ref.exit("kill")
    comes_back(node)
    gate.touch()


def test_a_large_message_to_a_dead_actor_leaves_nothing(node: al.Node) -> None:
    ref = node.spawn(Held, placement=1)
    ref.stop()
    with pytest.raises(al.ActorDied):
        ref.tell(bytes(MIB))
    comes_back(node)


def test_a_large_message_that_cannot_be_unpickled_leaves_nothing(node: al.Node) -> None:
    ref = node.spawn(Patient, placement=1)
    with pytest.raises(al.NotSendable):
        ref.call.take([bytes(MIB), Undecodable()])
    assert ref.call.all() == []
    comes_back(node)


def test_a_late_large_reply_leaves_nothing(node: al.Node, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    ref = node.spawn(Replies, placement=1)
    late = node.runtime.late_replies
    answer = ref.request.huge_when(str(gate), MIB)
    eventually((tmp_path / "open.held").exists)
    assert answer.cancel()  # the handler has begun, so its answer will come
    gate.touch()
    eventually(lambda: node.runtime.late_replies == late + 1)
    comes_back(node)


@WAYS
def test_what_a_killed_sender_wrote_and_did_not_send_is_swept(
    tmp_path: Path, slab_bytes: int
) -> None:
    with al.Node(workers=2, slab_bytes=slab_bytes) as node:
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
        assert [len(item) for item in receiver.within(30).call.all()] == [MIB, MIB]
        comes_back(node)
        directory = node.directory
        eventually(lambda: not (directory / "slabs.1.1").exists())  # the file goes with the last message in it


@WAYS
def test_a_large_message_outlives_its_receivers_worker(tmp_path: Path, slab_bytes: int) -> None:
    gate = tmp_path / "open"
    tree = al.Supervisor(children=[al.child(Held, name="held", placement=1)])
    with al.Node(workers=2, tree=tree, slab_bytes=slab_bytes) as node:
        ref: Any = node.whereis("held")
        assert ref is not None
        ref.cast.hold(str(gate))
        eventually((tmp_path / "open.held").exists)
        ref.tell(bytes(MIB))
        pid = node.workers[0].pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: node.workers[0].pid not in (0, pid) and ref.incarnation == 1)
        assert [len(item) for item in ref.within(30).call.all()] == [MIB]
        comes_back(node)


def test_a_blocks_next_large_message_is_kept_whoever_frees_the_last_one() -> None:
    """A blocking actor's thread frees a block; before its next line the block's next message is read, and kept."""
    hand = 1 << 16 | 5
    discarded: list[bytes] = []
    inlet: Any = Inlet.__new__(Inlet)
    inlet._kept = {hand: b"handled"}
    inlet._runtime = SimpleNamespace(spill=SimpleNamespace(discard=discarded.append))
    lane = SimpleNamespace(free=lambda block: inlet._kept.update({hand: b"in hand"}), buf=bytes(WANT + 1))
    inlet.readers = {1: lane}
    inlet.free(hand)
    assert discarded == [b"handled"]
    assert inlet._kept == {hand: b"in hand"}
