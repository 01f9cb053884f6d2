"""Names in a node of several processes: one live owner a name, read from shared memory, freed by death."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from naming_drill import Clerk, Lingering, Restless, open_all_lanes

import actorlab as al
from actorlab.errors import InvalidMetadata, InvalidName
from actorlab.node import tenure

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        open_all_lanes(node)
        yield node


def test_a_name_is_seen_in_every_process(node: al.Node) -> None:
    till = node.spawn(Clerk, name="till", placement=1)
    there = node.spawn(Clerk, placement=2)
    assert node.whereis("till") == till
    assert there.call.find("till") == till
    assert till.call.find("till") == till
    assert there.call.find("nobody") is None
    till.stop()


def test_a_taken_name_is_refused_and_nothing_is_left(node: al.Node) -> None:
    till = node.spawn(Clerk, name="till", placement=1)
    with pytest.raises(al.NameTaken, match="till"):
        node.spawn(Clerk, name="till", placement=2)
    with pytest.raises(al.NameTaken):
        node.register("till", node.spawn(Clerk, placement=2))
    node.wait_idle()
    assert node.whereis("till") == till
    till.stop()


def test_a_name_is_free_again_after_its_owner_has_ended(node: al.Node, eventually: Eventually) -> None:
    for _ in range(20):
        till = node.spawn(Clerk, name="till", placement=1)
        till.stop()
        assert node.whereis("till") is None
    crashing = node.spawn(Clerk, name="till", placement=2)
    crashing.cast.crash()
    eventually(lambda: node.whereis("till") is None)
    node.spawn(Clerk, name="till", placement=1).stop()


@pytest.mark.parametrize("how", ["spawn", "register", "child"])
def test_who_finds_nobody_by_a_name_may_take_it_though_its_owner_has_not_quite_left(
    node: al.Node, eventually: Eventually, tmp_path: Path, how: str
) -> None:
    gate = tmp_path / "gate"
    leaving = node.spawn(Lingering, str(gate), name="till", placement=2)
    leaving.call.leave()
    eventually(lambda: node.whereis("till") is None)
    other = node.spawn(Clerk, placement=1)

    def take() -> Any:
        if how == "register":
            node.register("till", other)
            return other
        if how == "child":
            return node.start(al.Supervisor(children=[al.child(Clerk, name="till", placement=1)]))
        return node.spawn(Clerk, name="till", placement=1)

    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take)
        with pytest.raises(TimeoutError):
            taken.result(timeout=0.05)  # not before the owner has left (P8)
        gate.touch()
        ref = taken.result(timeout=20)
    found = node.whereis("till")
    assert found is not None and found.is_alive() and not leaving.is_alive()
    ref.stop()
    if how != "register":
        other.stop()
    eventually(lambda: node.whereis("till") is None)


def test_an_owner_that_takes_too_long_to_leave_keeps_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tenure, "LEAVING_S", 0.05)
    gate = tmp_path / "gate"
    with al.Node(workers=0) as node:
        node.spawn(Lingering, str(gate), name="till").call.leave()
        with pytest.raises(al.NameTaken):
            node.spawn(Clerk, name="till")
        gate.touch()


def test_names_given_later_are_freed_by_death_too(node: al.Node, eventually: Eventually) -> None:
    clerk = node.spawn(Clerk, placement=1)
    other = node.spawn(Clerk, placement=2)
    node.register("first", clerk)
    other.call.register("second", clerk)
    assert node.whereis("first") == node.whereis("second") == clerk
    assert clerk.call.own_name() == "first"
    clerk.stop()
    eventually(lambda: not {"first", "second"} & {entry.name for entry in node.runtime.names.items()})


def test_a_name_can_be_taken_back(node: al.Node) -> None:
    clerk = node.spawn(Clerk, placement=1)
    node.register("desk", clerk)
    assert node.unregister("desk") is True
    assert node.unregister("desk") is False
    assert node.whereis("desk") is None
    there = node.spawn(Clerk, placement=2)
    there.call.register("desk", clerk)
    assert there.call.unregister("desk") is True
    assert clerk.is_alive()
    clerk.stop()


def test_a_dead_actor_gets_no_name(node: al.Node) -> None:
    clerk = node.spawn(Clerk, placement=1)
    clerk.stop()
    with pytest.raises(al.ActorDied):
        node.register("ghost", clerk)
    assert node.whereis("ghost") is None


def test_metadata_are_read_everywhere_and_replaced(node: al.Node) -> None:
    clerk = node.spawn(Clerk, placement=1)
    there = node.spawn(Clerk, placement=2)
    node.register("desk", clerk, {"skills": ("add",)})
    assert there.call.metadata("desk") == {"skills": ("add",)}
    there.call.register("desk", clerk, {"skills": ()})
    assert node.runtime.names.lookup("desk").metadata == {"skills": ()}
    with pytest.raises(InvalidMetadata):
        node.register("desk", clerk, {"lots": "x" * 5000})
    assert there.call.metadata("desk") == {"skills": ()}
    clerk.stop()


def test_namespaces_keep_names_apart(node: al.Node) -> None:
    here = node.spawn(Clerk, name=al.via("till", "shop"), placement=1)
    there = node.spawn(Clerk, name=al.via("till", "bank"), placement=2)
    assert node.whereis("till") is None
    assert node.whereis(al.via("till", "shop")) == here
    assert here.call.find(al.via("till", "bank")) == there
    with pytest.raises(al.NameTaken):
        node.register(al.via("till", "shop"), there)
    here.stop()
    assert node.whereis(al.via("till", "shop")) is None
    assert node.whereis(al.via("till", "bank")) == there
    there.stop()


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 300, 7])
def test_what_cannot_be_a_name_is_refused(node: al.Node, name: Any) -> None:
    clerk = node.spawn(Clerk, placement=1)
    with pytest.raises(InvalidName):
        node.register(name, clerk)
    with pytest.raises(InvalidName):
        node.spawn(Clerk, name=name, placement=1)
    clerk.stop()


def test_a_race_for_a_name_has_one_winner(node: al.Node) -> None:
    racers = [node.spawn(Restless, placement=1 + n % 2) for n in range(4)]
    rounds = 250
    futures = [racer.request.race("prize", rounds) for racer in racers]
    won = [future.get(timeout=60) for future in futures]
    for n in range(rounds):
        assert sum(wins[n] for wins in won) == 1, f"round {n}"
    for racer in racers:
        racer.stop()


def test_finding_a_name_sends_no_message(node: al.Node, tmp_path: Any, eventually: Eventually) -> None:
    till = node.spawn(Clerk, name="till", placement=1)
    there = node.spawn(Clerk, placement=2)
    there.call.find("till")
    node.wait_idle()
    assert node.directory is not None
    sent = lanes_sent(node)
    assert there.call.find_often("till", 1000) == till
    assert lanes_sent(node) - sent < 100  # the call and its answer, and what a slow machine's patrol asks meanwhile
    till.stop()


def lanes_sent(node: al.Node) -> int:
    from actorlab.transport import LaneView

    total = 0
    assert node.directory is not None
    for path in node.directory.glob("lane.*"):
        with LaneView(path) as lane:
            total += lane.statistics().sent
    return total


def test_a_name_is_free_again_after_its_owners_worker_is_killed(eventually: Eventually) -> None:
    with al.Node(workers=2) as node:
        clerk = node.spawn(Clerk, name="till", placement=1)
        node.register("desk", clerk)
        other = node.spawn(Clerk, name="bank", placement=2)
        os.kill(node.workers[0].pid, signal.SIGKILL)
        eventually(lambda: node.whereis("till") is None and node.whereis("desk") is None)
        eventually(lambda: node.runtime.names.count() == 1)
        assert node.whereis("bank") == other
        assert node.spawn(Clerk, name="till", placement=1).call.own_name() == "till"


def test_a_supervised_actor_keeps_its_names_over_a_killed_worker(eventually: Eventually) -> None:
    tree = al.Supervisor(children=[al.child(Clerk, name="till", placement=1)])
    with al.Node(workers=2, tree=tree) as node:
        till: Any = node.whereis("till")
        node.register("desk", till, {"n": 1})
        os.kill(node.workers[0].pid, signal.SIGKILL)
        eventually(lambda: till.incarnation == 1)
        assert node.whereis("till") == node.whereis("desk") == till
        assert node.runtime.names.lookup("desk").metadata == {"n": 1}
        assert till.within(20).call.own_name() == "till"
        assert till.stop() is True
