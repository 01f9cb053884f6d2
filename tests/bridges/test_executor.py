"""The standard library's executor on actors: its contract, and what becomes of a task whose process dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor, as_completed, wait
from pathlib import Path

import pytest
from executor_drill import die_once, fail, square, wait_for, where

import actorlab as al

pytestmark = pytest.mark.process

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as made:
        yield made


@pytest.fixture
def executor(node: al.Node) -> Iterator[al.ActorExecutor]:
    with al.ActorExecutor(node) as made:
        yield made


def test_a_call_runs_in_a_worker_and_its_result_comes_back(executor: al.ActorExecutor, node: al.Node) -> None:
    assert isinstance(executor, Executor)
    assert executor.submit(square, 7).result(timeout=30) == 49
    assert {executor.submit(where).result(30) for _ in range(8)} <= {worker.pid for worker in node.workers}
    assert executor.submit(lambda x, y=1: x + y, 2, y=3).result(30) == 5


def test_an_exception_comes_back_as_it_was_and_harms_nobody(executor: al.ActorExecutor) -> None:
    with pytest.raises(ValueError, match="no ink"):
        executor.submit(fail, "no ink").result(30)
    assert executor.submit(square, 2).result(30) == 4


def test_what_cannot_travel_fails_its_own_future_only(executor: al.ActorExecutor) -> None:
    import threading

    with pytest.raises(al.NotSendable):
        executor.submit(square, threading.Lock()).result(30)  # type: ignore[arg-type]
    assert executor.submit(square, 2).result(30) == 4


@pytest.mark.parametrize("chunksize", [1, 7])
def test_map_keeps_the_order(executor: al.ActorExecutor, chunksize: int) -> None:
    assert list(executor.map(square, range(100), chunksize=chunksize)) == [n * n for n in range(100)]
    assert list(executor.map(pow, [2, 3], [5, 2, 9], chunksize=chunksize)) == [32, 9]


def test_the_librarys_own_tools_work_on_its_futures(executor: al.ActorExecutor) -> None:
    futures = [executor.submit(square, n) for n in range(20)]
    assert {future.result() for future in as_completed(futures, timeout=30)} == {n * n for n in range(20)}
    assert not wait(futures, timeout=30).not_done

    async def inside() -> int:
        return await asyncio.get_running_loop().run_in_executor(executor, square, 5)

    assert asyncio.run(inside()) == 25


def test_a_task_that_waits_can_be_cancelled_and_one_in_hand_cannot(node: al.Node, tmp_path: Path) -> None:
    with al.ActorExecutor(node, max_workers=1, name="narrow") as executor:
        held = executor.submit(wait_for, str(tmp_path / "go"))
        queued = executor.submit(square, 3)
        assert queued.cancel()
        assert not held.cancel()
        (tmp_path / "go").touch()
        assert held.result(30) != "MainThread"  # a task may block: it has a thread of its own
        with pytest.raises(CancelledError):
            queued.result(30)


def test_a_shutdown_lets_what_is_queued_run_or_cancels_it(node: al.Node, tmp_path: Path) -> None:
    executor = al.ActorExecutor(node, max_workers=1, name="ending")
    futures = [executor.submit(square, n) for n in range(20)]
    executor.shutdown(wait=True)
    assert [future.result() for future in futures] == [n * n for n in range(20)]
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(square, 1)
    executor.shutdown()
    executor = al.ActorExecutor(node, max_workers=1, name="ended")
    held = executor.submit(wait_for, str(tmp_path / "go"))
    queued = [executor.submit(square, n) for n in range(5)]
    executor.shutdown(wait=False, cancel_futures=True)
    (tmp_path / "go").touch()
    held.result(30)
    assert all(future.cancelled() for future in queued)
    executor.shutdown(wait=True)


def test_a_task_whose_worker_dies_fails_and_the_others_go_on(tmp_path: Path) -> None:
    with al.Node(workers=2) as node, al.ActorExecutor(node) as executor:
        futures = [executor.submit(square, n) for n in range(10)]
        dying = executor.submit(die_once, str(tmp_path / "died"))
        futures += [executor.submit(square, n) for n in range(10)]
        with pytest.raises(al.ActorDied):
            dying.result(20)
        outcomes = [future.exception(20) or future.result() for future in futures]
        assert [outcome for outcome in outcomes if not isinstance(outcome, al.ActorDied)]
        assert executor.submit(square, 9).result(20) == 81


def test_with_retries_a_task_whose_worker_dies_is_run_again(tmp_path: Path) -> None:
    with al.Node(workers=2) as node, al.ActorExecutor(node, retries=2) as executor:
        assert executor.submit(die_once, str(tmp_path / "died")).result(20) == "alive"
        assert list(executor.map(square, range(10))) == [n * n for n in range(10)]


def test_tasks_may_be_submitted_from_many_threads(executor: al.ActorExecutor) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = list(threads.map(lambda n: executor.submit(square, n), range(200)))
    assert [future.result(20) for future in futures] == [n * n for n in range(200)]


def test_bounds_that_make_no_sense_are_refused(node: al.Node) -> None:
    with pytest.raises(al.SpecError, match="max_workers"):
        al.ActorExecutor(node, max_workers=0)
    with pytest.raises(al.SpecError, match="retries"):
        al.ActorExecutor(node, retries=-1)
    with al.ActorExecutor(node, name="chunky") as executor, pytest.raises(ValueError, match="chunksize"):
        executor.map(square, [1], chunksize=0)


def test_it_works_on_an_embedded_node() -> None:
    with al.Node(workers=0) as node, al.ActorExecutor(node, max_workers=3) as executor:
        assert list(executor.map(square, range(30))) == [n * n for n in range(30)]


def test_a_shutdown_between_a_tasks_death_and_its_next_try_waits_for_that(node: al.Node, tmp_path: Path) -> None:
    executor = al.ActorExecutor(node, 1, retries=1)
    free = executor._free

    def free_and_shut_down(runner: al.ActorRef) -> None:
        free(runner)
        executor.shutdown(wait=False)

    executor._free = free_and_shut_down  # type: ignore[method-assign]
    assert executor.submit(die_once, str(tmp_path / "died")).result(20) == "alive"
    executor.shutdown()
    node.wait_idle()
