"""Reentrant actors: they take the next message while a handler waits, one strand at a time, and end whole."""

from __future__ import annotations

import asyncio

import pytest

import actorlab as al


class Twin(al.Actor):
    """Two of them may call each other."""

    reentrant = True
    reply_errors = (ValueError,)

    def __init__(self):
        self.running = 0
        self.inside = 0
        self.most = 0
        self.notes = []

    def wait(self, gate):
        self.inside += 1
        self.most = max(self.most, self.inside)
        value = gate.get()
        self.inside -= 1
        return value

    async def await_it(self, gate):
        self.inside += 1
        self.most = max(self.most, self.inside)
        value = await gate
        self.inside -= 1
        return value

    def at_once(self, other, depth):
        """Call back and forth, through each other."""
        return 0 if not depth else 1 + other.call.at_once(self.ref, depth - 1)

    async def await_back(self, other, depth):
        return 0 if not depth else 1 + await other.request.await_back(self.ref, depth - 1)

    def report(self):
        return self.most

    def note(self, what):
        self.notes.append(what)
        return list(self.notes)

    def bad(self, gate=None):
        if gate is not None:
            gate.get()
        raise ValueError("bad")

    def crash(self):
        raise RuntimeError("crash")

    def end(self):
        self.stop()

    def numbers(self, gates):
        for n, gate in enumerate(gates):
            gate.get()
            yield n

    async def anumbers(self, gates):
        for n, gate in enumerate(gates):
            await gate
            yield n

    def go_on(self, what):
        self.continue_with(what)

    def handle_continue(self, what):
        self.notes.append(what)


class Plain(al.Actor):
    """Not reentrant, so that a cycle through it alone is refused."""

    def call_through(self, twin, depth):
        return twin.call.at_once(self.ref, depth)

    def at_once(self, other, depth):
        return 0 if not depth else 1 + other.call.at_once(self.ref, depth - 1)


@pytest.fixture
def twin(node):
    return node.spawn(Twin)


def gates(number):
    return [al.Future() for _ in range(number)]


@pytest.mark.parametrize("how", ["wait", "await_it"])
def test_others_are_handled_while_handlers_wait_and_end_in_any_order(twin, how):
    opened = gates(3)
    answers = [getattr(twin.request, how)(gate) for gate in opened]
    assert twin.call.report() == 3
    for n in (2, 0, 1):
        opened[n].set(n)
        assert answers[n].get(timeout=30) == n


@pytest.mark.parametrize("how", ["at_once", "await_back"])
def test_they_may_call_each_other_while_they_wait_for_each_other(node, twin, how):
    other = node.spawn(Twin)
    assert getattr(twin.call, how)(other, 20) == 20


def test_a_cycle_through_one_that_is_not_reentrant_is_still_refused(node, twin):
    plain = node.spawn(Plain)
    assert plain.call.call_through(twin, 0) == 0
    with pytest.raises(al.DeadlockDetected):
        plain.call.call_through(twin, 1)


def test_what_a_sender_sent_begins_in_order(twin, settled):
    for n in range(200):
        twin.cast.note(n)
    assert twin.call.note("end") == [*range(200), "end"]


def test_a_callers_error_is_his_and_the_others_go_on(twin):
    gate, other = gates(2)
    bad, good = twin.request.bad(gate), twin.request.wait(other)
    gate.set(None)
    with pytest.raises(ValueError, match="bad"):
        bad.get(timeout=30)
    other.set("good")
    assert good.get(timeout=30) == "good"


@pytest.mark.parametrize("how", ["wait", "await_it"])
def test_a_crash_ends_the_handlers_that_wait_and_tells_their_callers(node, twin, how, settled):
    waiting = [getattr(twin.request, how)(gate) for gate in gates(3)]
    assert twin.call.report() == 3
    with pytest.raises(RuntimeError, match="crash"):
        twin.call.crash()
    for answer in waiting:
        with pytest.raises(al.ActorDied) as died:
            answer.get(timeout=30)
        assert died.value.delivery == "unknown"
    assert node.dead_letters.counts["crashed_in_flight"] == 3


@pytest.mark.parametrize("how", ["wait", "await_it"])
def test_a_kill_does_too(node, twin, how):
    gate = al.Future()
    answer = getattr(twin.request, how)(gate)
    assert twin.call.report() == 1
    twin.exit("kill")
    with pytest.raises(al.ActorDied):
        answer.get(timeout=30)
    assert not twin.is_alive()


@pytest.mark.parametrize("how", ["wait", "await_it"])
def test_a_stop_waits_for_the_messages_before_it(twin, how):
    gate = al.Future()
    answer = getattr(twin.request, how)(gate)
    stopped = twin.stop(block=False)
    assert not stopped.state
    gate.set("done")
    assert answer.get(timeout=30) == "done"
    assert stopped.get(timeout=30)


def test_a_restarted_one_goes_on_with_its_queue(node):
    node.start(al.Supervisor(children=[al.child(Twin, name="twin")]))
    twin = node.whereis("twin")
    twin.cast.crash()
    assert twin.call.note("after") == ["after"]
    assert twin.incarnation == 1


def test_the_books_balance_over_all_of_it(twin, settled, eventually):
    opened = gates(5)
    answers = [twin.request.wait(gate) for gate in opened]
    twin.call.report()
    eventually(lambda: twin.statistics().depth == 5)  # what is under way is written off as waiting, if its worker dies
    for gate in opened:
        gate.set(None)
    al.gather(*answers).get(timeout=30)
    with pytest.raises(ValueError, match="bad"):
        twin.call.bad()
    settled()
    books = twin.statistics()
    assert (books.handled, books.failed, books.depth, books.accepted) == (6, 1, 0, 7)


def test_it_has_no_more_handlers_under_way_than_its_mailbox_holds(node):
    twin = node.spawn(Twin, mailbox=al.Mailbox(capacity=2))
    opened = gates(4)

    async def main():
        answers = [asyncio.ensure_future(_ask(twin, gate)) for gate in opened]
        for gate in opened:
            gate.set("open")
        return await asyncio.gather(*answers)

    async def _ask(twin, gate):
        return await twin.request.wait(gate)

    assert asyncio.run(main()) == ["open"] * 4
    assert twin.call.report() <= 2


@pytest.mark.parametrize("how", ["numbers", "anumbers"])
def test_two_batches_of_one_stream_do_not_meet(twin, how):
    opened = gates(50)
    stream = getattr(twin.stream, how)(opened)
    for gate in opened:
        gate.set(None)
    assert list(stream) == list(range(50))


def test_a_step_between_messages_has_no_new_ones_beside_it(twin):
    twin.cast.go_on("step")
    assert twin.call.note("message") == ["step", "message"]


@pytest.mark.parametrize("other", ["blocking", "redeliver"])
def test_what_does_not_go_together_is_refused_where_the_class_is_made(other):
    with pytest.raises(TypeError, match=f"both reentrant and {other}"):
        type("Wrong", (al.Actor,), {"reentrant": True, other: 1})
