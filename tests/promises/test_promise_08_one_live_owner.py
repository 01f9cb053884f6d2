"""Promise 8: one live owner a name. A reference to a supervised actor stays good across its restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from promise_drill import Lingering, Recorder

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture
def node() -> Iterator[al.Node]:
    tree = al.Supervisor(max_restarts=100, children=[al.child(Recorder, name="kept", placement=1)])
    with al.Node(workers=2, tree=tree) as node:
        yield node


def test_a_name_has_one_live_owner_in_every_process(node: al.Node) -> None:
    """Promise 8: one live owner a name, and every process sees the same one."""
    kept: Any = node.whereis("kept")
    finders = [node.spawn(Recorder, placement=worker) for worker in (1, 2)]
    assert all(finder.call.find("kept") == kept for finder in finders)
    with pytest.raises(al.NameTaken):
        node.spawn(Recorder, name="kept", placement=2)
    assert all(finder.call.find("kept") == kept for finder in finders)


@pytest.mark.parametrize("placement", [1, "local"])
def test_a_name_is_its_owners_until_its_last_hook_is_done(
    node: al.Node, tmp_path: Path, eventually: Callable[..., None], placement: Any
) -> None:
    """Promise 8: one live owner a name: what the owner gives back when it ends, nobody takes before."""
    gate = tmp_path / "gate"
    owner = node.spawn(Lingering, str(gate), name="port", placement=placement)
    owner.stop(block=False)
    eventually((tmp_path / "gate.held").exists)
    assert not owner.is_alive()
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(node.spawn, Recorder, name="port", placement=2)
        with pytest.raises(TimeoutError):
            following.result(timeout=0.1)
        assert node.whereis("port") is None
        gate.touch()
        assert following.result(timeout=30) == node.whereis("port")


@pytest.mark.parametrize("end", ["crash", "die"])
def test_a_reference_stays_good_across_restarts(node: al.Node, eventually: Callable[..., None], end: str) -> None:
    """Promise 8: `ref.incarnation` tells; who held the reference keeps it, in whatever process."""
    kept: Any = node.whereis("kept")
    friend = node.spawn(Recorder, placement=2)
    assert friend.call.ask_of(kept, "take", 1) == 1
    getattr(kept.cast, end)()
    eventually(lambda: kept.incarnation == 1)
    assert friend.within(20).call.ask_of(kept, "take", 2) == 2
    assert kept.within(10).call.all() == [2]
    assert node.whereis("kept") == kept
