"""Futures: settled exactly once, waited for from threads, handlers and event loops alike."""

from __future__ import annotations

import asyncio
import queue
import threading
import traceback

import pykka
import pytest

import actorlab as al


def test_a_future_settles_exactly_once_whoever_is_first():
    for _ in range(200):
        future, start = al.Future(), threading.Barrier(4)
        outcomes = []

        def settle(n, future=future, start=start, outcomes=outcomes):
            start.wait()
            try:
                future.set(n)
                outcomes.append(n)
            except queue.Full:
                pass

        threads = [threading.Thread(target=settle, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert outcomes == [future.get()]


def test_every_waiter_is_woken_once():
    future, woken = al.Future(), []
    for n in range(3):
        future.on_settled(lambda n=n: woken.append(n))
    future.forget(None)
    future.set("x")
    future.on_settled(lambda: woken.append("late"))
    assert sorted(map(str, woken)) == ["0", "1", "2", "late"]


def test_get_times_out_and_can_be_asked_again():
    future = al.Future()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)
    future.set(1)
    assert (future.get(timeout=0), future.get()) == (1, 1)


def test_asking_again_for_an_exception_does_not_make_its_traceback_longer():
    future = al.Future()
    try:
        raise ValueError("x")
    except ValueError:
        future.set_exception()
    lengths = set()
    for _ in range(3):
        with pytest.raises(ValueError) as error:
            future.get()
        lengths.add(len(traceback.extract_tb(error.value.__traceback__)))
    assert len(lengths) == 1


def test_a_second_outcome_from_an_actor_is_counted_and_dropped():
    future, before = al.Future(), al.Future.late
    future.reply(1)
    future.fail(ValueError())
    assert (future.get(), al.Future.late) == (1, before + 1)


# -- made of others


class Adder(al.Actor):
    def add(self, k):
        return k + 1

    def many(self, k):
        return list(range(k))

    def wait(self, gate):
        return gate.get()

    def join_in_handler(self, ref):
        return ref.request.add(1).join(ref.request.add(2), ref.request.add(3)).get()

    async def join_in_task(self, ref):
        return await ref.request.add(1).join(ref.request.add(2)).map(sum)

    async def many_in_task(self, ref, n):
        joined = [ref.request.add(k).join(ref.request.add(k)).map(sum) for k in range(n)]
        return sum([await one for one in joined])


@pytest.fixture
def adder(node):
    return node.spawn(Adder)


def test_join_map_filter_reduce_get(adder):
    assert adder.request.add(1).join(adder.request.add(2)).get(timeout=30) == [2, 3]
    assert adder.request.add(1).map(str).get(timeout=30) == "2"
    assert adder.request.many(5).filter(lambda n: n % 2).get(timeout=30) == [1, 3]
    assert adder.request.many(5).reduce(lambda a, b: a + b, 0).get(timeout=30) == 10


def test_join_map_filter_reduce_await(adder):
    async def main():
        return [
            await adder.request.add(1).join(adder.request.add(2)),
            await adder.request.add(1).map(str),
            await adder.request.many(5).filter(lambda n: n % 2),
            await adder.request.many(5).reduce(lambda a, b: a + b, 0),
        ]

    assert asyncio.run(main()) == [[2, 3], "2", [1, 3], 10]


def test_they_work_inside_handlers(node, adder):
    other = node.spawn(Adder)
    assert other.call.join_in_handler(adder) == [2, 3, 4]
    assert other.call.join_in_task(adder) == 5


def test_awaiting_many_of_them_takes_no_threads(node, adder, eventually):
    others = [node.spawn(Adder) for _ in range(50)]
    before = threading.active_count()
    answers = [other.request.many_in_task(adder, 20) for other in others]
    assert {answer.get(timeout=20) for answer in answers} == {sum(2 * (k + 1) for k in range(20))}
    eventually(lambda: threading.active_count() <= before)


def test_a_join_has_one_deadline_for_all(adder):
    gate = al.Future()
    with pytest.raises(pykka.Timeout):
        adder.request.wait(gate).join(adder.request.wait(gate)).get(timeout=0.01)
    gate.set(None)


def test_an_awaited_map_raises_what_its_source_raises(node, adder):
    async def main():
        gate = al.Future()
        answer = adder.request.wait(gate).map(str)
        gate.set_exception((ValueError, ValueError("boom"), None))
        await answer

    with pytest.raises(ValueError, match="boom"):
        asyncio.run(main())


def test_a_hook_that_blocks_does_not_block_the_loop_that_awaits_it():
    future, release, ticks = al.Future(), threading.Event(), []
    future.set_get_hook(lambda timeout: release.wait(30))

    async def tick():
        ticks.append(1)
        await asyncio.sleep(0)
        release.set()

    async def main():
        return (await asyncio.gather(_wait(future), tick()))[0]

    assert asyncio.run(main()) is True
    assert ticks == [1]


async def _wait(future):
    return await future


def test_a_future_settled_after_its_loop_was_closed_harms_nobody():
    future = al.Future()

    async def main():
        task = asyncio.ensure_future(_wait(future))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    future.set(1)
    assert future.get() == 1
