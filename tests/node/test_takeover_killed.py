"""A worker killed while it takes over from a killed one: the next finds in whose hand every message was."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from recovery_drill import Clerk, is_busy, kill_worker

import actorlab as al
from actorlab.actor import handling
from actorlab.node import takeover
from actorlab.transport import arm_crashpoints, crashpoint_labels, kill_at

pytestmark = pytest.mark.process

CLOSING = ["takeover.close", "takeover.closed"]
CAPACITY = al.Mailbox(100)


class Doomed(Clerk):
    """Its process dies when a message of a rarer sort is done, and its block free."""

    def die_when_freed(self) -> None:
        arm_crashpoints(handling, kill_at("hand.freed", 1))

    async def add_later(self, k: int) -> int:
        return self.add(k)

    async def doze_until(self, path: str) -> str:
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return "dozed"


class Retried(Doomed):
    redeliver = 1


@pytest.fixture
def killed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`killed_at(label, times)`: those who take over die there, so many of them."""
    bomb = tmp_path / "bomb"
    bomb.write_text("")
    monkeypatch.setenv("ACTORLAB_TEST_BOMB", str(bomb))
    return lambda label, times=1: bomb.write_text(f"{label} {times}")


@contextmanager
def node_of(*children: object) -> Iterator[al.Node]:
    tree = al.Supervisor(max_restarts=100, children=children)
    with al.Node(workers=1, tree=tree, preload=("resume_bomb",), log_level="CRITICAL") as node:
        yield node


def test_every_point_is_tested() -> None:
    """Here who is given up and what was done; test_stores_killed.py has the others."""
    assert {*CLOSING, "takeover.handled", "takeover.counted"} <= set(crashpoint_labels(takeover))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("label", CLOSING)
def test_what_was_begun_is_never_said_not_to_have_been(label, times, killed_at, eventually):
    """P3: nobody restarts it, so its place is given up; whoever asked must not be told that it may ask again."""
    with node_of() as node:
        refs = [node.spawn(Clerk, placement=1) for _ in range(3)]
        for ref in refs:
            ref.call.add(1)
        begun = [ref.request.doze(60) for ref in refs]
        queued = [ref.request.add(1) for ref in refs]
        for ref in refs:
            eventually(is_busy(node, ref))
        killed_at(label, times)
        kill_worker(node, 1)
        for question, delivery in (*((one, "unknown") for one in begun), *((one, "never") for one in queued)):
            with pytest.raises(al.ActorDied) as died:
                question.get(timeout=20)
            assert died.value.delivery == delivery
        assert node.spawn(Clerk, placement=1).call.add(2) == 2
        assert Path(os.environ["ACTORLAB_TEST_BOMB"]).read_text() == f"{label} 0"


@pytest.mark.parametrize("kind", [Doomed, Retried])
def test_what_was_done_is_not_done_again_though_its_last_store_is_missing(kind, killed_at):
    """Killed when the block was free; who takes over is killed before it has said so; meanwhile the block is reused."""
    with node_of(al.child(kind, name="one", placement=1, mailbox=CAPACITY)) as node:
        ref = node.whereis("one")
        assert ref.call.add(1) == 1
        ref.call.die_when_freed()
        killed_at("takeover.handled", 2)
        futures = [ref.request.add_later(1) for _ in range(20)]
        lost = []
        for number, future in enumerate(futures):
            try:
                future.get(timeout=20)
            except al.ActorDied as error:
                assert error.delivery == "unknown"
                lost.append(number)
        assert lost in ([], [0])  # its answer died with the process, or came just before
        assert ref.within(20).call.add(0) == 19
        assert ref.incarnation == 1
        node.wait_idle()
        books = ref.statistics()
        assert (books.accepted, books.handled, books.dead_lettered, books.depth) == (23, 23, 0, 0), books


def test_what_was_in_hand_is_a_dead_letter_once_or_tried_again_once(killed_at, tmp_path, eventually):
    children = [
        al.child(kind, name=kind.__name__, placement=1, mailbox=CAPACITY) for kind in (Doomed, Retried)
    ]
    with node_of(*children) as node:
        once, again = node.whereis("Doomed"), node.whereis("Retried")
        free = node.spawn(Clerk, placement=1)
        begun = [ref.request.doze(60) for ref in (once, free)]
        tried = again.request.doze_until(str(tmp_path / "gate"))
        for ref in (once, free, again):
            eventually(is_busy(node, ref))
        killed_at("takeover.closed", 2)
        kill_worker(node, 1)
        (tmp_path / "gate").touch()
        for question in begun:
            with pytest.raises(al.ActorDied, match="its handler may have run"):
                question.get(timeout=20)
        assert tried.get(timeout=20) == "dozed"
        assert once.within(20).call.add(1) == 1
        node.wait_idle()
        assert (once.statistics().dead_lettered, again.statistics().dead_lettered) == (1, 0)
        assert (once.statistics().accepted, again.statistics().accepted) == (2, 1)
