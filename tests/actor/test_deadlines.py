"""Deadlines while others settle: a blocking actor's thread answers one question as another's time runs out."""

from __future__ import annotations

import threading

import pytest

import actorlab as al
from actorlab.actor.admission import Admission


class Slow(al.Actor):
    blocking = True

    def answer(self, gate):
        assert gate.wait(60)
        return "answered"


class Asker(al.Actor):
    def ask(self, slow, gate):
        return slow.within(5.0).call.answer(gate)


def test_an_answer_from_a_thread_while_another_deadline_passes_leaves_all_the_others_theirs(
    node, clock, monkeypatch, eventually
):
    """The answer takes its deadline out of the very bucket that the kernel goes through."""
    gates = [threading.Event() for _ in range(3)]
    slow = [node.spawn(Slow) for _ in gates]
    kernel = node.runtime.kernels[slow[0].home]
    cells = [kernel.cells[one.address] for one in slow]
    questions = [node.spawn(Asker).request.ask(one, gate) for one, gate in zip(slow, gates, strict=True)]
    eventually(lambda: all(cell.sink is not None and cell.sink.wheel is not None for cell in cells))
    first, second, third = (cell.sink for cell in cells)
    bucket = first.wheel
    assert second.wheel is bucket and third.wheel is bucket, "the clock stands still"
    give_up = Admission.give_up

    def give_up_as_another_is_answered(admission, sink):
        if sink is first:
            gates[1].set()
            eventually(lambda: second not in bucket)
        give_up(admission, sink)

    monkeypatch.setattr(Admission, "give_up", give_up_as_another_is_answered)
    clock.advance(6)
    gates[0].set()
    gates[2].set()
    assert questions[1].get(timeout=20) == "answered"
    for late in (questions[0], questions[2]):
        with pytest.raises(al.CallTimeout):
            late.get(timeout=20)
