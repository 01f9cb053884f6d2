"""Calls between actors of one process: deadlines, cycles, and that each settles exactly once."""

from __future__ import annotations

import asyncio
import threading

import pytest

import actorlab as al


class Caller(al.Actor):
    def __init__(self):
        self.n = 0

    def relay(self, *path):
        """Call along the path; the last one answers."""
        self.n += 1
        if not path:
            return "end"
        return path[0].call.relay(*path[1:])

    def relay_by_ask(self, *path):
        return path[0].ask(("relay", path[1:])) if path else "end"

    def relay_by_request(self, *path):
        return path[0].request.relay_by_request(*path[1:]).get() if path else "end"

    async def relay_slowly(self, *path):
        return await path[0].request.relay_slowly(*path[1:]) if path else "end"

    def on_receive(self, message):
        return self.relay_by_ask(*message[1])

    def count(self):
        return self.n

    def wait(self, gate, entered=None):
        if entered is not None:
            entered.set(None)
        return gate.get()

    def wait_at(self, ref, timeout_s, *args):
        return ref.within(timeout_s).call.wait(*args)

    def meet(self, other, entered, gate):
        """Wait for the gate, then call the other, who may be waiting for us by then."""
        entered.set(None)
        gate.get()
        return other.within(60).call.count()

    async def call_in_loop(self, ref):
        return ref.call.count()

    async def get_in_loop(self, ref):
        return ref.request.count().get()

    async def ask_in_loop(self, ref):
        return ref.ask(("relay", ()))


class BlockingCaller(Caller):
    blocking = True


@pytest.fixture(params=[Caller, BlockingCaller])
def callers(request, node):
    return [node.spawn(request.param) for _ in range(3)]


HOWS = ["relay", "relay_by_ask", "relay_by_request", "relay_slowly"]


# -- cycles


@pytest.mark.parametrize("how", HOWS)
def test_a_path_without_a_cycle_is_walked_to_its_end(callers, how):
    a, b, c = callers
    assert getattr(a.call, how)(b, c) == "end"


@pytest.mark.parametrize("how", HOWS)
def test_a_call_to_oneself_is_refused_at_once(callers, how):
    a, _, _ = callers
    with pytest.raises(al.DeadlockDetected):
        getattr(a.within(30).call, how)(a)


@pytest.mark.parametrize("how", HOWS)
def test_a_cycle_is_refused_at_once(callers, how):
    a, b, c = callers
    with pytest.raises(al.DeadlockDetected):
        getattr(a.within(30).call, how)(b, c, a)


def test_a_cycle_through_different_kinds_of_actors_is_refused(node):
    a, b = node.spawn(Caller), node.spawn(BlockingCaller)
    with pytest.raises(al.DeadlockDetected):
        a.within(30).call.relay(b, a)
    a, b = node.spawn(Caller), node.spawn(BlockingCaller)
    with pytest.raises(al.DeadlockDetected):
        b.within(30).call.relay(a, b)


def test_the_error_names_the_path(node):
    a, b = node.spawn(Caller, name="anna"), node.spawn(Caller, name="bert")
    with pytest.raises(al.DeadlockDetected, match="anna → bert → anna"):
        a.call.relay(b, a)


def test_two_that_begin_to_call_each_other_do_not_wait_for_the_timeout(node):
    a, b = node.spawn(Caller), node.spawn(Caller)
    entered, gate = [al.Future(), al.Future()], [al.Future(), al.Future()]
    answers = [a.request.meet(b, entered[0], gate[0]), b.request.meet(a, entered[1], gate[1])]
    for future in entered:
        future.get(timeout=30)
    for future in gate:
        future.set(None)
    outcomes = []
    for answer in answers:
        try:
            outcomes.append(answer.get(timeout=30))
        except al.CallError as error:
            outcomes.append(type(error).__name__)
    assert "DeadlockDetected" in outcomes  # the second one; the first hears from it, or that it died
    assert "CallTimeout" not in outcomes


def test_the_same_actor_may_be_called_again_once_the_first_call_is_over(callers):
    a, b, _ = callers
    assert a.call.relay(b) == "end"
    assert b.call.relay(a) == "end"
    assert a.call.relay(b) == "end"


# -- deadlines


def test_a_call_times_out_and_its_late_answer_is_counted(node, clock):
    a, b = node.spawn(Caller), node.spawn(Caller)
    gate, entered = al.Future(), al.Future()
    answer = a.request.wait_at(b, 1.0, gate, entered)
    entered.get(timeout=30)
    assert node.spawn(Caller).call.count() == 0  # so b waits by now, and the clock of a's deadline runs
    clock.advance(0.9)
    assert not answer.outcome()[0]
    clock.advance(0.2)
    with pytest.raises(al.CallTimeout):
        answer.get(timeout=30)
    before = al.Future.late
    gate.set("late")
    node.wait_idle()
    assert al.Future.late == before + 1
    assert b.call.count() == 0


def test_a_call_from_outside_times_out_and_its_late_answer_is_counted(node):
    a, gate = node.spawn(Caller), al.Future()
    with pytest.raises(al.CallTimeout):
        a.within(5.0).call.wait(gate)  # time enough to begin: what has not begun is taken back
    before = al.Future.late
    gate.set("late")
    node.wait_idle()
    assert al.Future.late == before + 1


