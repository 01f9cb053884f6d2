"""Work queues: every task is done at least once, whoever dies, and none is given to a member whose hands are full."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from routing_drill import ManyHands, Member

import actorlab as al
from actorlab.errors import WorkerLost

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2, call_timeout_s=20.0) as node:
        for place in (1, 2):
            node.spawn(Member, placement=place).stop()
        node.wait_idle()
        yield node


@pytest.fixture
def team(node):
    team = al.Team(node, Member, name="hands", size=2, place=lambda n: 2, max_restarts=100)
    yield team
    team.stop()


@pytest.fixture
def queue(node, team):
    ref = node.spawn(al.WorkQueue, "hands", placement=1, attempts=3)
    yield ref
    ref.stop()


def test_every_task_is_answered_and_shared_among_the_members(queue, team, tmp_path, eventually):
    gates = [tmp_path / str(n) for n in range(2)]
    answers = [queue.request.do("hold", str(gate)) for gate in gates]
    for gate in gates:
        eventually(Path(f"{gate}.held").exists)  # both at once, so each member has one
    answers += [queue.request.do("take", n) for n in range(40)]
    for gate in gates:
        gate.touch()
    assert len(al.gather(*answers).get(timeout=30)) == 42
    got = [ref.call.all() for ref in team.members]
    assert sorted(item for items in got for item in items) == list(range(40))
    assert queue.call.statistics() == {"done": 42, "under_way": 0, "waiting": 0, "given_again": 0}


def test_a_lost_workers_task_is_given_to_another(node, queue, tmp_path):
    assert queue.within(20).call.do("die_once", str(tmp_path / "died")) == "done"
    assert queue.call.statistics()["given_again"] >= 1
    node.wait_idle()


def test_a_task_that_kills_whoever_has_it_is_given_up_after_some(node, queue):
    with pytest.raises(al.ActorDied):
        queue.within(20).call.do("die")
    node.wait_idle()
    assert queue.call.do("take", "after")


def test_a_tasks_own_error_is_its_answer(queue):
    with pytest.raises(ValueError, match="bad"):
        queue.call.do("bad")
    with pytest.raises(al.BadCall):
        queue.call.do("nothing")


def test_a_member_has_no_more_than_its_share_and_a_new_one_helps(queue, team, tmp_path, eventually):
    gates = [tmp_path / str(n) for n in range(3)]
    answers = [queue.request.do("hold", str(gate)) for gate in gates]
    eventually(lambda: queue.call.statistics()["waiting"] == 1)
    team.resize(3)
    eventually(Path(f"{gates[2]}.held").exists)
    for gate in gates:
        gate.touch()
    assert al.gather(*answers).get(timeout=30) == [str(gate) for gate in gates]


def test_a_member_that_joins_is_given_all_that_it_has_hands_for(node, tmp_path, eventually):
    queue = node.spawn(al.WorkQueue, "late", placement=1, per_member=2)
    gates = [tmp_path / str(n) for n in range(3)]
    answers = [queue.request.do("hold", str(gate)) for gate in gates]
    eventually(lambda: queue.call.statistics()["waiting"] == 3)
    member = node.spawn(ManyHands, placement=2)
    node.group("late").join(member)
    for gate in gates[:2]:
        eventually(Path(f"{gate}.held").exists)
    assert queue.call.statistics()["waiting"] == 1
    for gate in gates:
        gate.touch()
    assert al.gather(*answers).get(timeout=30) == [str(gate) for gate in gates]
    queue.stop()
    member.stop()


def test_a_hand_that_is_given_to_who_gives_up_at_that_moment_goes_to_the_next():
    """As in a subclass that puts `do` under a timeout: it strikes after the hand was given, before that is seen."""
    answers = []

    class Hands:
        request = property(lambda self: self)

        def is_alive(self):
            return True

        def take(self, item):
            answers.append(al.Future(item))
            return answers[-1]

    async def main():
        queue = al.WorkQueue("hands")
        members = [Hands()]
        queue._group = SimpleNamespace(members=lambda: members)
        first, second, third = (asyncio.ensure_future(queue.do("take", n)) for n in "abc")
        await asyncio.sleep(0)
        answers[0].reply("done")
        assert await first == "done"
        second.cancel()
        async with asyncio.timeout(20):
            while len(answers) < 2:
                await asyncio.sleep(0)
        answers[1].reply("done")
        assert await third == "done"
        with pytest.raises(asyncio.CancelledError):
            await second

    asyncio.run(main())


@pytest.mark.parametrize("place", [1, 2], ids=["from another worker", "beside the members"])
@pytest.mark.parametrize(
    "error", [al.ActorDied("a third", "killed", "unknown"), WorkerLost("worker 9", "SIGKILL"), al.MailboxFull("it", 1)]
)
def test_what_the_method_itself_met_with_is_its_answer_and_no_death_of_its_member(node, team, tmp_path, place, error):
    queue = node.spawn(al.WorkQueue, "hands", placement=place)
    runs = tmp_path / "runs"
    with pytest.raises(type(error)):
        queue.within(20).call.do("raise_from_another", str(runs), error)
    assert runs.read_text() == "x" and queue.call.statistics()["given_again"] == 0
    queue.stop()


@pytest.mark.parametrize(("key", "value"), [("per_member", 0), ("attempts", "many")])
def test_bad_input_is_refused_with_its_place(node, key, value):
    with pytest.raises(al.StartError, match=rf"work_queue.{key}.*whole number from 1"):
        node.spawn(al.WorkQueue, "hands", **{key: value})
