"""Several futures waited for as one: in order, under one deadline, given up together."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

import actorlab as al


class Worker(al.Actor):
    def __init__(self, other=None):
        self.other = other

    def wait(self, gate):
        return gate.get()

    def echo(self, value):
        return value

    def boom(self):
        raise ValueError("boom")

    def gather_here(self, refs):
        return al.gather(*(ref.request.echo(n) for n, ref in enumerate(refs))).get(timeout=30)

    async def gather_in_task(self, refs):
        return await al.gather(*(ref.request.echo(n) for n, ref in enumerate(refs)))

    def ask_both_and_be_asked(self, ref):
        return al.gather(ref.request.call_back(self.ref), ref.request.echo(1)).get(timeout=30)

    def call_back(self, ref):
        return ref.call.echo(0)


@pytest.fixture
def refs(node):
    return [node.spawn(Worker) for _ in range(3)]


def gates(number):
    return [al.Future() for _ in range(number)]


def test_outcomes_come_in_the_order_of_the_futures_not_of_the_answers():
    a, b, c = gates(3)
    together = al.gather(a, b, c)
    c.set(3)
    a.set(1)
    assert not together.state
    b.set(2)
    assert together.get(timeout=30) == [1, 2, 3]


def test_no_futures_at_all_have_an_outcome_at_once():
    assert al.gather().get(timeout=0) == []


def test_all_of_them_have_one_deadline_together(refs):
    gate = al.Future()
    together = al.gather(*(ref.request.wait(gate) for ref in refs))
    with pytest.raises(al.CallTimeout):
        together.get(timeout=0.02)
    gate.set("open")
    assert together.get(timeout=30) == ["open"] * 3  # the answers may still be asked for


def test_the_first_error_is_the_outcome_unless_errors_are_kept(node):
    gate = al.Future()
    waiting, failing = node.spawn(Worker).request.wait(gate), node.spawn(Worker).request.boom()
    with pytest.raises(ValueError, match="boom"):
        al.gather(waiting, failing).get(timeout=30)
    kept = al.gather(waiting, failing, keep_errors=True)
    gate.set("open")
    value, error = kept.get(timeout=30)
    assert value == "open"
    assert isinstance(error, ValueError)


def test_handlers_gather_parked_or_as_tasks(refs):
    asker, *others = refs
    assert asker.call.gather_here(others) == [0, 1]
    assert asker.call.gather_in_task(others) == [0, 1]


def test_the_users_loop_gathers_without_being_blocked(refs):
    async def main():
        async with asyncio.timeout(30):
            return await al.gather(*(ref.request.echo(n) for n, ref in enumerate(refs)))

    assert asyncio.run(main()) == [0, 1, 2]


def test_who_gathers_answers_that_wait_for_him_is_refused(node):
    a, b = node.spawn(Worker), node.spawn(Worker)
    with pytest.raises(al.DeadlockDetected):
        a.call.ask_both_and_be_asked(b)


def test_who_has_gathered_waits_for_nobody_any_more(node, eventually):
    a, b = node.spawn(Worker), node.spawn(Worker)
    cell = node.runtime.kernels[a.home].cells[a.address]
    assert a.call.gather_here([b]) == [0]
    gate = al.Future()
    busy = a.request.wait(gate)
    eventually(lambda: cell.extra.greenlet is not None)
    asked = b.request.call_back(a)
    eventually(lambda: asked.state or len(cell.mailbox) == 1)
    gate.set("done")
    assert (busy.get(timeout=30), asked.get(timeout=30)) == ("done", 0)


def test_a_future_that_outlives_a_selection_or_an_error_keeps_nothing_of_it():
    long, done, failed = gates(3)
    together = [al.select(long, done), al.gather(long, failed), al.gather(failed, long)]
    done.set(1)
    failed.set_exception((ValueError, ValueError("boom"), None))
    together += [al.select(done, long), al.gather(failed, long)]
    assert all(one.state for one in together)
    kept = list(map(weakref.ref, together))
    together.clear()
    gc.collect()
    assert [one() for one in kept if one() is not None] == []
    assert not long.state


def test_the_first_future_to_have_an_outcome_is_selected(refs):
    gate = al.Future()
    slow, quick = refs[0].request.wait(gate), refs[1].request.echo("quick")
    assert al.select(slow, quick).get(timeout=30) is quick
    gate.set(None)


def test_an_error_is_selected_like_any_outcome(node):
    slow, failing = al.Future(), node.spawn(Worker).request.boom()
    first = al.select(slow, failing).get(timeout=30)
    assert first is failing
    with pytest.raises(ValueError, match="boom"):
        first.get()


def test_of_several_that_have_an_outcome_the_first_is_selected():
    a, b = gates(2)
    b.set(2)
    a.set(1)
    assert al.select(a, b).get(timeout=0) is a


def test_giving_up_gives_up_on_all_that_are_open():
    a, b, c = gates(3)
    c.set(3)
    together = al.gather(a, b, c)
    assert together.cancel()
    for future in (a, b, together):
        with pytest.raises(al.CallCancelled):
            future.get(timeout=0)
    assert c.get(timeout=0) == 3


def test_after_a_selection_the_others_can_be_taken_back():
    a, b = gates(2)
    selected = al.select(a, b)
    a.set(1)
    assert selected.get(timeout=30) is a
    selected.cancel()
    with pytest.raises(al.CallCancelled):
        b.get(timeout=0)


def test_many_threads_may_settle_what_is_gathered():
    sources = gates(64)
    together = al.gather(*sources)
    threads = [threading.Thread(target=future.set, args=(n,)) for n, future in enumerate(sources)]
    for thread in threads:
        thread.start()
    assert together.get(timeout=30) == list(range(64))
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: al.select(), ValueError, "at least"),
        (lambda: al.gather([al.Future()]), TypeError, r"write gather\(\*…\)"),
        (lambda: al.gather(al.Future(), 3), TypeError, "argument 1 .* int"),
        (lambda: al.select(al.Future().map(str)), TypeError, "computed when asked for"),
    ],
)
def test_what_cannot_be_gathered_is_refused_with_its_place(wrong, error, says):
    with pytest.raises(error, match=says):
        wrong()
