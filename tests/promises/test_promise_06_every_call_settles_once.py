"""Promise 6: every call settles exactly once, with a reply, the handler's exception, or a typed error that says
whether the handler may have run. A late reply is counted and dropped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from promise_drill import Impatient, Recorder

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture
def node() -> Iterator[al.Node]:
    tree = al.Supervisor(max_restarts=100, children=[al.child(Recorder, name="kept", placement=1)])
    with al.Node(workers=2, tree=tree) as node:
        yield node


def settled_once(future: al.Future[Any]) -> Callable[[], int]:
    """Return how often a future was settled."""
    times: list[int] = []
    future.on_settled(lambda: times.append(1))
    return lambda: len(times)


def test_a_reply_and_an_exception_settle_once(node: al.Node) -> None:
    """Promise 6: a reply, or the handler's exception with its remote traceback."""
    ref = node.spawn(Recorder, placement=1)
    good, bad = ref.request.take(1), ref.request.bad("no")
    times = [settled_once(good), settled_once(bad)]
    assert good.get(timeout=30) == 1
    with pytest.raises(ValueError, match="no") as error:
        bad.get(timeout=30)
    assert "promise_drill.py" in str(error.value.__cause__)
    assert [count() for count in times] == [1, 1]


def test_a_late_reply_is_counted_and_dropped(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    """Promise 6: CallTimeout says `unknown`; the reply that comes after all is counted and dropped.

    A question that still waits when its asker gives up is taken back: there will be no reply to it.
    """
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=1)
    late = node.runtime.late_replies
    with pytest.raises(al.CallTimeout) as timeout:
        ref.within(5.0).call.hold(str(gate))  # time enough to begin: what has not begun is taken back
    assert timeout.value.delivery == "unknown"
    with pytest.raises(al.CallTimeout):
        ref.ask("x", timeout=0.05)
    eventually(lambda: ref.statistics().dead_lettered == 1)
    gate.touch()
    eventually(lambda: node.runtime.late_replies == late + 1)
    assert ref.call.take(2) == 2
    assert ref.call.all() == [2]
    assert node.runtime.late_replies == late + 1
    eventually(lambda: node.runtime.pending == {})


def test_a_late_reply_between_workers_is_dropped_too(node: al.Node, tmp_path: Path) -> None:
    """Promise 6: a caller in a worker goes on with its next call; the old answer never reaches it."""
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=1)
    caller = node.spawn(Impatient, placement=2)
    assert caller.within(10).call.try_and_go_on(ref, str(gate)) == ["CallTimeout", "second"]


def test_a_call_in_hand_settles_when_its_worker_is_killed(
    node: al.Node, tmp_path: Path, eventually: Eventually
) -> None:
    """Promise 6: a call whose handler had started settles when it dies, with `unknown`; a queued one follows."""
    gate = tmp_path / "open"
    ref: Any = node.whereis("kept")
    caller = node.spawn(Recorder, placement=2)
    begun = ref.request.hold(str(gate))
    eventually((tmp_path / "open.held").exists)
    queued = ref.request.take("queued")
    from_worker = caller.request.ask_of(ref, "take", "from a worker")
    os.kill(node.workers[0].pid, signal.SIGKILL)
    with pytest.raises(al.ActorDied) as died:
        begun.get(timeout=30)
    assert died.value.delivery == "unknown"
    assert queued.get(timeout=30) == "queued"
    assert from_worker.get(timeout=30) == "from a worker"
    assert ref.incarnation == 1


def test_a_call_nobody_will_answer_settles_never(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    """Promise 6: it settles `never` as soon as no incarnation will come: by a stop, a kill, a killed worker."""
    gate = tmp_path / "open"
    for end in ("stop", "kill", "worker"):
        ref = node.spawn(Recorder, placement=1)
        begun = ref.request.hold(str(gate))
        eventually((tmp_path / "open.held").exists)
        if end == "stop":
            ref.stop(block=False)
        queued = ref.request.take("queued")
        if end == "kill":
            ref.exit("kill")
        elif end == "worker":
            os.kill(node.workers[0].pid, signal.SIGKILL)
        else:
            gate.touch()
        with pytest.raises(al.ActorDied) as died:
            queued.get(timeout=30)
        assert died.value.delivery == "never"
        (tmp_path / "open.held").unlink()
        if end == "stop":
            assert begun.get(timeout=30) == "held"
            gate.unlink()
        else:
            with pytest.raises(al.ActorDied) as died:
                begun.get(timeout=30)
            assert died.value.delivery == "unknown"


def test_a_stop_settles_when_its_actors_worker_is_killed(node: al.Node, tmp_path: Path, eventually: Eventually) -> None:
    """Promise 6: also the question whether an actor has stopped."""
    gate = tmp_path / "open"
    ref = node.spawn(Recorder, placement=1)
    ref.cast.hold(str(gate))
    eventually((tmp_path / "open.held").exists)
    stopped = ref.stop(block=False)
    os.kill(node.workers[0].pid, signal.SIGKILL)
    assert stopped.get(timeout=30) in (True, False)
