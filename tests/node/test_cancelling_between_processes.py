"""Questions to another process that nobody waits for any more: taken out of its mailbox, wherever the asker is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from handlers_drill import BlockingWorker, Worker

import actorlab as al

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with al.Node(workers=2) as node:
        for place in (1, 2):
            node.spawn(Worker, placement=place).stop()
        node.wait_idle()
        yield node


@pytest.fixture(params=[Worker, BlockingWorker])
def held(request, node, tmp_path, eventually):
    """An actor in worker 2 that is busy until `let_go` is called, which returns what else it did.

    `let_go` waits for as many messages to be taken back as are to be.
    """
    ref = node.spawn(request.param, placement=2)
    gate = tmp_path / "gate"
    answer = ref.request.hold(str(gate))
    eventually(Path(f"{gate}.held").exists)

    def let_go(taken_back: int) -> list[object]:
        eventually(lambda: ref.statistics().dead_lettered == taken_back)  # wherever that was asked for
        gate.touch()
        assert answer.get(timeout=30) == "held"
        did = ref.call.done()
        ref.stop()
        return list(did)

    return ref, let_go


def test_a_call_from_another_worker_that_timed_out_is_not_handled_later(node, held, settled_books):
    ref, let_go = held
    caller = node.spawn(Worker, placement=1)
    assert caller.call.call_briefly(ref, "late") == "unknown"  # it may have begun, as far as the caller can know
    assert caller.call.call_briefly(ref, "later") == "unknown"
    assert let_go(taken_back=2) == []
    settled_books(ref, handled=2, dead=2)


def test_a_call_from_the_users_thread_that_timed_out_is_not_handled_later(held):
    ref, let_go = held
    with pytest.raises(al.CallTimeout):
        ref.within(0.02).call.do("late")
    assert let_go(taken_back=1) == []


def test_a_cancelled_future_takes_its_message_back(held):
    ref, let_go = held
    kept, given_up = ref.request.do("kept"), ref.request.do("given up")
    assert given_up.cancel()
    assert let_go(taken_back=1) == ["kept"]
    assert kept.get(timeout=30) == "kept"


def test_an_await_that_was_cancelled_takes_its_message_back(node, held):
    ref, let_go = held

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await al.gather(ref.request.do("late"), ref.request.do("late too"))

    asyncio.run(main())
    assert let_go(taken_back=2) == []


def test_an_async_handler_of_another_worker_that_gave_up_takes_its_message_back(node, held):
    ref, let_go = held
    caller = node.spawn(Worker, placement=1)
    assert caller.call.await_briefly(ref, "late") == "gave up"
    assert let_go(taken_back=1) == []


def test_what_a_killed_handler_asked_is_taken_back(node, held, tmp_path, eventually):
    ref, let_go = held
    caller = node.spawn(Worker, placement=1)
    caller.cast.call_for_ever(ref, str(tmp_path / "caller"))
    eventually(Path(f"{tmp_path / 'caller'}.called").exists)
    down = node.monitor(caller)
    caller.exit("kill")
    down.get(timeout=30)
    assert let_go(taken_back=1) == []


@pytest.fixture
def settled_books(node):
    def check(ref: al.ActorRef[Worker], *, handled: int, dead: int) -> None:
        node.wait_idle()
        books = ref.statistics()
        assert (books.handled, books.dead_lettered) == (handled, dead)

    return check
