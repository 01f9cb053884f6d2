"""Promise 4: delivery is at most once, and accepted means accounted for: over crashes of actors and of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from promise_drill import Fragile, Recorder

import actorlab as al
from actorlab.transport import slab_usage

pytestmark = pytest.mark.process

Eventually = Callable[..., None]



@pytest.fixture
def node() -> Iterator[al.Node]:
    tree = al.Supervisor(
        max_restarts=100,
        children=[
            al.child(Recorder, name="kept", placement=1),
            al.child(Recorder, name="other", placement=2),
            al.child(Fragile, name="fragile", placement=1),
        ],
    )
    with al.Node(workers=2, tree=tree) as node:
        yield node


def test_an_actors_crash_keeps_its_whole_queue(
    node: al.Node, tmp_path: Path, eventually: Eventually
) -> None:
    """Promise 4: an actor's crash keeps its whole queue for the next incarnation."""
    gate = tmp_path / "open"
    ref: Any = node.whereis("kept")
    other: Any = node.whereis("other")
    ref.cast.hold(str(gate))
    ref.cast.crash()
    for n in range(10):
        ref.tell(n)
    eventually(lambda: ref.statistics().depth == 11)  # else what the other sends may be handled before the crash
    other.call.tell_all(ref, list(range(10, 20)))
    gate.touch()
    eventually(lambda: sorted(ref.within(10).call.all()) == list(range(20)))
    assert ref.incarnation == 1


def test_a_workers_crash_keeps_what_came_from_other_processes(
    node: al.Node, tmp_path: Path, eventually: Eventually
) -> None:
    """Promise 4: a worker's crash keeps what came from other processes; the message in hand is `crashed_in_flight`."""
    gate = tmp_path / "open"
    ref: Any = node.whereis("kept")
    other: Any = node.whereis("other")
    ref.cast.hold(str(gate))
    ref.cast.die()
    for n in range(10):
        ref.tell(n)
    eventually(lambda: ref.statistics().depth == 11)  # else what the other sends may be handled before it dies
    other.call.tell_all(ref, list(range(10, 20)))
    gate.touch()
    eventually(lambda: ref.incarnation == 1)
    eventually(lambda: sorted(ref.within(10).call.all()) == list(range(20)))
    node.wait_idle()
    eventually(lambda: node.dead_letters.counts["crashed_in_flight"] == 1)
    assert ref.statistics().dead_lettered == 1


def test_a_stop_without_a_restart_dead_letters_the_queue(
    node: al.Node, tmp_path: Path, eventually: Eventually
) -> None:
    """Promise 4: a stop without a restart dead-letters the queue."""
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=1)
    ref.cast.hold(str(gate))
    ref.stop(block=False)
    for n in range(7):
        ref.tell(n)
    gate.touch()
    eventually(lambda: node.dead_letters.counts["stopped"] == 7)


@pytest.mark.parametrize("size_bytes", [10, 1 << 20])
def test_a_message_in_hand_is_tried_again_where_the_actor_says_so(
    node: al.Node, tmp_path: Path, eventually: Eventually, size_bytes: int
) -> None:
    """Promise 4: the message in hand is tried again up to `redeliver=N` times, however large it is."""
    tries = tmp_path / "tries"
    ref: Any = node.whereis("fragile")
    assert ref.within(20).call.kill_me(str(tries), bytes(size_bytes), 2) == 3
    assert tries.read_text().split() == [str(size_bytes)] * 3
    assert ref.incarnation == 2
    folder = node.directory
    assert folder is not None
    eventually(lambda: not list(folder.glob("spill-*")))
    eventually(lambda: not any(usage.lent or usage.held for usage in slab_usage(folder)))


def test_a_message_that_kills_every_time_is_poison(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    """Promise 4: then it is dead-lettered as poison, its caller told `unknown`, and the actor goes on."""
    tries = tmp_path / "tries"
    ref: Any = node.whereis("fragile")
    with pytest.raises(al.ActorDied) as died:
        ref.within(20).call.kill_me(str(tries), b"", 99)
    assert died.value.delivery == "unknown"
    assert len(tries.read_text().split()) == 3
    eventually(lambda: node.dead_letters.counts["poison"] == 1)
    assert ref.within(10).call.take("next") == "next"


def test_what_was_sent_inside_a_killed_worker_is_written_off_by_number(
    node: al.Node, tmp_path: Path, eventually: Eventually
) -> None:
    """Promise 4: what was sent inside it is written off by number (`worker_died`).

    Of an actor at work the number is a lower bound: up to 64 may have been handled since it was written down.
    """
    ref: Any = node.whereis("kept")
    beside = node.spawn(Recorder, placement=1)
    ref.cast.hold(str(tmp_path / "never"))
    eventually((tmp_path / "never.held").exists)
    beside.call.tell_all(ref, list(range(200)))
    ref.tell("from outside")
    eventually(lambda: ref.statistics().depth == 201)
    beside.cast.die()
    eventually(lambda: ref.incarnation == 1)
    assert ref.within(10).call.all() == ["from outside"]
    eventually(lambda: node.dead_letters.counts["worker_died"] >= 1)
    assert 200 - 64 <= ref.statistics().dead_lettered - 1 <= 200  # one was in hand
