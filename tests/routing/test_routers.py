"""Routers: each message to the member its rule says, to all, or to the first; members that come and go are seen."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from routing_drill import Member

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, call_timeout_s=20.0) as node:
        for place in (1, 2):
            node.spawn(Member, placement=place).stop()
        al.Team(node, Member, name="first-of-all", size=1).stop()
        node.wait_idle()
        yield node


@pytest.fixture
def team(node, request):
    team = al.Team(node, Member, name=f"team-{request.node.name[:40].replace('[', '-').replace(']', '')}", size=4)
    yield team
    team.stop()


def got(team):
    return [ref.call.all() for ref in team.members]


def test_round_robin_gives_each_the_same_in_turn(team):
    router = team.router()
    for n in range(8):
        router.cast.take(n)
    assert got(team) == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert len(Counter(router.call.take("x") for _ in range(8))) == 2  # of both workers


def test_least_loaded_passes_over_the_busy(team, tmp_path, eventually):
    busy = team.members[:2]
    gates = [tmp_path / str(n) for n in range(2)]
    answers = [ref.request.hold(str(gate)) for ref, gate in zip(busy * 2, gates * 2, strict=True)]
    for ref, gate in zip(busy, gates, strict=True):
        eventually(Path(f"{gate}.held").exists)
        eventually(lambda ref=ref: ref.load() >= 2)  # more than one has who has just answered, and not yet said so
    router = team.router("least_loaded")
    for n in range(6):
        router.call.take(n)
    for gate in gates:
        gate.touch()
    al.gather(*answers).get(timeout=30)
    assert [len(items) for items in got(team)[:2]] == [0, 0]
    assert sum(len(items) for items in got(team)) == 6


def test_a_key_always_belongs_to_the_same_member_and_few_move_when_one_comes(team):
    router = team.router("consistent_hash")
    keys = [f"user-{n}" for n in range(400)]
    before = {key: router.at(key) for key in keys}
    assert {key: al.Router(team.group, "consistent_hash").at(key) for key in keys} == before
    assert len(set(before.values())) == 4
    team.resize(5)
    after = {key: router.at(key) for key in keys}
    moved = [key for key in keys if before[key] != after[key]]
    assert len(moved) < 200
    assert {after[key] for key in moved} == {team.members[-1]}


def test_a_broadcast_reaches_all_and_says_how_many(team):
    assert team.router().broadcast("take", "news") == 4
    assert got(team) == [["news"]] * 4


def test_all_can_be_asked_at_once(team):
    router = team.router()
    assert router.ask_all("take", 1).get(timeout=30) == [ref.call.take(2) for ref in team.members]


def test_the_first_answer_counts_and_the_others_are_taken_back(team, tmp_path, eventually):
    gates = [tmp_path / str(n) for n in range(3)]
    answers = [ref.request.hold(str(gate)) for ref, gate in zip(team.members[:3], gates, strict=True)]
    for gate in gates:
        eventually(Path(f"{gate}.held").exists)
    quick = team.router().first("take", "question").get(timeout=30)
    assert quick
    for ref in team.members[:3]:
        eventually(lambda ref=ref: ref.statistics().dead_lettered == 1)  # taken back: after the answer
    for gate in gates:
        gate.touch()
    al.gather(*answers).get(timeout=30)
    assert got(team) == [[], [], [], ["question"]]


def test_the_first_fails_only_when_all_have_failed(team):
    with pytest.raises(ValueError, match="bad"):
        team.router().first("bad").get(timeout=30)


def test_members_that_come_and_go_are_seen_by_the_next_message(node, team):
    router = team.router()
    for n in range(4):
        router.cast.take(n)
    team.resize(2)
    assert len(router) == 2
    for n in range(4, 8):
        router.cast.take(n)
    team.resize(3)
    assert len(router) == 3
    assert [len(items) for items in got(team)] == [3, 3, 0]


def test_who_is_let_go_does_first_what_it_was_sent(node, team, tmp_path, eventually):
    last = team.members[-1]
    gate = tmp_path / "gate"
    answer = last.request.hold(str(gate))
    behind = last.request.take("behind")
    eventually(Path(f"{gate}.held").exists)
    team.resize(3)
    assert last not in team.members
    gate.touch()
    assert answer.get(timeout=30)
    assert behind.get(timeout=30)
    eventually(lambda: not last.is_alive())


def test_a_member_that_has_ended_is_passed_over(node, request):
    group = node.group("mortals")
    refs = node.spawn_many(Member, 3)
    group.join(*refs)
    router = al.Router(group)
    refs[1].stop()
    for n in range(6):
        router.cast.take(n)
        assert router.call.take(n)
    assert sum(len(ref.call.all()) for ref in (refs[0], refs[2])) == 12
    for ref in (refs[0], refs[2]):
        ref.stop()


def test_a_member_that_crashes_is_restarted_and_stays_one(node, team):
    pids = [ref.call.take("x") for ref in team.members]
    victims = [ref for ref, pid in zip(team.members, pids, strict=True) if pid == pids[0]]
    with pytest.raises(al.ActorDied):
        victims[0].call.die()
    node.wait_idle()
    assert len(team) == 4
    assert all(ref.call.take("y") for ref in team.members)


def test_a_router_works_inside_an_actor_of_a_worker(node, team, eventually):
    class Boss(al.Actor):
        def drive(self, group, n):
            router = al.Router(self.node.group(group))
            for i in range(n):
                router.cast.take(i)
            return router.call.take("end")

    assert node.spawn(Boss, placement=1).call.drive(team.name, 10)
    eventually(lambda: sum(map(len, got(team))) >= 11)  # what we ask may overtake what the worker has sent
    assert sum(map(len, got(team))) == 11


@pytest.mark.parametrize(
    "use", [lambda r: r.cast.take(1), lambda r: r.call.take(1), lambda r: r.at(), lambda r: r.tell(1)]
)
def test_a_group_without_members_is_said_so(node, use):
    with pytest.raises(al.NothingFound, match="it has none; have some join"):
        use(al.Router(node.group("nobody")))


def test_bad_input_is_refused_with_its_place_and_remedy(node, team):
    with pytest.raises(al.SpecError, match=r"router.by.*round_robin, least_loaded"):
        al.Router(node.group("x"), "fastest")
    with pytest.raises(ValueError, match=r"needs a key: write router\.at"):
        team.router("consistent_hash").cast.take(1)
    with pytest.raises(TypeError, match="give its name or number"):
        team.router("consistent_hash").at(1.5)
    with pytest.raises(al.SpecError, match=r"team\.size"):
        team.resize(-1)
    with pytest.raises(al.NameTaken):
        al.Team(node, Member, name=team.name, size=1)


# -- threads that share a router


class Standing:
    """A member that stands in: who takes up its `cast` may be held there, before it has anything of it."""

    address = home = 1

    def __init__(self, held: threading.Event | None = None) -> None:
        self.got: list[str] = []
        self.taken_up = threading.Event()
        self._held = held

    @property
    def runtime(self) -> Any:
        return SimpleNamespace(table=lambda home: SimpleNamespace(load_reader=lambda address: lambda: 0))

    @property
    def cast(self) -> Any:
        if self._held is not None:
            self.taken_up.set()
            assert self._held.wait(20)
        return SimpleNamespace(take=self.got.append)


@pytest.mark.parametrize("by", ["random", "least_loaded", "round_robin"])
def test_a_thread_that_was_overtaken_by_a_change_leaves_nobody_the_old_members(by):
    """It asks the old members for their methods while another thread sees the new ones: it must not keep the old."""
    release = threading.Event()
    old, new = Standing(release), Standing()
    group = SimpleNamespace(name="g", version=1, members=lambda: [old])
    router: Any = al.Router(group, by)  # type: ignore[arg-type]
    overtaken = threading.Thread(target=lambda: router.cast.take("first"), daemon=True)
    overtaken.start()
    assert old.taken_up.wait(20)
    group.version, group.members = 2, lambda: [new]
    router.at()  # another thread looks
    release.set()
    overtaken.join(20)
    router.cast.take("second")
    assert new.got == ["second"]
