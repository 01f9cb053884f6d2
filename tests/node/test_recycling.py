"""A worker gives its place to a fresh process: actors, queues, ties and books go along, and nobody else notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moving_actors import (
    Blocking,
    Counter,
    Keeping,
    KeepingAsync,
    KeepingInThread,
    Locked,
    Overflowing,
    Selfish,
    Stasher,
    Unwilling,
    Urgent,
    begin_recycling,
)

import actorlab as al
from actorlab.telemetry import Event

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def node(heard: list[Event]) -> Iterator[al.Node]:
    # a minute, for a machine that does much else meanwhile
    with al.Node(workers=2, mailbox=al.Mailbox(timeout_s=60.0), on_event=heard.append) as node:
        yield node


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "open"
    yield path
    path.touch()


def hold(ref: Any, gate: Path) -> Any:
    """Keep an actor busy until the gate is open; return the future of its handler."""
    future = ref.request.hold(str(gate))
    while not gate.with_name(gate.name + ".held").exists():
        time.sleep(0.001)
    return future


def kinds(heard: list[Event]) -> list[str]:
    return [event.kind for event in heard]


# -- what goes along


@pytest.mark.parametrize("cls", [Counter, Blocking, Keeping, KeepingAsync, KeepingInThread])
def test_an_actor_is_the_same_in_the_fresh_process(node: al.Node, heard: list[Event], cls: type[Any]) -> None:
    ref = node.spawn(cls, 5, name="one", placement=1)
    ref.call.add(2)
    ref.tell("seen")
    pid = ref.call.pid()
    fresh = node.recycle_worker(1)
    assert fresh != pid and ref.call.pid() == fresh == node.workers[0].pid
    n, starts = ref.call.state()
    assert n == 7 and ref.call.all() == ["seen"]
    assert starts == (0 if issubclass(cls, Keeping) else 1)  # on_start is not run again
    assert node.whereis("one") == ref and ref.incarnation == 0
    assert ref.statistics().failed == ref.statistics().dead_lettered == 0
    node.recycle_worker(1)
    assert ref.call.add(1) == 8
    assert not node.dead_letters.counts and "worker_died" not in kinds(heard)


def test_a_worker_whose_answers_had_once_no_room_is_recycled_like_any_other(node: al.Node) -> None:
    ref = node.spawn(Overflowing, 1, placement=1)
    ref.call.overflow()
    assert node.recycle_worker(1) == ref.call.pid()


def test_what_an_actor_says_of_itself_its_node_and_its_timers_holds_there(node: al.Node) -> None:
    ref = node.spawn(Selfish, placement=1)
    ref.call.arrange()
    node.recycle_worker(1)
    assert ref.call.check() == (True, True, True, True)
    assert ref.call.all() == ["by own"]


def test_what_waits_keeps_its_order_wherever_it_came_from(node: al.Node, gate: Path, eventually: Eventually) -> None:
    ref = node.spawn(Counter, placement=1)
    beside, far = node.spawn(Counter, placement=1), node.spawn(Counter, placement=2)
    held = hold(ref, gate)
    for n in range(30):
        ref.cast.note(("user", n))
    for sender in (beside, far):
        sender.call.keep(ref=ref)
        assert sender.call.send(ref, 0, 50) == 50
    large = bytes(300_000)
    ref.cast.note(("large", large))
    recycled = node._controller.recycler.begin(1, "test")  # its handler is under way: waited for
    with pytest.raises(al.CallTimeout):
        recycled.get(timeout=0.1)
    gate.touch()
    assert held.get(timeout=30) == "held"
    recycled.get(timeout=30)
    eventually(lambda: len(ref.call.all()) == 131)
    seen = ref.call.all()
    assert [n for who, n in (item for item in seen if type(item) is tuple) if who == "user"] == list(range(30))
    assert [item for item in seen if type(item) is int].count(7) == 2
    assert ("large", large) in seen
    assert not node.dead_letters.counts


def test_nothing_is_lost_or_reordered_under_load(node: al.Node) -> None:
    """Actors of both workers and the user's threads send numbered messages while one worker is recycled again and
    again; each receiver has each sender's numbers in order, all of them, once."""
    receivers = [node.spawn(Counter, placement=1) for _ in range(10)]
    over = threading.Event()
    sent = [0] * 2
    answers: list[int] = []

    def talk(me: int) -> None:
        while not over.is_set():
            for receiver in receivers:
                receiver.cast.note((f"user {me}", sent[me]))
            sent[me] += 1
            answers.append(receivers[me].within(30).call.add(1))

    threads = [threading.Thread(target=talk, args=(me,)) for me in range(2)]
    far = [node.spawn(Counter, placement=2) for _ in range(2)]
    beside = [node.spawn(Counter, placement=1) for _ in range(2)]
    for thread in threads:
        thread.start()
    rounds = 4
    batches: list[Any] = []
    for turn in range(rounds):
        for sender in (*far, *beside):
            batches += [sender.request.send_signed(receiver, turn * 40, turn * 40 + 40) for receiver in receivers]
        node.recycle_worker(1)
    for batch in batches:
        assert batch.get(timeout=30) == 40
    over.set()
    for thread in threads:
        thread.join(30)
    node.wait_idle(30)
    for receiver in receivers:
        seen = receiver.within(30).call.all()
        for me in range(2):
            assert [n for who, n in seen if who == f"user {me}"] == list(range(sent[me]))
        for sender in (*far, *beside):
            assert [n for who, n in seen if who == sender.address] == list(range(rounds * 40))
    assert [receiver.within(30).call.state()[0] for receiver in receivers[:2]] == [sent[0], sent[1]]
    assert not node.dead_letters.counts


