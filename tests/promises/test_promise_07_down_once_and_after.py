"""Promise 7: `Down` arrives exactly once, after that actor's earlier messages to the watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from promise_drill import Latecomer, Recorder

import actorlab as al
from actorlab.testing import kill_worker

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        yield node


@pytest.mark.parametrize("watcher_at", [2, "local", 1])
@pytest.mark.parametrize("end", ["stop", "crash", "die"])
def test_down_comes_once_and_last(node: al.Node, eventually: Eventually, watcher_at: Any, end: str) -> None:
    """Promise 7: for a stop, a crash and a SIGKILL of the worker, in another process and in the user's own."""
    if end == "die" and watcher_at == 1:
        return  # nobody is left to be told
    watched = node.spawn(Recorder, placement=1)
    watcher = node.spawn(Recorder, placement=watcher_at)
    watcher.call.watch(watched)
    watcher.call.watch(watched)
    watched.cast.tell_all(watcher, list(range(300)))
    if end == "stop":
        watched.stop(block=False)
    else:
        getattr(watched.cast, end)()
    eventually(lambda: any(str(item).startswith("down") for item in watcher.within(10).call.all()))
    node.wait_idle()
    seen = watcher.call.all()
    assert seen[:300] == list(range(300))
    assert [str(item)[:4] for item in seen[300:]] == ["down", "down"]  # two monitors, one Down each


def test_a_monitor_of_what_is_gone_is_told_at_once(node: al.Node, eventually: Eventually) -> None:
    """Promise 7: exactly once also when it never was, as `noproc`."""
    watched = node.spawn(Recorder, placement=1)
    watched.stop()
    watcher = node.spawn(Recorder, placement=2)
    watcher.call.watch(watched)
    eventually(lambda: watcher.call.all() == ["down: noproc"])
    assert node.monitor(watched).get(timeout=30).reason == "noproc"


@pytest.mark.parametrize(("how", "heard"), [("monitor", "down: normal"), ("link", "exit: normal")])
def test_the_death_of_a_worker_is_not_that_of_an_actor_of_its_successor(
    node: al.Node, tmp_path: Path, eventually: Eventually, how: str, heard: str
) -> None:
    """Promise 7: who hears late of a worker's death and watches an actor of its successor hears of that one."""
    gate = tmp_path / "gate"
    watcher = node.spawn(Latecomer, placement=1)
    watcher.cast.wait_then_watch(str(gate), "late", how)
    eventually((tmp_path / "gate.held").exists)
    kill_worker(node, 2)
    watched = node.spawn(Recorder, name="late", placement=2)
    gate.touch()
    assert watcher.within(10).call.all() == []
    node.wait_idle()
    assert watcher.call.all() == []
    assert watched.call.take(1) == 1
    watched.stop()
    node.wait_idle()
    assert watcher.call.all() == [heard]
