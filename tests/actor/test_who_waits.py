"""Who waits for whom, when tasks and timeouts make it change: no cycle is seen where there is none, none is missed."""

from __future__ import annotations

import asyncio

import pytest

import actorlab as al

PATIENCE_S = 20.0


class Party(al.Actor):
    def here(self):
        return "here"

    def hold(self, entered, gate):
        entered.set(None)
        return gate.get(timeout=PATIENCE_S)

    def hold_then_ask(self, entered, gate, other, told=None):
        entered.set(None)
        gate.get(timeout=PATIENCE_S)
        try:
            answer = other.within(PATIENCE_S).call.here()
        except al.DeadlockDetected as error:
            answer = error
        if told is not None:
            told.set(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def leave_behind(self, answer):
        """End while a task of ours still waits."""
        self.left = asyncio.create_task(self.take(answer))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def leave_behind_late(self, gate, answer):
        """End before a task of ours begins to wait."""
        self.left = asyncio.create_task(self.take_late(gate, answer))

    async def take(self, answer):
        return await answer

    async def take_late(self, gate, answer):
        await gate
        return await answer

    async def wait(self, entered, gate):
        entered.set(None)
        return await gate

    async def take_both(self, entered, first, second):
        """Wait for two answers at once."""
        tasks = [asyncio.create_task(self.take(answer)) for answer in (first, second)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        entered.set(None)
        return [await task for task in tasks]

    def gather_both(self, entered, first, second):
        entered.set(None)
        return al.gather(first, second).get(timeout=PATIENCE_S)

    def give_up_on(self, how, other, entered, gate, told):
        asked = other.request.hold_then_ask(entered, gate, self.ref, told) if how != "call" else None
        try:
            if asked is None:
                other.within(0.05).call.hold_then_ask(entered, gate, self.ref, told)
            else:
                asked.get(timeout=0.05)
        except al.CallTimeout:
            return asked
        raise AssertionError("there was an answer")


class BlockingParty(Party):
    blocking = True


@pytest.fixture
def gates():
    made = []

    def make(number):
        made.extend(al.Future() for _ in range(number))
        return made[-number:]

    yield make
    for gate in made:
        if not gate.state:
            gate.set(None)


@pytest.fixture
def settled(node):
    """`settled()` returns when whoever has said that he is about to wait does."""
    other = node.spawn(Party)

    def settled():
        for _ in range(3):
            other.within(PATIENCE_S).call.here()

    return settled


@pytest.fixture
def actors(node):
    return [node.spawn(Party) for _ in range(4)]


def test_a_task_that_outlives_its_handler_keeps_no_other_from_calling(actors, gates):
    a, b, _, _ = actors
    entered, gate = gates(2)
    answer = b.request.hold_then_ask(entered, gate, a)
    a.within(PATIENCE_S).call.leave_behind(answer)
    entered.get(timeout=PATIENCE_S)
    gate.set(None)
    assert answer.get(timeout=PATIENCE_S) == "here"


def test_nor_does_one_that_waits_only_after_its_handler(actors, gates, settled):
    a, b, _, _ = actors
    begin, entered, gate, held, open_ = gates(5)
    answer = b.request.hold_then_ask(entered, gate, a)
    a.within(PATIENCE_S).call.leave_behind_late(begin, answer)
    busy = a.request.wait(held, open_)  # another handler is at work as it begins to wait
    held.get(timeout=PATIENCE_S)
    begin.set(None)
    settled()
    entered.get(timeout=PATIENCE_S)
    gate.set(None)
    settled()
    open_.set("done")
    assert answer.get(timeout=PATIENCE_S) == "here"
    assert busy.get(timeout=PATIENCE_S) == "done"


def test_a_task_that_outlives_its_handler_hides_no_cycle_of_the_next(actors, gates, settled):
    """It ends while the next handler waits for another."""
    a, b, c, _ = actors
    entered, gate, held, open_ = gates(4)
    left = b.request.hold(entered, gate)
    a.within(PATIENCE_S).call.leave_behind(left)
    asking = c.request.hold_then_ask(held, open_, a)
    held.get(timeout=PATIENCE_S)
    both = a.request.take_both(al.Future(), c.request.here(), c.request.here())
    settled()
    gate.set(None)
    left.get(timeout=PATIENCE_S)
    settled()
    open_.set(None)
    with pytest.raises(al.DeadlockDetected):
        asking.get(timeout=5)
    with pytest.raises(al.CallError):
        both.get(timeout=PATIENCE_S)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("how", ["take_both", "gather_both"])
def test_of_two_answers_that_are_waited_for_each_may_close_a_cycle(actors, gates, settled, how, first):
    """Both callees are at work on something else as they are asked, so no chain tells them."""
    a, b, c, _ = actors
    entered, *others = gates(7)
    asking = [
        callee.request.hold_then_ask(others[3 * n], others[3 * n + 1], a) for n, callee in enumerate((b, c))
    ]
    both = getattr(a.request, how)(entered, b.request.here(), c.request.here())
    entered.get(timeout=PATIENCE_S)
    settled()
    others[3 * first + 1].set(None)
    with pytest.raises(al.DeadlockDetected):
        asking[first].get(timeout=5)
    with pytest.raises(al.CallError):
        both.get(timeout=PATIENCE_S)


@pytest.mark.parametrize("how", ["call", "request"])
@pytest.mark.parametrize("kind", [Party, BlockingParty])
def test_who_has_given_up_waiting_may_be_called(node, gates, how, kind):
    a, b = node.spawn(kind), node.spawn(Party)
    entered, gate, asked = gates(3)
    a.within(PATIENCE_S).call.give_up_on(how, b, entered, gate, asked)
    gate.set(None)
    assert asked.get(timeout=PATIENCE_S) == "here"
