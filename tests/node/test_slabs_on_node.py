"""Slabs between real processes: what is kept stays as it was, whoever dies, and everything comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slab_drill import Frail, Keeper, Source

import actorlab as al
from actorlab.observe import snapshot
from actorlab.transport import slab_usage

pytestmark = pytest.mark.process

Eventually = Callable[..., None]
MIB = 1 << 20


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, slab_bytes=64 * MIB) as node:
        yield node


def in_use(node: al.Node) -> int:
    """How many slabs are not free."""
    assert node.directory is not None
    return sum(usage.lent + usage.held for usage in slab_usage(node.directory))


def messages(node: al.Node) -> tuple[int, int]:
    """How many messages went into slabs, and how many into files for want of one."""
    assert node.directory is not None
    rows = slab_usage(node.directory)
    return sum(usage.messages for usage in rows), sum(usage.fallbacks for usage in rows)


def test_what_an_actor_keeps_stays_while_much_else_comes(node: al.Node, eventually: Eventually) -> None:
    source, keeper = node.spawn(Source, placement=1), node.spawn(Keeper, placement=2)
    assert source.within(30).call.tell(keeper, "keep", range(10), MIB) == 10
    assert source.within(30).call.ask(keeper, range(100, 300), MIB)
    assert source.within(30).call.ask(keeper, range(300, 400), 100_000)
    assert keeper.within(30).call.wrong() == []
    assert in_use(node) == 10
    assert keeper.call.drop(3, 4, 5) == 7
    assert in_use(node) == 7
    assert keeper.call.drop() == 0
    assert in_use(node) == 0


def test_a_slow_actors_queue_is_whole_and_in_order(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    source, keeper = node.spawn(Source, placement=1), node.spawn(Keeper, placement=2)
    keeper.cast.hold(str(tmp_path / "open"))
    eventually((tmp_path / "open.held").exists)
    assert source.within(60).call.tell(keeper, "keep", range(200), MIB) == 200
    in_slabs, in_files = messages(node)
    assert in_slabs + in_files == 200
    assert 10 < in_slabs <= 64
    (tmp_path / "open").touch()
    eventually(lambda: keeper.within(60).call.count() == 200, 60)
    assert keeper.call.wrong() == []
    assert keeper.within(60).call.drop() == 0
    assert in_use(node) == 0


def test_what_a_killed_workers_actors_kept_comes_back(node: al.Node, eventually: Eventually) -> None:
    source, keeper = node.spawn(Source, placement=1), node.spawn(Keeper, placement=2)
    for number in range(5):
        keeper.cast.keep(number, np.full(MIB, number, np.uint8))
    source.within(30).call.tell(keeper, "keep", range(5, 10), MIB)
    eventually(lambda: keeper.call.count() == 10)
    assert in_use(node) == 10
    keeper.cast.die()
    eventually(lambda: in_use(node) == 0)


def test_what_was_kept_outlives_its_sender(node: al.Node, eventually: Eventually) -> None:
    source, keeper = node.spawn(Source, placement=1), node.spawn(Keeper, placement=2)
    source.within(30).call.tell(keeper, "keep", range(5), MIB)
    eventually(lambda: keeper.call.count() == 5)
    source.cast.die()
    eventually(lambda: source.is_alive() is False and node.workers[0].restarts == 1)
    again = node.spawn(Source, placement=1)
    assert again.within(30).call.ask(keeper, range(100, 150), MIB)
    assert keeper.within(30).call.wrong() == []
    assert node.directory is not None
    old = node.directory / "slabs.1.1"
    assert old.exists()
    assert keeper.call.drop() == 0
    eventually(lambda: not old.exists())


def test_what_was_kept_goes_along_into_a_fresh_process(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    source, keeper = node.spawn(Source, placement=1), node.spawn(Keeper, placement=2)
    source.within(30).call.tell(keeper, "keep", range(5), MIB)
    eventually(lambda: keeper.call.count() == 5)
    node.recycle_worker(1)
    node.recycle_worker(2)
    assert source.within(30).call.ask(keeper, range(100, 150), MIB)
    assert keeper.within(30).call.count() == 5
    assert keeper.call.wrong() == []
    eventually(lambda: in_use(node) == 0)  # what moved is the fresh process's own
    assert node.directory is not None
    old = node.directory / "slabs.1.1"
    eventually(lambda: not old.exists())


def test_a_large_message_is_tried_again_as_it_was(tmp_path: Path, eventually: Eventually) -> None:
    tree = al.Supervisor(max_restarts=5, children=[al.child(Frail, name="frail", placement=2)])
    with al.Node(workers=2, tree=tree, slab_bytes=64 * MIB) as node:
        frail: Any = node.whereis("frail")
        keeper = node.spawn(Keeper, placement=1)
        answer = frail.request.look(str(tmp_path / "tries"), np.full(MIB, 7, np.uint8))
        for number in range(100):  # were its slab free, one of these would be in it
            assert keeper.within(30).call.look(number, np.full(MIB, number, np.uint8))
        assert answer.get(timeout=30) == (3, 7, 7)
        eventually(lambda: in_use(node) == 0)


def test_what_is_sent_on_or_answered_is_another_copy(node: al.Node, eventually: Eventually) -> None:
    source, keeper, other = (node.spawn(cls, placement=at) for cls, at in ((Source, 1), (Keeper, 2), (Keeper, 1)))
    source.within(30).call.tell(keeper, "keep", range(4), 3 * MIB)
    eventually(lambda: keeper.call.count() == 4)
    for number in range(4):
        keeper.call.pass_on(number, other)
    eventually(lambda: other.call.count() == 4)
    answer = keeper.within(30).call.give(2)
    assert keeper.call.drop() == 0
    source.within(30).call.tell(keeper, "look", range(100, 150), 3 * MIB)
    assert other.within(30).call.wrong() == []
    assert answer.min() == answer.max() == 2
    assert not answer.flags.writeable
    eventually(lambda: in_use(node) == 5)
    del answer
    assert other.call.drop() == 0
    eventually(lambda: in_use(node) == 0)


def test_a_forked_child_sees_what_was_kept_until_it_ends(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    source, keeper = node.spawn(Source, placement=1), node.spawn(Keeper, placement=2)
    source.within(30).call.tell(keeper, "keep", range(5), MIB)
    eventually(lambda: keeper.call.count() == 5)
    child = keeper.within(30).call.fork(str(tmp_path / "look"))
    assert keeper.call.drop() == 0
    assert source.within(30).call.ask(keeper, range(100, 200), MIB)
    assert in_use(node) == 5
    (tmp_path / "look").touch()
    assert keeper.within(30).call.reap(child) == 0
    assert (tmp_path / "look.wrong").read_text() == "5 kept, wrong: []"
    eventually(lambda: in_use(node) == 0)


def test_an_answer_outlives_its_node(eventually: Eventually) -> None:
    with al.Node(workers=1) as node:
        keeper = node.spawn(Keeper)
        keeper.call.keep(9, np.full(MIB, 9, np.uint8))
        answer = keeper.call.give(9)
        argument_kept = in_use(node)
    assert argument_kept == 2
    assert answer.min() == answer.max() == 9
    del answer


def test_the_account_shows_who_keeps_what(node: al.Node, eventually: Eventually) -> None:
    keeper = node.spawn(Keeper, placement=2)
    for number in range(3):
        keeper.cast.keep(number, np.full(MIB, number, np.uint8))
    assert keeper.call.wrong() == []
    (row,) = snapshot(node.name).slabs
    assert (row.sender, row.slabs, row.lent, row.held, row.messages) == (0, 3, 0, 3, 3)
    assert [slot for slot, _ in row.held_by] == [2]
    assert 3 * MIB < row.held_bytes <= row.bytes < 5 * MIB
    assert keeper.call.drop() == 0
    assert snapshot(node.name).slabs[0].held == 0
