"""Workers added and drained while the node runs: actors move with queue and order kept, and nobody else notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from moving_actors import Blocking, Counter, Keeping, Locked, begin_recycling

import actorlab as al
from actorlab.telemetry import Event
from actorlab.testing import poll

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
def gates(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    paths = tmp_path / "first", tmp_path / "second"
    yield paths
    for path in paths:
        path.touch()


def hold_up(node: al.Node, number: int, gate: Path) -> Any:
    """Return an actor in a worker that cannot leave before the gate is open."""
    ref = node.spawn(Counter, 5, placement=number)
    ref.cast.hold(str(gate))
    while not gate.with_name(gate.name + ".held").exists():
        time.sleep(0.001)
    return ref


def pids(node: al.Node) -> list[int]:
    return [worker.pid for worker in node.workers]


@pytest.mark.parametrize("cls", [Counter, Blocking, Keeping])
def test_a_drained_workers_actors_go_on_in_another_process(node: al.Node, cls: type[Any]) -> None:
    ref, there = node.spawn(cls, 5, name="one", placement=1), node.spawn(cls, placement=2)
    ref.call.add(2)
    ref.tell("seen")
    first, second = pids(node)
    node.drain_worker(1)
    assert pids(node) == [second, second]
    assert ref.call.state()[0] == 7 and ref.call.all() == ["seen"] and node.whereis("one") == ref
    assert ref.call.pid() == there.call.pid() == second != first
    # each in its own slot as before: they call, watch and find each other by the lanes between them
    assert ref.call.ask(there, "out") == "out" and there.call.ask(ref, "back") == "back"
    assert ref.call.refs()[0] == ref
    assert node.add_worker() == 1
    assert pids(node)[0] not in (first, second)
    assert ref.call.state()[0] == 7 and ref.call.all() == ["seen", "back"]


def test_nothing_is_lost_or_reordered_under_load(node: al.Node) -> None:
    receivers = [node.spawn(Counter, placement=1) for _ in range(10)]
    over = threading.Event()
    sent = [0] * 2

    def talk(me: int) -> None:
        while not over.is_set():
            for receiver in receivers:
                receiver.cast.note((f"user {me}", sent[me]))
            sent[me] += 1
            receivers[me].within(30).call.add(1)

    threads = [threading.Thread(target=talk, args=(me,)) for me in range(2)]
    senders = [node.spawn(Counter, placement=1 + n % 2) for n in range(4)]
    for thread in threads:
        thread.start()
    batches: list[Any] = []
    for turn in range(3):
        for half, step in enumerate((lambda: node.drain_worker(1), node.add_worker)):
            first = (turn * 2 + half) * 30
            for sender in senders:
                batches += [sender.request.send_signed(receiver, first, first + 30) for receiver in receivers]
            step()
    for batch in batches:
        assert batch.get(timeout=30) == 30
    over.set()
    for thread in threads:
        thread.join(30)
    node.wait_idle(30)
    for receiver in receivers:
        seen = receiver.within(30).call.all()
        for me in range(2):
            assert [n for who, n in seen if who == f"user {me}"] == list(range(sent[me]))
        for sender in senders:
            assert [n for who, n in seen if who == sender.address] == list(range(180))
    assert [receiver.within(30).call.state()[0] for receiver in receivers[:2]] == sent
    assert not node.dead_letters.counts


def test_supervision_and_monitors_hold_for_guests(eventually: Eventually) -> None:
    tree = al.Supervisor(
        max_restarts=9,
        children=[
            al.child(Counter, name="child", placement=1),
            al.Supervisor(name="inner", placement=1, children=[al.child(Counter, name="below", placement=2)]),
        ],
    )
    with al.Node(workers=2, tree=tree) as node:
        child, below = node.whereis("child"), node.whereis("below")
        assert child is not None and below is not None
        watcher = node.spawn(Counter, placement=1)
        watcher.call.watch(child)
        watcher.call.tick_every(0.02, "tick")
        node.drain_worker(1)
        for ref in (child, below):
            ref.cast.leave("odd")
            eventually(lambda ref=ref: ref.incarnation == 1)
            assert ref.within(10).call.state() == (0, 1)
        eventually(lambda: ("down", "odd") in watcher.call.all() and watcher.call.all().count("tick") > 5)
        started = node.spawn(Counter, 3, placement=1)
        assert started.call.state() == (3, 1) and started.home == 1


def test_when_the_host_dies_its_guests_die_with_it_and_all_come_back(
    heard: list[Event], eventually: Eventually
) -> None:
    tree = al.Supervisor(
        max_restarts=9, children=[al.child(Counter, name=f"c{n}", placement=1 + n % 2) for n in range(6)]
    )
    with al.Node(workers=2, tree=tree, on_event=heard.append) as node:
        refs = [node.whereis(f"c{n}") for n in range(6)]
        node.drain_worker(1)
        host = pids(node)[0]
        for ref in refs:
            ref.cast.note("queued")  # type: ignore[union-attr]
        node.kill_worker(2)
        eventually(lambda: all(ref.incarnation == 1 for ref in refs))  # type: ignore[union-attr]
        assert all(ref.within(10).call.state() == (0, 1) for ref in refs)  # type: ignore[union-attr]
        assert host not in pids(node) and len(set(pids(node))) == 2  # each has a process of its own again
    assert [event.fields["worker"] for event in heard if event.kind == "worker_died"].count(1) == 1


def test_a_guest_that_cannot_move_keeps_its_place(node: al.Node) -> None:
    node.drain_worker(1)
    locked = node.spawn(Locked, placement=1)
    with pytest.raises(al.NotMovable, match="Locked"):
        node.add_worker()
    assert locked.call.add() == 1 and len(set(pids(node))) == 1


def test_an_actor_that_cannot_move_keeps_its_worker_from_being_drained(node: al.Node) -> None:
    locked = node.spawn(Locked, placement=1)
    with pytest.raises(al.NotMovable, match="Locked"):
        node.drain_worker(1)
    assert locked.call.add() == 1 and len(set(pids(node))) == 2
    node.recycle_worker(2)
    locked.stop()
    node.drain_worker(1)


def test_who_cannot_be_drained_is_told_why(node: al.Node) -> None:
    node.drain_worker(1)
    with pytest.raises(al.WorkerStays, match="its actors are guests of worker 2"):
        node.drain_worker(1)
    with pytest.raises(al.NotMovable, match="hosts the actors of worker 1"):
        node.drain_worker(2)
    with pytest.raises(al.NotMovable, match="hosts the actors of worker 1"):
        node.recycle_worker(2)
    with al.Node(workers=1) as alone, pytest.raises(al.NotMovable, match="no other worker's process"):
        alone.drain_worker(1)


def test_whose_process_is_about_to_take_a_guest_in_does_not_leave(
    node: al.Node, heard: list[Event], gates: tuple[Path, Path]
) -> None:
    one, two = (hold_up(node, number, gate) for number, gate in enumerate(gates, 1))
    guest, host = begin_recycling(node, 1, drain=True), begin_recycling(node, 2)
    gates[0].touch()
    guest.get(timeout=30)
    gates[1].touch()
    with pytest.raises(al.WorkerStays, match="is to host those of worker 1"):
        host.get(timeout=30)
    node.wait_idle(30)
    assert one.within(30).call.add(1) == two.within(30).call.add(1) == 6
    assert "worker_died" not in [event.kind for event in heard]


def test_a_host_that_dies_before_it_takes_its_guest_in_leaves_the_order_to_nobody(
    gates: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setenv("SLOW_RESUMING", str(tmp_path / "resuming"))
    with al.Node(workers=2, preload=("slow_resuming",)) as node:
        ref = hold_up(node, 1, gates[0])
        drained = begin_recycling(node, 1, drain=True)
        host = psutil.Process(pids(node)[1])
        host.suspend()  # the order to take worker 1 in reaches its lane, and not it
        gates[0].touch()
        eventually(lambda: pids(node)[0] == host.pid)
        node.kill_worker(2)
        assert drained.get(timeout=30) == pids(node)[0]  # in a process of its own
        node.runtime.control(2, "ping").get(timeout=30)  # behind the order, if that was still there
        node.wait_idle(30)
        assert ref.within(30).call.state()[0] == 5
        assert [int(path.suffix[1:]) for path in tmp_path.glob("resuming.*")] == [pids(node)[0]]


def test_who_is_to_be_drained_while_it_is_recycled_is_drained_then(node: al.Node, gates: tuple[Path, Path]) -> None:
    ref = hold_up(node, 1, gates[0])
    recycled, drained = begin_recycling(node, 1), begin_recycling(node, 1, drain=True)
    gates[0].touch()
    assert recycled.get(timeout=30) != drained.get(timeout=30) == pids(node)[1] == pids(node)[0]
    assert ref.within(30).call.state()[0] == 5


def test_a_rolling_restart_gives_guests_processes_of_their_own(node: al.Node) -> None:
    ref = node.spawn(Counter, 4, placement=1)
    node.drain_worker(1)
    assert len(set(node.rolling_restart())) == 2
    assert ref.call.state() == (4, 1)


def test_one_more_worker_takes_part_in_everything(node: al.Node, eventually: Eventually) -> None:
    old = node.spawn(Counter, placement=1)
    assert node.add_worker() == 3 and len(set(pids(node))) == 3
    new = node.spawn(Counter, 9, name="new", placement=3)
    assert new.call.state() == (9, 1) and node.whereis("new") == new
    assert old.call.ask(new, "hello") == "hello" and new.call.ask(old, "hi") == "hi"
    assert {node.spawn(Counter).home for _ in range(6)} == {1, 2, 3}
    assert {ref.home for ref in node.spawn_many(Counter, 3000)} == {1, 2, 3}
    down = node.monitor(new)
    node.kill_worker(3)
    assert down.get(timeout=30).reason.worker == 3
    eventually(lambda: pids(node)[2] != 0)
    assert node.spawn(Counter, 2, placement=3).call.state() == (2, 1)
    node.drain_worker(3)
    node.kill_worker(1)


def held_back(node: al.Node, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the controller not hear what workers say until it is told to; return the list of what they have said."""
    controller = node._controller
    said: list[Any] = []
    heard = controller._on_word

    def on_word(slot: Any, process: Any) -> bool:
        said.append(partial(heard, slot, process))
        node.runtime.kernels[0].hub.unwatch(process.control.fileno())
        return False

    monkeypatch.setattr(controller, "_on_word", on_word)
    return said


