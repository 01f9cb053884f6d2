"""Looking into running actors and holding them up, without their doing anything for it."""

from __future__ import annotations

import asyncio

import pytest

import actorlab as al


class Counter(al.Actor):
    reply_errors = (LookupError,)

    def __init__(self, n=0):
        self.n = n

    def add(self, k):
        self.n += k
        return self.n

    async def aadd(self, k):
        await asyncio.sleep(0)
        self.n += k
        return self.n

    def wait(self, gate, entered=None):
        if entered is not None:
            entered.set(None)
        return gate.get()

    def miss(self):
        raise LookupError("nothing")

    def boom(self):
        raise RuntimeError("boom")

    def on_receive(self, message):
        return message


class BlockingCounter(Counter):
    blocking = True


class ReentrantCounter(Counter):
    reentrant = True


class Slotted(al.Actor):
    __slots__ = ("n",)

    def __init__(self):
        self.n = 1

    def get(self):
        return self.n


@pytest.fixture(params=[Counter, BlockingCounter, ReentrantCounter])
def counter(request, node):
    return node.spawn(request.param, 5)


def test_a_state_is_what_it_is_between_two_messages(counter):
    counter.cast.add(1)
    assert counter.system.get_state() == {"n": 6}


def test_it_may_be_replaced_by_another_or_by_a_function_of_it(counter):
    counter.system.replace_state({"n": 10, "note": "new"})
    assert counter.system.get_state() == {"n": 10, "note": "new"}
    assert counter.call.add(1) == 11
    counter.system.replace_state(lambda state: {"n": state["n"] * 2})
    assert counter.system.get_state() == {"n": 22}


@pytest.mark.parametrize(
    ("new", "error", "says"),
    [
        (7, TypeError, "a state is a mapping"),
        ({1: 2}, TypeError, "a state is a mapping"),
        ({"_actorlab_cell": None}, TypeError, "no state"),
        (lambda state: state["missing"], KeyError, "missing"),
    ],
)
def test_a_state_that_is_none_changes_nothing(counter, new, error, says):
    with pytest.raises(error, match=says):
        counter.system.replace_state(new)
    assert counter.system.get_state() == {"n": 5}


def test_attributes_in_slots_are_state_too(node):
    ref = node.spawn(Slotted)
    assert ref.system.get_state() == {"n": 1}
    ref.system.replace_state({"n": 2})
    assert ref.call.get() == 2


def test_a_suspended_actor_keeps_what_comes_and_answers_the_system(counter, settled):
    counter.system.suspend()
    answers = [counter.request.add(1) for _ in range(3)]
    settled()
    assert counter.system.get_state() == {"n": 5}
    assert not any(answer.state for answer in answers)
    counter.system.replace_state({"n": 100})
    counter.system.resume()
    assert al.gather(*answers).get(timeout=30) == [101, 102, 103]
    counter.system.resume()  # nothing to do
    assert counter.call.add(0) == 103


def test_its_mailbox_keeps_its_bound_meanwhile(node):
    ref = node.spawn(Counter, mailbox=al.Mailbox(capacity=2, overflow="reject"))
    ref.system.suspend()
    first, second = ref.request.add(1), ref.request.add(1)
    with pytest.raises(al.MailboxFull):
        ref.call.add(1)
    ref.system.resume()
    assert al.gather(first, second).get(timeout=30) == [1, 2]


def test_an_exit_ends_it_all_the_same(node, counter):
    down = node.monitor(counter)
    counter.system.suspend()
    counter.exit("shutdown")
    assert down.get(timeout=30).reason == "shutdown"


def test_a_kill_does_and_there_is_no_message_in_hand(node, counter):
    down = node.monitor(counter)
    counter.system.suspend()
    counter.exit("kill")
    assert down.get(timeout=30).reason == "killed"
    assert node.dead_letters.counts["crashed_in_flight"] == 0


