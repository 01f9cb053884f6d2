"""What an actor does between two messages: what a handler left for right after it, and the word that nothing came."""

from __future__ import annotations

import asyncio

import pytest

import actorlab as al


class Loader(al.Actor):
    def __init__(self, seen, gate=None, *, fail=False):
        self.seen = seen
        self.gate = gate
        self.fail = fail
        self.continue_with("first")
        self.continue_with("second")

    def on_start(self):
        self.seen.put("started")
        self.continue_with("third")

    def handle_continue(self, term):
        if self.gate is not None and term == "first":
            self.gate.get()
        if self.fail:
            raise ValueError(term)
        self.seen.put(term)

    def note(self, what):
        self.seen.put(what)
        return what

    def note_and_go_on(self, what, after):
        self.seen.put(what)
        for term in after:
            self.continue_with(term)
        return what

    async def note_as_task(self, what, after):
        self.continue_with(after)
        await asyncio.sleep(0)
        self.seen.put(what)


class BlockingLoader(Loader):
    blocking = True


class AsyncLoader(Loader):
    async def handle_continue(self, term):
        await asyncio.sleep(0)
        self.seen.put(term)


@pytest.fixture(params=[Loader, BlockingLoader, AsyncLoader])
def loader(request):
    return request.param


def drain(seen):
    found = []
    while not seen.empty():
        found.append(seen.get_nowait())
    return found


def test_what_init_and_on_start_left_is_done_before_the_first_message(node, loader, seen):
    ref = node.spawn(loader, seen)
    ref.call.note("message")
    assert drain(seen) == ["started", "first", "second", "third", "message"]


def test_the_starter_does_not_wait_for_it(node, seen):
    gate = al.Future()
    ref = node.spawn(Loader, seen, gate)  # returns although the first step waits
    answer = ref.request.note("message")
    gate.set(None)
    answer.get(timeout=30)
    assert drain(seen) == ["started", "first", "second", "third", "message"]


def test_what_a_handler_left_comes_before_messages_that_wait(node, loader, seen, settled):
    ref = node.spawn(loader, seen)
    settled()
    drain(seen)
    futures = [ref.request.note_and_go_on("one", ["a", "b"]), ref.request.note("two")]
    al.gather(*futures).get(timeout=30)
    assert drain(seen) == ["one", "a", "b", "two"]


def test_what_an_async_handler_left_comes_when_it_is_done(node, seen, settled):
    ref = node.spawn(Loader, seen)
    settled()
    drain(seen)
    al.gather(ref.request.note_as_task("one", "a"), ref.request.note("two")).get(timeout=30)
    assert drain(seen) == ["one", "a", "two"]


def test_an_exception_in_it_ends_the_actor_as_a_handlers_does(node, seen):
    gate = al.Future()
    down = node.monitor(node.spawn(Loader, seen, gate, fail=True))
    gate.set(None)
    assert "ValueError: first" in str(down.get(timeout=30).reason)


def test_to_leave_something_without_saying_how_it_is_done_is_an_error_that_says_so(node):
    class Forgetful(al.Actor):
        def go(self):
            self.continue_with("it")

    ref = node.spawn(Forgetful)
    down = node.monitor(ref)
    ref.cast.go()
    assert "define handle_continue(term)" in str(down.get(timeout=30).reason)


def test_what_it_takes_is_counted_as_handled_and_the_books_balance(node, seen, settled):
    ref = node.spawn(Loader, seen)
    ref.call.note("message")
    settled()
    books = ref.statistics()
    assert (books.handled, books.depth, books.accepted) == (4, 0, 4)


# -- the receive time-out


class Sleepy(al.Actor):
    def __init__(self, seen, after_s=10.0):
        self.seen = seen
        self.receive_timeout = after_s

    def on_receive(self, message):
        self.seen.put(message)

    def poke(self):
        return self.receive_timeout

    def change(self, after_s):
        self.receive_timeout = after_s

    def wait(self, gate, entered):
        entered.set(None)
        gate.get()

    def remind(self, delay_s):
        self.send_after(delay_s, "reminder")


class BlockingSleepy(Sleepy):
    blocking = True


@pytest.fixture(params=[Sleepy, BlockingSleepy])
def sleepy(request, node, clock, seen):
    ref = node.spawn(request.param, seen)
    node.wait_idle()  # a blocking actor's own thread is done with starting it, too
    return ref


def test_after_an_idle_time_it_is_told_and_again_after_each(sleepy, clock, seen, settled):
    clock.advance(9.9)
    assert drain(seen) == []
    for step_s in (0.2, 10.1, 10.1):
        clock.advance(step_s)
        settled()
        assert drain(seen) == [al.Timeout(10.0)]


def test_every_message_begins_the_idle_time_anew(sleepy, clock, seen, settled):
    for _ in range(5):
        clock.advance(6)
        sleepy.call.poke()
        settled()
    assert drain(seen) == []
    clock.advance(10.1)
    settled()
    assert drain(seen) == [al.Timeout(10.0)]


def test_a_timers_message_counts_as_one(sleepy, clock, seen, settled):
    sleepy.call.remind(6)
    settled()
    clock.advance(6.1)
    settled()
    clock.advance(6)
    settled()
    assert drain(seen) == ["reminder"]


def test_a_long_handler_is_no_idle_time(sleepy, clock, seen, settled):
    gate, entered = al.Future(), al.Future()
    answer = sleepy.request.wait(gate, entered)
    entered.get(timeout=30)
    clock.advance(30)
    gate.set(None)
    answer.get(timeout=30)
    settled()
    clock.advance(9)
    settled()
    assert drain(seen) == []


def test_it_can_be_changed_and_ended(sleepy, clock, seen, settled):
    sleepy.call.change(2.0)
    settled()
    clock.advance(2.1)
    settled()
    assert drain(seen) == [al.Timeout(2.0)]
    sleepy.call.change(None)
    assert sleepy.call.poke() is None
    clock.advance(100)
    settled()
    assert drain(seen) == []


def test_it_ends_with_the_incarnation(sleepy, clock, seen):
    sleepy.stop()
    clock.advance(100)
    assert drain(seen) == []


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(node, seen, wrong):
    with pytest.raises(al.StartError, match="receive_timeout must be more than 0 s"):
        node.spawn(Sleepy, seen, wrong)