def test_what_is_in_a_stash_keeps_its_actor_where_it_is() -> None:
    with al.Node(workers=1, recycle=al.RecycleOptions(timeout_s=1.0)) as node:
        ref = node.spawn(Stasher, placement=1, mailbox=al.Mailbox(capacity=200))
        notes = [ref.request.note(n) for n in range(5)]
        ref.call.add(1)
        with pytest.raises(al.NotMovable, match="5 messages are in its stash"):
            node.recycle_worker(1)
        ref.call.take()
        assert [note.get(timeout=30) for note in notes] == list(range(5))
        node.recycle_worker(1)
        assert ref.call.all() == list(range(5))


def test_priorities_and_weights_hold_in_the_fresh_process(node: al.Node, gate: Path) -> None:
    urgent = node.spawn(Urgent, placement=1)
    heavy = node.spawn(Counter, placement=1, mailbox=al.Mailbox(max_bytes=2_000_000, overflow="reject"))
    blocker = node.spawn(Counter, placement=1)
    held = hold(blocker, gate)
    recycled = begin_recycling(node, 1)
    for n in range(3):
        urgent.cast.note(n)
    urgent.cast.add(7)
    heavy.cast.note(bytes(1_500_000))
    with pytest.raises(al.MailboxFull, match="bytes"):
        heavy.cast.note(bytes(1_500_000))
    gate.touch()
    held.get(timeout=30)
    recycled.get(timeout=30)
    assert urgent.call.all() == ["add 7", 0, 1, 2]
    assert len(heavy.call.all()) == 1


def test_monitors_and_links_go_along_and_do_not_fire(node: al.Node, eventually: Eventually) -> None:
    watched, far = node.spawn(Counter, placement=1), node.spawn(Counter, placement=2)
    beside = node.spawn(Counter, placement=1)
    far.call.watch(watched)
    beside.call.watch(watched)
    watched.call.watch(far)
    outside = node.monitor(watched)
    tied = node.spawn(Counter, placement=1)
    tied.call.tie(far)
    node.recycle_worker(1)
    node.wait_idle()
    assert far.call.all() == beside.call.all() == watched.call.all() == [] and not outside.outcome()[0]
    watched.cast.leave("tired")
    assert outside.get(timeout=30).reason == "tired"
    eventually(lambda: far.call.all() == beside.call.all() == [("down", "tired")])
    far.cast.leave("odd")
    eventually(lambda: not tied.is_alive())


def test_monitors_made_after_it_are_not_taken_for_older_ones(node: al.Node, eventually: Eventually) -> None:
    watcher = node.spawn(Counter, placement=1)
    first = [node.spawn(Counter, placement=2) for _ in range(5)]
    numbers = [watcher.call.watch(ref) for ref in first]
    node.recycle_worker(1)
    numbers += [watcher.call.watch(ref) for ref in first]
    assert len(set(numbers)) == 10
    for ref in first:
        ref.cast.leave("done")
    eventually(lambda: watcher.call.all() == [("down", "done")] * 10)


def test_timers_go_on(node: al.Node, eventually: Eventually) -> None:
    once, every, never = (node.spawn(Counter, placement=1) for _ in range(3))
    once.call.tick(0.3, "once")
    every.call.tick_every(0.05, "again")
    never.call.tick(3600, "never")
    node.recycle_worker(1)
    assert never.call.untick() and not never.call.untick()
    eventually(lambda: once.call.all() == ["once"])
    count = len(every.call.all())
    eventually(lambda: len(every.call.all()) > count + 2)
    every.call.untick()
    assert never.call.all() == []


def test_a_call_that_an_actor_waits_for_is_waited_for(node: al.Node, gate: Path) -> None:
    slow, asker = node.spawn(Counter, placement=2), node.spawn(Counter, placement=1)
    held = hold(slow, gate)
    asked = asker.request.ask(slow, "question")
    recycled = node._controller.recycler.begin(1, "test")
    with pytest.raises(al.CallTimeout):
        recycled.get(timeout=0.1)
    gate.touch()
    assert asked.get(timeout=30) == "question" and held.get(timeout=30)
    recycled.get(timeout=30)
    assert asker.call.add() == 1