def test_its_supervisor_stops_it_and_a_restarted_one_is_not_suspended(node):
    supervisor = node.start(al.Supervisor(children=[al.child(Counter, name="counter")]))
    counter = node.whereis("counter")
    counter.system.suspend()
    answer = counter.request.add(1)
    counter.exit("kill")
    assert answer.get(timeout=30) == 1
    counter.system.suspend()
    supervisor.stop(timeout=30)
    assert not counter.is_alive()


def test_a_busy_one_is_a_timeout_and_one_that_is_gone_says_so(node):
    counter, gate, entered = node.spawn(Counter), al.Future(), al.Future()
    answer = counter.request.wait(gate, entered)
    entered.get(timeout=30)  # else the system may be answered before it begins
    with pytest.raises(al.CallTimeout):
        counter.system.ask("get_state").get(timeout=0.02)
    gate.set(None)
    answer.get(timeout=30)
    counter.stop()
    with pytest.raises(al.ActorDied):
        counter.system.get_state()


def test_who_asks_an_actor_that_ends_is_told(node):
    counter, gate, entered = node.spawn(Counter), al.Future(), al.Future()
    answer = counter.request.wait(gate, entered)
    entered.get(timeout=30)
    asked = counter.system.ask("get_state")
    counter.exit("kill")
    with pytest.raises(al.ActorDied):
        asked.get(timeout=30)
    with pytest.raises(al.ActorDied):
        answer.get(timeout=30)


def test_requests_have_no_part_in_the_books(counter, settled):
    for _ in range(3):
        counter.system.get_state()
    settled()
    books = counter.statistics()
    assert (books.handled, books.accepted) == (0, 0)


def test_a_trace_tells_of_each_message_what_became_of_it(node, counter, keeper, seen, settled):
    counter.system.trace(keeper)
    counter.call.add(1)
    counter.call.aadd(2)
    counter.ask("hello")
    with pytest.raises(LookupError):
        counter.call.miss()
    counter.system.trace(on=False)
    counter.call.add(3)
    settled()
    told = []
    while not seen.empty():
        told.append(seen.get())
    assert [(event.what, event.outcome) for event in told] == [
        ("add(1)", "returned 6"),
        ("aadd(2)", "returned 8"),
        ("'hello'", "returned 'hello'"),
        ("miss()", "raised LookupError: nothing"),
    ]
    assert all(event.ref == counter and event.seconds >= 0 for event in told)
    assert counter.system.get_state() == {"n": 11}


def test_a_traced_actor_still_refuses_bad_calls_unharmed(counter, keeper):
    counter.system.trace(keeper)
    with pytest.raises(al.BadCall):
        counter.call.add()
    assert counter.call.add(1) == 6


def test_without_a_listener_a_trace_is_in_the_log(node, caplog, settled):
    counter = node.spawn(Counter)
    with caplog.at_level("INFO", "actorlab.trace"):
        counter.system.trace()
        counter.call.add(1)
        settled()
    assert "Counter: add(1) returned 1" in caplog.text


def test_a_trace_ends_with_the_incarnation(node, keeper, seen, settled):
    node.start(al.Supervisor(children=[al.child(Counter, name="counter")]))
    counter = node.whereis("counter")
    counter.system.trace(keeper)
    counter.cast.boom()
    settled()
    counter.call.add(1)
    settled()
    assert seen.get_nowait().outcome == "raised RuntimeError: boom"
    assert seen.empty()


def test_a_request_that_is_none_is_refused(counter):
    with pytest.raises(al.BadCall, match="no system request 'fly'"):
        counter.system.ask("fly").get(timeout=30)
    with pytest.raises(al.BadCall, match=r"no snapshot\(\) and restore"):
        counter.system.snapshot()


def test_handlers_ask_too_parked_or_awaiting(node, counter):
    class Asker(al.Actor):
        def look(self, ref):
            return ref.system.get_state()

        async def alook(self, ref):
            return await ref.system.ask("get_state")

    asker = node.spawn(Asker)
    assert asker.call.look(counter) == asker.call.alook(counter) == {"n": 5}