def test_a_call_waits_as_long_as_the_node_says_unless_told():
    gate = al.Future()
    with al.Node(workers=0, call_timeout_s=0.25) as node:
        a = node.spawn(Caller)
        for wait in (a.call.wait, lambda gate: a.system.get_state()):
            with pytest.raises(al.CallTimeout, match=r"within 0\.25 s"):
                wait(gate)
        gate.set("open")
        assert a.within(30).call.wait(gate) == "open"


def test_a_deadline_of_an_answered_call_has_no_effect(node, clock):
    a, b = node.spawn(Caller), node.spawn(Caller)
    gate = al.Future()
    gate.set("now")
    assert a.call.wait_at(b, 1.0, gate) == "now"
    clock.advance(5)
    assert a.call.count() == 0


def test_a_call_that_waits_in_the_queue_of_one_that_dies_settles_never(node):
    a, gate = node.spawn(Caller), al.Future()
    first, second = a.request.wait(gate), a.request.count()
    gate.set_exception((ValueError, ValueError("boom"), None))
    with pytest.raises(ValueError, match="boom"):
        first.get(timeout=30)
    with pytest.raises(al.ActorDied) as died:
        second.get(timeout=30)
    assert died.value.delivery == "never"


def test_a_parked_caller_holds_up_nobody_else(node):
    a, b, gate = node.spawn(Caller), node.spawn(Caller), al.Future()
    answer = a.request.wait(gate)
    assert b.call.count() == 0
    gate.set(1)
    assert answer.get(timeout=30) == 1


def test_ten_thousand_handlers_may_wait_at_once(node):
    gate = al.Future()
    answers = [ref.request.wait(gate) for ref in node.spawn_many(Caller, 10_000)]
    gate.set("open")
    assert {answer.get(timeout=30) for answer in answers} == {"open"}


# -- event loops


@pytest.mark.parametrize("how", ["call_in_loop", "get_in_loop", "ask_in_loop"])
def test_a_blocking_wait_in_an_async_handler_is_refused_with_advice(node, how):
    a, b = node.spawn(Caller), node.spawn(Caller)
    with pytest.raises(al.BlockingCall, match="await"):
        getattr(a.call, how)(b)


def test_a_request_can_be_awaited_in_the_users_loop(node):
    ref = node.spawn(Caller)

    async def main():
        first, second = await asyncio.gather(ref.request.relay(), ref.request.count())
        return first, second

    assert asyncio.run(main()) == ("end", 1)


def test_awaiting_does_not_block_the_users_loop(node):
    ref, gate, ticks = node.spawn(Caller), al.Future(), []

    async def tick():
        for n in range(3):
            ticks.append(n)
            await asyncio.sleep(0)
        gate.set("open")

    async def main():
        answer, _ = await asyncio.gather(ref.request.wait(gate), tick())
        return answer

    assert asyncio.run(main()) == "open"
    assert ticks == [0, 1, 2]


def test_a_timeout_of_the_users_loop_leaves_the_future_usable(node):
    ref, gate = node.spawn(Caller), al.Future()

    async def main():
        answer = ref.request.wait(gate)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_wait(answer), 0.01)
        gate.set("open")
        return await answer

    assert asyncio.run(main()) == "open"


async def _wait(future):
    return await future


def test_send_waits_for_room_without_blocking_the_loop(node):
    class Full(al.Actor):
        def __init__(self):
            self.got = []

        def wait(self, gate):
            gate.get()

        def on_receive(self, message):
            self.got.append(message)

        def what(self):
            return self.got

    full = node.spawn(Full, mailbox=al.Mailbox(capacity=1))
    gate, entered = al.Future(), threading.Event()
    full.cast.wait(gate)

    async def main():
        async def release():
            entered.set()
            gate.set(None)

        await asyncio.gather(full.send(1), full.send(2), full.send(3), release())

    asyncio.run(main())
    assert full.call.what() == [1, 2, 3]


# -- answers that come before anybody waits for them


class Counter(al.Actor):
    def one(self):
        return 1


class BlockingCounter(Counter):
    blocking = True


class Asker(al.Actor):
    def by_call(self, ref, n):
        return sum(ref.call.one() for _ in range(n))

    def by_request(self, ref, n):
        return sum(future.get() for future in [ref.request.one() for _ in range(n)])

    def refused(self, ref, n):
        refusals = 0
        for _ in range(n):
            try:
                ref.call.one()
            except al.MailboxFull:
                refusals += 1
        return refusals


@pytest.mark.parametrize("how", ["by_call", "by_request"])
@pytest.mark.parametrize("kind", [Counter, BlockingCounter])
def test_an_answer_resumes_its_handler_once_however_early_it_comes(node, kind, how):
    counter, askers = node.spawn(kind), [node.spawn(Asker) for _ in range(5)]
    answers = [getattr(asker.request, how)(counter, 200) for asker in askers]
    assert [answer.get(timeout=20) for answer in answers] == [200] * 5
    assert node.spawn(Asker).call.by_call(counter, 10) == 10


def test_a_refusal_at_the_door_does_not_resume_a_handler_that_never_waited(node):
    class Held(Counter):
        def wait(self, gate, entered):
            entered.set(None)
            gate.get()

    held = node.spawn(Held, mailbox=al.Mailbox(capacity=1, overflow="reject"))
    gate, entered = al.Future(), al.Future()
    held.cast.wait(gate, entered)
    entered.get(timeout=30)
    held.tell("the one that fits")
    askers = [node.spawn(Asker) for _ in range(5)]
    assert [asker.call.refused(held, 20) for asker in askers] == [20] * 5
    gate.set(None)
    node.wait_idle()
    assert [asker.call.by_call(node.spawn(Counter), 5) for asker in askers] == [5] * 5