def test_one_more_worker_that_does_not_get_ready_leaves_the_node_as_it_was(
    node: al.Node, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    said = held_back(node, monkeypatch)
    with ThreadPoolExecutor() as pool:
        added = pool.submit(node.add_worker)
        eventually(lambda: said)
        monkeypatch.undo()
        node.kill_worker(3)
        with pytest.raises(al.StartError, match="worker 3"):
            added.result(timeout=30)
    assert [worker.number for worker in node.workers] == [1, 2]
    node.wait_idle(30)
    assert node.add_worker() == 3
    assert node.spawn(Counter, 4, placement=3).call.state() == (4, 1)


def test_workers_that_are_added_at_once_are_known_one_after_another(
    node: al.Node, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    said = held_back(node, monkeypatch)
    kernel, adding = node.runtime.kernels[0], [al.Future[int](), al.Future[int]()]
    for added in adding:
        kernel.post(node._controller.hosting._add, added)
    poll(lambda: len(said) > 1, 1.0)  # were both begun, the last would now be the first that is ready
    monkeypatch.undo()
    for hear in reversed(said):
        kernel.post(lambda hear=hear: [hear() for _ in range(2)])
    assert [added.get(timeout=30) for added in adding] == [3, 4]
    assert len(node.workers) == 4 and {node.spawn(Counter).home for _ in range(8)} == {1, 2, 3, 4}


def test_actors_elsewhere_know_of_it_too(node: al.Node) -> None:
    spawner = node.spawn(Spawner, placement=1)
    assert {spawner.call.spawn_anywhere().home for _ in range(4)} == {1, 2}
    node.add_worker()
    assert {spawner.call.spawn_anywhere().home for _ in range(6)} == {1, 2, 3}
    node.drain_worker(2)  # a guest is no place for newcomers that may go anywhere
    assert {spawner.call.spawn_anywhere().home for _ in range(6)} == {1, 3}


class Spawner(Counter):
    def spawn_anywhere(self) -> Any:
        return self.spawn(Counter, placement="any")


def test_a_node_stops_whoever_hosts_whom(tmp_path: Path) -> None:
    with al.Node(workers=3, stop_timeout_s=60.0) as node:
        farewell = tmp_path / "farewell"
        node.spawn(Counter, placement=3)
        node.drain_worker(2)
        node.drain_worker(3)
        node.spawn(Locked, placement=2).call.say_farewell_to(str(farewell))
        assert len(set(pids(node))) == 1
        started = time.monotonic()
    assert farewell.exists() and time.monotonic() - started < 30