def test_whoever_is_waited_for_within_the_worker_goes_on_until_it_has_answered(node: al.Node, gate: Path) -> None:
    last, middle, first = (node.spawn(Counter, placement=1) for _ in range(3))
    held = hold(last, gate)
    asked = first.request.ask(middle, "in between")
    asked.get(timeout=30)
    waiting = middle.request.ask(last, "question")  # behind `hold` in the last one's queue
    recycled = node._controller.recycler.begin(1, "test")
    gate.touch()
    assert waiting.get(timeout=30) == "question" and held.get(timeout=30)
    recycled.get(timeout=30)
    assert last.call.all() == ["question"]


def test_who_asked_an_actor_that_moves_gets_its_answer_from_the_fresh_process(node: al.Node, gate: Path) -> None:
    ref, blocker = node.spawn(Counter, placement=1), node.spawn(Counter, placement=1)
    held = hold(blocker, gate)
    recycled = begin_recycling(node, 1)
    pid = ref.request.pid()
    gate.touch()
    fresh = recycled.get(timeout=30)
    assert held.get(timeout=30) == "held"
    assert pid.get(timeout=30) == fresh


def test_what_is_started_meanwhile_is_started_once(node: al.Node) -> None:
    started: list[Any] = []

    def spawn() -> None:
        started.extend(node.spawn(Counter, n, placement=1) for n in range(60))

    thread = threading.Thread(target=spawn)
    thread.start()
    for _ in range(3):
        node.recycle_worker(1)
    thread.join(30)
    assert [ref.call.state() for ref in started] == [(n, 1) for n in range(60)]


def test_children_stay_their_supervisors_wherever_that_lives(eventually: Eventually) -> None:
    tree = al.Supervisor(
        max_restarts=5,
        children=[
            al.child(Counter, name="plain", placement=1),
            al.Supervisor(name="inner", placement=1, children=[al.child(Counter, name="below", placement=2)]),
        ],
    )
    with al.Node(workers=2, tree=tree) as node:
        plain, below = node.whereis("plain"), node.whereis("below")
        assert plain is not None and below is not None
        for ref in (plain, below):
            ref.call.add(3)
        node.recycle_worker(1)
        node.recycle_worker(2)
        for ref in (plain, below):
            assert ref.call.state() == (3, 1)
            ref.cast.leave("odd")
            eventually(lambda ref=ref: ref.incarnation == 1)
            assert ref.within(30).call.state() == (0, 1)
        node.kill_worker(2)
        eventually(lambda: below.incarnation == 2)
        node.kill_worker(1)
        eventually(lambda: plain.incarnation == 2)


# -- who cannot


def test_an_unsupervised_actor_that_cannot_move_is_named_and_nothing_happens(
    node: al.Node, heard: list[Event], eventually: Eventually
) -> None:
    locked = node.spawn(Locked, 3, placement=1)
    others = [node.spawn(Counter, placement=1) for _ in range(5)]
    pid = locked.call.pid()
    with pytest.raises(al.NotMovable, match=r"Locked cannot be moved: its state cannot be pickled.*lock"):
        node.recycle_worker(1)
    assert locked.call.pid() == pid and locked.call.add(1) == 4
    assert [ref.call.add() for ref in others] == [1] * 5
    eventually(lambda: "recycle_refused" in kinds(heard))
    assert "worker_died" not in kinds(heard)


def test_one_whose_snapshot_fails_is_named(node: al.Node) -> None:
    ref = node.spawn(Unwilling, placement=1)
    with pytest.raises(al.NotMovable, match=r"Unwilling.*snapshot.*not now"):
        node.recycle_worker(1)
    assert ref.call.add() == 1


def test_a_supervised_one_that_cannot_move_is_restarted_with_its_queue(
    tmp_path: Path, heard: list[Event], eventually: Eventually
) -> None:
    children = [al.child(Locked, name=f"locked{n}", placement=1, restart=kind) for n, kind in enumerate(
        ["permanent", "transient", "permanent"]
    )]  # fmt: skip
    tree = al.Supervisor(max_restarts=0, children=[*children, al.child(Counter, name="counter", placement=1)])
    with al.Node(workers=1, tree=tree, on_event=heard.append) as node:
        locked = [node.whereis(f"locked{n}") for n in range(3)]
        counter = node.whereis("counter")
        assert counter is not None and all(locked)
        counter.call.add(1)
        locked[0].call.say_farewell_to(str(tmp_path / "farewell"))  # type: ignore[union-attr]
        blocker = node.spawn(Counter, placement=1)
        held = hold(blocker, tmp_path / "open")
        recycled = node._controller.recycler.begin(1, "test")
        notes = [ref.request.note(n) for ref in locked for n in range(3)]  # type: ignore[union-attr]
        (tmp_path / "open").touch()
        held.get(timeout=30)
        recycled.get(timeout=30)
        assert [note.get(timeout=30) for note in notes] == [0, 1, 2] * 3
        eventually(lambda: all(ref.incarnation == 1 for ref in locked))  # type: ignore[union-attr]
        assert (tmp_path / "farewell").exists()
        assert counter.call.state() == (1, 1)
    assert "supervisor_gave_up" not in kinds(heard)


