"""A worker killed while it counts a message that failed or is dropped: the message is in the books once."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from recovery_drill import Clerk

import actorlab as al
from actorlab.node import fate
from actorlab.transport import arm_crashpoints, crashpoint_labels, kill_at

pytestmark = pytest.mark.process

LABELS = [label for label in crashpoint_labels(fate) if label.startswith("fate.")]


class Doomed(Clerk):
    """Its process dies at a crash point."""

    def die_at_point(self, label: str) -> None:
        arm_crashpoints(fate, kill_at(label, 1))

    def fail(self, item: int) -> None:
        raise ValueError(item)

    def give_up(self) -> None:
        self.stop()

    def hold_worker(self, path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.001)


class Gated(Clerk):
    async def hold(self, path: str) -> None:
        while not os.path.exists(path):
            await asyncio.sleep(0.001)

    def have_killed(self, other: al.ActorRef) -> None:
        other.cast.kill_process()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("how", ["fail", "drop"])
def test_a_message_is_in_the_books_once_wherever_its_worker_is_killed(label, how, tmp_path, eventually):
    capacity = al.Mailbox(4, "drop_old")
    tree = al.Supervisor(
        max_restarts=100,
        children=[al.child(Doomed, name="one", placement=1, mailbox=capacity if how == "drop" else None)],
    )
    with al.Node(workers=1, tree=tree, log_level="CRITICAL") as node:
        ref = node.whereis("one")
        ref.call.die_at_point(label)
        sent = 1
        if how == "fail":
            for n in range(10):
                ref.cast.fail(n) if n == 3 else ref.cast.note(n)
                sent += 1
        else:
            ref.cast.hold_worker(str(tmp_path / "gate"))
            sent += 1
            for n in range(10):
                ref.cast.note(n)
                sent += 1
            (tmp_path / "gate").touch()
        eventually(lambda: ref.incarnation >= 1)
        node.wait_idle()
        books = ref.statistics()
        assert (books.accepted, books.depth) == (sent, 0), books
        if how == "fail":
            assert ref.call.noted()[-6:] == [4, 5, 6, 7, 8, 9]
            assert books.failed + books.dead_lettered == 1


def test_a_caller_outside_hears_when_its_answer_died_between_block_and_lane():
    """The question's block is free, the answer was never sent: the asker's own process settles the call."""
    tree = al.Supervisor(max_restarts=100, children=[al.child(Doomed, name="one", placement=1)])
    with al.Node(workers=1, tree=tree, log_level="CRITICAL") as node:
        ref = node.whereis("one")
        ref.call.die_at_point("fate.word")
        ref.call.add(1)  # from the second message on the short way is taken
        with pytest.raises(al.ActorDied) as died:
            ref.within(20).call.fail(1)
        assert died.value.delivery == "unknown"
        assert ref.within(20).call.add(1) == 1


def test_what_was_handled_since_the_depth_was_written_is_not_written_off(tmp_path, eventually):
    """Its last message comes from beside it and kills it: only that one can be missing from the books."""
    tree = al.Supervisor(
        max_restarts=100, children=[al.child(Gated, name="one", placement=1), al.child(Gated, name="two", placement=1)]
    )
    with al.Node(workers=1, tree=tree, log_level="CRITICAL", heartbeat_s=0.02) as node:
        ref, beside, gate = node.whereis("one"), node.whereis("two"), tmp_path / "gate"
        ref.cast.hold(str(gate))
        for n in range(10):
            ref.cast.note(n)
        beside.call.have_killed(ref)
        eventually(lambda: ref.statistics().depth == 11)
        gate.touch()
        eventually(lambda: ref.incarnation == 1)
        node.wait_idle()
        assert 11 <= ref.statistics().accepted <= 12, ref.statistics()

