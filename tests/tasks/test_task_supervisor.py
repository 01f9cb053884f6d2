"""Functions as supervised actors: their outcome reaches who asked, they end when they should, and leave nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import task_drill as drill

import actorlab as al
from actorlab.supervision.crew import Crew
from actorlab.testing import frozen

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        for place in (1, 2):
            node.spawn(drill.Owner, placement=place).stop()
        al.TaskSupervisor.start(node, "first-of-all").stop()
        node.wait_idle()
        yield node


@pytest.fixture(scope="module")
def tasks(node):
    return al.TaskSupervisor.start(node, "tasks")


@pytest.fixture(autouse=True)
def _no_task_is_left(tasks, eventually):
    yield
    eventually(lambda: tasks.count() == 0)


@pytest.mark.parametrize("function", [drill.double, drill.adouble])
def test_a_task_answers_with_what_its_function_returns(tasks, function):
    assert tasks.run(function, 21).get(timeout=30) == 42


def test_tasks_run_in_the_workers_and_may_call_actors(node, tasks):
    pids = {tasks.run(drill.pid).get(timeout=30) for _ in range(4)}
    assert len(pids) == 2
    owner = node.spawn(drill.Owner, placement=1)
    assert tasks.run(drill.ask, owner, 7).get(timeout=30) == 7
    owner.stop()


def test_a_tasks_error_is_in_the_future_and_nowhere_else(tasks):
    task = tasks.run(drill.fail, "way")
    with pytest.raises(LookupError, match="no way"):
        task.get(timeout=30)


def test_handlers_run_tasks_parked_or_as_tasks_of_theirs(node, tasks):
    owner = node.spawn(drill.Owner, placement=1)
    assert owner.call.run_and_get(tasks.supervisor, drill.double, 4) == 8
    assert owner.call.arun_and_get(tasks.supervisor, drill.adouble, 4) == 8
    owner.stop()


def test_the_users_loop_runs_tasks(tasks):
    async def main():
        return await al.gather(*[await tasks.arun(drill.double, n) for n in range(3)])

    assert asyncio.run(main()) == [0, 2, 4]


def test_a_cancelled_task_ends_at_once_and_its_answer_is_discarded(tasks, tmp_path, eventually):
    gate = tmp_path / "gate"
    task = tasks.run(drill.hold, str(gate))
    eventually(Path(f"{gate}.held").exists)
    assert task.cancel()
    assert not task.cancel()
    with pytest.raises(al.CallCancelled):
        task.get()
    eventually(lambda: not task.ref.is_alive())


def test_a_get_that_times_out_leaves_the_task_running(tasks, tmp_path):
    gate = tmp_path / "gate"
    task = tasks.run(drill.hold, str(gate))
    with pytest.raises(al.CallTimeout):
        task.get(timeout=0.02)
    gate.touch()
    assert task.get(timeout=30) == str(gate)


def test_a_task_whose_worker_dies_is_not_run_again(node, tasks):
    with pytest.raises(al.ActorDied):
        tasks.run(drill.die).get(timeout=30)
    node.wait_idle()


def test_a_linked_task_that_fails_ends_its_owner_and_one_that_does_not_leaves_it(node, tasks):
    owner = node.spawn(drill.Owner, placement=1)
    owner.call.run_linked(tasks.supervisor, drill.double, 1)
    node.wait_idle()
    assert owner.is_alive()
    down = node.monitor(owner)
    owner.call.run_linked(tasks.supervisor, drill.fail, "more")
    assert "LookupError: no more" in str(down.get(timeout=30).reason)


def test_an_owner_that_crashes_ends_its_linked_task(node, tasks, tmp_path, eventually):
    owner = node.spawn(drill.Owner, placement=1)
    gate = tmp_path / "gate"
    owner.call.run_linked(tasks.supervisor, drill.hold, str(gate))
    eventually(Path(f"{gate}.held").exists)
    owner.cast.boom()
    eventually(lambda: tasks.count() == 0)
    assert not gate.exists()


# -- streams


@pytest.mark.parametrize("function", [drill.double, drill.adouble])
@pytest.mark.parametrize("n", [0, 1, 50])
def test_results_come_in_the_order_of_the_items(tasks, function, n):
    assert list(tasks.stream(function, range(n), max_concurrency=3)) == [2 * i for i in range(n)]


def test_a_stream_in_handlers_and_in_the_users_loop(node, tasks):
    owner = node.spawn(drill.Owner, placement=1)
    assert owner.call.stream(tasks.supervisor, 10) == [2 * i for i in range(10)]
    assert owner.call.astream(tasks.supervisor, 10) == [2 * i for i in range(10)]
    owner.stop()

    async def main():
        return [result async for result in tasks.stream(drill.double, range(10))]

    assert asyncio.run(main()) == [2 * i for i in range(10)]


def test_unordered_results_come_as_they_are_ready(tasks, tmp_path):
    """Each item but the last waits for the one after it, so they end backwards."""
    names = [str(tmp_path / str(n)) for n in range(3)]
    items = [(names[1], names[0]), (names[2], names[1]), ("", names[2])]
    stream = tasks.stream(drill.in_turn, items, max_concurrency=3, ordered=False)
    assert set(stream) == set(names)
    again = [str(tmp_path / f"again{n}") for n in range(2)]
    ordered = list(tasks.stream(drill.in_turn, [(again[1], again[0]), ("", again[1])], max_concurrency=2))
    assert ordered == again


def test_an_endless_stream_is_taken_as_it_is_needed(tasks):
    taken = count()
    with tasks.stream(drill.double, taken, max_concurrency=2) as stream:
        first = [result for result, _ in zip(stream, range(5), strict=False)]
    assert first == [0, 2, 4, 6, 8]
    assert next(taken) <= 5 + 2 * 2 + 1


def test_the_first_error_ends_the_stream_or_stands_where_its_result_would(tasks):
    got = []
    with pytest.raises(LookupError, match="three"):
        got.extend(tasks.stream(drill.fail_at_three, range(10), max_concurrency=2))
    assert got == [0, 1, 2]
    results = list(tasks.stream(drill.fail_at_three, range(6), errors="yield"))
    assert [item if isinstance(item, int) else str(item) for item in results] == [0, 1, 2, "three", 4, 5]


def test_an_item_that_takes_too_long_is_ended_and_the_others_go_on(tasks):
    results = list(tasks.stream(drill.slow_if, range(6), max_concurrency=2, timeout_s=10.0, errors="yield"))
    shown = [item if isinstance(item, int) else type(item).__name__ for item in results]
    assert shown == [0, 1, "CallTimeout", 3, 4, 5]


def test_an_item_whose_worker_dies_is_an_error_like_any(node, tasks):
    results = list(tasks.stream(drill.die, range(1), max_concurrency=1, errors="yield", timeout_s=30))
    assert [type(item) for item in results] == [al.ActorDied]
    node.wait_idle()


def test_tasks_can_be_part_of_a_tree(node):
    supervisor = node.start(al.Supervisor(children=[al.DynamicSupervisor(name="tree-tasks")]))
    tasks = al.TaskSupervisor(node.whereis("tree-tasks"))
    assert tasks.run(drill.double, 2).get(timeout=30) == 4
    supervisor.stop()


@pytest.mark.parametrize(
    ("use", "error", "says"),
    [
        (lambda t: t.stream(drill.double, [], max_concurrency=0), al.SpecError, "tasks.max_concurrency"),
        (lambda t: t.stream(drill.double, [], timeout_s=0), al.SpecError, "tasks.timeout_s"),
        (lambda t: t.stream(drill.double, [], errors="ignore"), al.SpecError, "'raise' or 'yield'"),
        (lambda t: t.run(drill.double, 1, linked=True), RuntimeError, "there is none here, leave it out"),
    ],
)
def test_bad_input_is_refused_with_its_place(tasks, use, error, says):
    with pytest.raises(error, match=says):
        use(tasks)


def test_what_cannot_be_sent_is_said_so_and_no_task_is_left(tasks):
    with pytest.raises(al.NotSendable):
        tasks.run(drill.double, threading.Lock()).get(timeout=30)


# -- who gives up while a task's actor is being started


@pytest.fixture
def begun(monkeypatch) -> threading.Event:
    """Set once the supervisor waits for a child to start: from then on it goes on, whoever gives up."""
    waits, wait = threading.Event(), Crew._await

    def tell_and_wait(*args):
        waits.set()
        return wait(*args)

    monkeypatch.setattr(Crew, "_await", tell_and_wait)
    return waits


@pytest.mark.parametrize(
    "start",
    [
        lambda tasks: tasks.arun(drill.double, 1, placement=1),
        lambda tasks: anext(aiter(tasks.stream(drill.double, range(9), max_concurrency=4))),
    ],
    ids=["task", "stream"],
)
def test_what_is_given_up_while_its_actors_start_leaves_none(node, tasks, begun, start):
    async def main():
        with frozen(node, 1):
            starting = asyncio.ensure_future(start(tasks))
            await asyncio.sleep(0)
            assert begun.wait(20)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting

    asyncio.run(main())
    tasks.count()  # answered after the start
    node.wait_idle()
    assert not tasks.count()


def test_an_owner_that_is_killed_while_its_task_starts_leaves_none(node, tasks, begun, eventually):
    owner = node.spawn(drill.Owner, placement=2)
    with frozen(node, 1):
        owner.cast.run_at(tasks.supervisor, 1)
        assert begun.wait(20)
        owner.exit("kill")
        eventually(lambda: not owner.is_alive())
    tasks.count()
    node.wait_idle()
    assert not tasks.count()