def test_a_handler_that_does_not_end_keeps_its_worker(gate: Path) -> None:
    with al.Node(workers=1, recycle=al.RecycleOptions(timeout_s=1.0)) as node:
        ref, other = node.spawn(Counter, placement=1), node.spawn(Counter, placement=1)
        held = hold(ref, gate)
        with pytest.raises(al.NotMovable, match="Counter cannot be moved: its handler does not end"):
            node.recycle_worker(1)
        assert other.call.add() == 1
        gate.touch()
        assert held.get(timeout=30) == "held"
        node.recycle_worker(1)
        assert other.call.add() == 2


def test_a_supervised_one_whose_handler_does_not_end_is_restarted_if_that_was_said(
    gate: Path, eventually: Eventually
) -> None:
    tree = al.Supervisor(max_restarts=0, children=[al.child(Counter, name="stuck", placement=1)])
    with al.Node(workers=1, tree=tree, recycle=al.RecycleOptions(timeout_s=0.2, on_stuck="restart")) as node:
        ref = node.whereis("stuck")
        assert ref is not None
        held = hold(ref, gate)
        node.recycle_worker(1)
        with pytest.raises(al.ActorDied):
            held.get(timeout=30)
        eventually(lambda: ref.incarnation == 1)
        assert ref.call.state() == (0, 1)


def test_an_unknown_worker_is_named(node: al.Node) -> None:
    with pytest.raises(al.NotMovable, match="there is no such worker"):
        node.recycle_worker(7)


# -- by itself


def test_a_worker_is_recycled_by_age(heard: list[Event], eventually: Eventually) -> None:
    with al.Node(
        workers=2, heartbeat_s=0.05, recycle=al.RecycleOptions(max_age_s=0.5), on_event=heard.append
    ) as node:
        refs = [node.spawn(Counter, placement=1 + n % 2) for n in range(4)]
        eventually(lambda: kinds(heard).count("worker_recycled") >= 4, 60)
        assert [ref.within(30).call.add() for ref in refs] == [1] * 4
    assert "worker_died" not in kinds(heard)


def test_a_worker_is_recycled_by_messages(heard: list[Event], eventually: Eventually) -> None:
    with al.Node(
        workers=1, heartbeat_s=0.05, recycle=al.RecycleOptions(max_messages=1000), on_event=heard.append
    ) as node:
        ref = node.spawn(Counter, placement=1)
        ref.call.add(0)
        eventually(lambda: 1 in node._controller.recycler._handled_at_start)
        for _ in range(1500):
            ref.cast.add(1)
        eventually(lambda: "worker_recycled" in kinds(heard), 30)
        assert ref.within(30).call.state()[0] == 1500


def test_a_worker_is_recycled_for_its_memory(heard: list[Event], eventually: Eventually) -> None:
    limits = al.MemoryLimits(soft_bytes=120 << 20, on_soft="recycle")
    with al.Node(workers=1, heartbeat_s=0.05, memory=limits, on_event=heard.append) as node:
        ref = node.spawn(Counter, placement=1)
        leaky = node.spawn(Leaky, placement=1)
        pid = ref.call.pid()
        leaky.call.leak(150)
        eventually(lambda: "worker_recycled" in kinds(heard), 30)
        assert ref.within(30).call.pid() != pid
        assert leaky.call.leaked() == 0 and leaky.call.add() == 1
    assert "worker_memory_high" in kinds(heard) and "worker_died" not in kinds(heard)


_LEAK: list[bytes] = []


class Leaky(Counter):
    """Leaks, not into its state."""

    def leak(self, megabytes: int) -> None:
        import os

        _LEAK.append(os.urandom(1 << 20) * megabytes)

    def leaked(self) -> int:
        return len(_LEAK)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"max_age_s": 0}, "max_age_s"), ({"max_messages": 0.5}, "max_messages"), ({"on_stuck": "x"}, "on_stuck")],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(al.SpecError, match=named):
        al.RecycleOptions(**given)


def test_a_node_can_be_stopped_while_a_worker_is_recycled(eventually: Eventually) -> None:
    for _ in range(3):
        with al.Node(workers=2) as node:
            node.spawn_many(Counter, 500, placement=1)
            node._controller.recycler.begin(1, "test")
