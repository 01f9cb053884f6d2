"""Questions that nobody waits for any more: taken back if they still wait, left to end if they have begun."""

from __future__ import annotations

import asyncio
import gc

import pytest

import actorlab as al


class Worker(al.Actor):
    def __init__(self):
        self.did = []

    def wait(self, gate, entered=None):
        if entered is not None:
            entered.set(None)
        return gate.get()

    def do(self, what):
        self.did.append(what)
        return what

    def done(self):
        return list(self.did)

    def call_briefly(self, ref, what):
        return ref.within(0.01).call.do(what)

    def ask_and_cancel(self, ref, what):
        future = ref.request.do(what)
        return future.cancel(), future.cancel()

    async def await_briefly(self, ref, what):
        try:
            async with asyncio.timeout(0.01):
                await ref.request.do(what)
        except TimeoutError:
            return "gave up"

    def call_for_ever(self, ref, entered):
        entered.set(None)
        return ref.within(None).call.do("never")


class BlockingWorker(Worker):
    blocking = True


@pytest.fixture(params=[Worker, BlockingWorker])
def kind(request):
    return request.param


class Held:
    """An actor whose handler waits until it is let go."""

    def __init__(self, node, kind, **options):
        self.ref = node.spawn(kind, **options)
        self.gate, entered = al.Future(), al.Future()
        self.answer = self.ref.request.wait(self.gate, entered)
        entered.get(timeout=30)

    def let_go(self):
        self.gate.set("open")
        assert self.answer.get(timeout=30) == "open"
        return self.ref.call.done()


@pytest.fixture
def held(node, kind):
    return Held(node, kind)


def cancelled(node):
    return node.dead_letters.counts["cancelled"]


def test_a_call_that_timed_out_is_not_handled_later(node, held, eventually):
    caller = node.spawn(Worker)
    with pytest.raises(al.CallTimeout) as caught:
        caller.call.call_briefly(held.ref, "late")
    assert held.let_go() == []
    eventually(lambda: cancelled(node) == 1)
    assert caught.value.delivery == "handled"  # to our caller it promises nothing


def test_a_caller_whose_message_was_taken_back_is_told_that_nothing_ran(node):
    class Asker(al.Actor):
        def try_it(self, ref):
            try:
                ref.within(0.01).call.do("late")
            except al.CallTimeout as error:
                return error.delivery, str(error)

    held = Held(node, Worker)
    delivery, text = node.spawn(Asker).call.try_it(held.ref)
    assert delivery == "never"
    assert "taken back" in text
    assert held.let_go() == []


def test_a_call_from_the_users_thread_that_timed_out_is_not_handled_later(node, held, eventually):
    with pytest.raises(al.CallTimeout):
        held.ref.within(0.01).call.do("late")
    assert held.let_go() == []
    eventually(lambda: cancelled(node) == 1)


def test_a_future_that_is_cancelled_says_so_once_and_its_message_is_gone(node, held, eventually):
    assert node.spawn(Worker).call.ask_and_cancel(held.ref, "no") == (True, False)
    future = held.ref.request.do("neither")
    assert future.cancel()
    with pytest.raises(al.CallCancelled):
        future.get()
    assert held.let_go() == []
    eventually(lambda: cancelled(node) == 2)


def test_an_await_that_timed_out_takes_its_question_back(node, eventually):
    held = Held(node, Worker)
    assert node.spawn(Worker).call.await_briefly(held.ref, "late") == "gave up"
    gc.collect()
    eventually(lambda: cancelled(node) == 1)
    assert held.let_go() == []


def test_the_users_loop_takes_back_what_it_gave_up(node, eventually):
    held = Held(node, Worker)

    async def main():
        try:
            async with asyncio.timeout(0.01):
                await held.ref.request.do("late")
        except TimeoutError:
            pass

    asyncio.run(main())
    gc.collect()
    eventually(lambda: cancelled(node) == 1)
    assert held.let_go() == []


def test_a_gathered_wait_that_is_cancelled_takes_all_questions_back(node, eventually):
    held = [Held(node, Worker), Held(node, Worker)]

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await al.gather(*(one.ref.request.do("late") for one in held))

    asyncio.run(main())
    assert [one.let_go() for one in held] == [[], []]
    eventually(lambda: cancelled(node) == 2)


def test_what_a_killed_handler_asked_is_taken_back(node, held):
    entered = al.Future()
    caller = node.spawn(Worker)
    caller.cast.call_for_ever(held.ref, entered)
    entered.get(timeout=30)
    down = node.monitor(caller)
    caller.exit("kill")
    down.get(timeout=30)
    assert node.spawn(Worker).call.done() == []  # by now its handler has been thrown out
    assert held.let_go() == []


def test_a_handler_that_has_begun_is_left_to_end(node):
    held = Held(node, Worker)
    assert held.answer.cancel()
    late = al.Future.late
    held.gate.set("open")
    assert held.ref.call.do("after") == "after"
    assert al.Future.late == late + 1
    assert cancelled(node) == 0


def test_what_is_taken_back_makes_room_in_a_full_mailbox(node):
    held = Held(node, Worker, mailbox=al.Mailbox(capacity=2, timeout_s=60))
    first, second = held.ref.request.do(1), held.ref.request.do(2)

    async def third():
        return await held.ref.request.do(3)

    async def main():
        waiting = asyncio.create_task(third())
        await asyncio.sleep(0)
        first.cancel()
        held.gate.set("open")
        return await waiting

    assert asyncio.run(main()) == 3
    assert second.get(timeout=30) == 2
    assert held.ref.call.done() == [2, 3]


def test_what_waits_at_the_door_of_a_full_mailbox_can_be_taken_back(node):
    held = Held(node, Worker, mailbox=al.Mailbox(capacity=1, timeout_s=60))
    held.ref.request.do("inside")

    async def main():
        waiting = held.ref.request.do("outside")
        waiting.cancel()

    asyncio.run(main())
    assert held.let_go() == ["inside"]


def test_the_books_balance_over_what_was_taken_back(node, settled):
    held = Held(node, Worker)
    for future in [held.ref.request.do(n) for n in range(10)][::2]:
        future.cancel()
    assert held.let_go() == [1, 3, 5, 7, 9]
    settled()
    books = held.ref.statistics()
    assert (books.handled, books.dead_lettered, books.depth) == (7, 5, 0)
