"""A worker killed while it hands over, or its successor while it goes on there: before the rename it is a death like
any other, after it nothing has happened, and after the successor has taken everything it is the successor's death."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from moving_actors import Counter, Doomed, begin_recycling

import actorlab as al
from actorlab.node import handover, resuming
from actorlab.telemetry import Event
from actorlab.transport import crashpoint_labels

pytestmark = pytest.mark.process

Eventually = Callable[..., None]
BEFORE = ["handover.write", "handover.rename"]
AFTER = ["handover.renamed"]


class Scene:
    """A supervised and a free actor in worker 1, with five messages each that nobody has handled."""

    def __init__(self, tmp_path: Path, preload: tuple[str, ...] = ()) -> None:
        self.heard: list[Event] = []
        tree = al.Supervisor(max_restarts=9, children=[al.child(Doomed, name="child", placement=1)])
        self.node = al.Node(workers=2, tree=tree, preload=preload, on_event=self.heard.append, log_level="CRITICAL")
        child = self.node.whereis("child")
        assert child is not None
        self.child: Any = child
        self.free = self.node.spawn(Counter, placement=1)
        self.down = self.node.monitor(self.free)
        self.child.call.add(7)
        self.free.call.add(7)
        self._gate = tmp_path / "open"

    def recycle_with_mail(self, drain: bool = False) -> tuple[Any, list[Any], list[Any]]:
        """Begin, with messages that come when everybody stands still; return its future and the notes' futures."""
        blocker = self.node.spawn(Counter, placement=1)
        blocker.cast.hold(str(self._gate))
        while not self._gate.with_name(self._gate.name + ".held").exists():
            time.sleep(0.001)
        done = begin_recycling(self.node, 1, drain)
        notes = [[ref.request.note(n) for n in range(5)] for ref in (self.child, self.free)]
        self._gate.touch()
        return done, notes[0], notes[1]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.heard]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(tmp_path)
    with one.node:
        yield one


def test_every_point_is_tested() -> None:
    assert set(crashpoint_labels(handover)) == {*BEFORE, *AFTER}
    assert set(crashpoint_labels(resuming)) == {"resume.restored", "resume.taken"}


@pytest.mark.parametrize("label", BEFORE)
def test_killed_before_the_rename_it_dies_as_any_other(scene: Scene, label: str, eventually: Eventually) -> None:
    scene.child.call.die_at_point(label)
    done, notes, lost = scene.recycle_with_mail()
    with pytest.raises(al.StartError, match="to be recycled"):
        done.get(timeout=30)
    assert [note.get(timeout=30) for note in notes] == list(range(5))
    assert scene.child.call.state() == (0, 1)  # restarted, with its queue
    for note in lost:
        with pytest.raises(al.ActorDied):
            note.get(timeout=30)
    assert scene.down.get(timeout=30).reason.why == "SIGKILL"
    assert scene.kinds().count("worker_died") == 1
    assert scene.node.recycle_worker(1)  # and the next one is whole


def test_killed_before_it_takes_the_order_its_successor_stays(scene: Scene, eventually: Eventually) -> None:
    node = scene.node
    worker = psutil.Process(node.workers[0].pid)
    worker.suspend()
    done = node._controller.recycler.begin(1, "test")
    ordered: al.Future[None] = al.Future()
    node.runtime.kernels[0].post(ordered.set, None)
    ordered.get(timeout=30)
    node.kill_worker(1)
    with pytest.raises(al.StartError, match="to be recycled"):
        done.get(timeout=30)
    eventually(lambda: node.workers[0].pid not in (0, worker.pid))
    successor = node.workers[0].pid
    for _ in range(2):  # behind the order, and behind the job that it would have begun
        node.runtime.control(1, "ping").get(timeout=30)
    node.wait_idle(30)
    assert (node.workers[0].pid, node.workers[0].recycles) == (successor, 0)


@pytest.mark.parametrize("label", AFTER)
def test_killed_after_the_rename_nothing_has_happened(scene: Scene, label: str) -> None:
    scene.child.call.die_at_point(label)
    done, *notes = scene.recycle_with_mail()
    done.get(timeout=30)
    assert [[note.get(timeout=30) for note in each] for each in notes] == [list(range(5))] * 2
    assert scene.child.call.state() == scene.free.call.state() == (7, 1)
    assert not scene.down.outcome()[0] and "worker_died" not in scene.kinds()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_successor_killed_before_it_has_taken_all_is_followed_by_another(
    tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_text(f"resume.restored {times}")
    monkeypatch.setenv("ACTORLAB_TEST_BOMB", str(bomb))
    scene = Scene(tmp_path, ("resume_bomb",))
    with scene.node:
        done, notes, others = scene.recycle_with_mail()
        if times < 3:
            done.get(timeout=30)
            assert [note.get(timeout=30) for note in (*notes, *others)] == [*range(5), *range(5)]
            assert scene.child.call.state() == scene.free.call.state() == (7, 1)
            assert "worker_died" not in scene.kinds()
        else:  # that is enough: it is a death now
            with pytest.raises(al.StartError):
                done.get(timeout=30)
            assert [note.get(timeout=30) for note in notes] == list(range(5))
            assert scene.child.call.state() == (0, 1)
            assert scene.kinds().count("worker_died") == 1


def test_a_successor_killed_when_it_has_taken_all_dies_with_its_actors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_text("resume.taken 1")
    monkeypatch.setenv("ACTORLAB_TEST_BOMB", str(bomb))
    scene = Scene(tmp_path, ("resume_bomb",))
    with scene.node:
        done, notes, lost = scene.recycle_with_mail()
        with pytest.raises(al.StartError):
            done.get(timeout=30)
        assert [note.get(timeout=30) for note in notes] == list(range(5))
        assert scene.child.call.state() == (0, 1)
        for note in lost:
            with pytest.raises(al.ActorDied):
                note.get(timeout=30)
        assert scene.kinds().count("worker_died") == 1


@pytest.mark.parametrize("label", ["resume.restored", "resume.taken"])
def test_a_host_killed_while_it_takes_a_guest_in_takes_nobody_along_who_was_not_there_yet(
    tmp_path: Path, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_text(f"{label} 1")
    monkeypatch.setenv("ACTORLAB_TEST_BOMB", str(bomb))
    scene = Scene(tmp_path, ("resume_bomb",))
    with scene.node:
        done, notes, others = scene.recycle_with_mail(drain=True)
        if label == "resume.restored":  # another process has taken them, one of their own
            done.get(timeout=30)
            assert [note.get(timeout=30) for note in (*notes, *others)] == [*range(5), *range(5)]
            assert scene.child.call.state() == scene.free.call.state() == (7, 1)
            assert scene.kinds().count("worker_died") == 1
        else:  # they died with their host
            with pytest.raises(al.StartError):
                done.get(timeout=30)
            assert [note.get(timeout=30) for note in notes] == list(range(5))
            assert scene.child.call.state() == (0, 1)
            assert scene.kinds().count("worker_died") == 2


@pytest.mark.parametrize("label", BEFORE)
def test_a_worker_killed_while_it_is_drained_dies_as_any_other(scene: Scene, label: str) -> None:
    scene.child.call.die_at_point(label)
    done, notes, _ = scene.recycle_with_mail(drain=True)
    with pytest.raises(al.StartError, match="to be recycled"):
        done.get(timeout=30)
    assert [note.get(timeout=30) for note in notes] == list(range(5))
    assert len({worker.pid for worker in scene.node.workers}) == 2  # with a process of its own again
