"""Nobody sleeps over a message, and nobody who waits for room in a lane is forgotten.

The processes here have next to no heartbeat, so the one thing that would find a message whose ring was lost is the
bounded sleep, of half a minute here: a call that took as long was one. Calls come at odd moments, for the danger is in
the microseconds between the last look and the sleep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wake_drill import LOST_S, Caller, Same, sound_sleepers, worst_call_s

import actorlab as al
from actorlab.node.draining import MOST_AT_ONCE
from actorlab.transport import WANT, loads

pytestmark = pytest.mark.process

SECONDS = 1.5


@pytest.fixture(scope="module")
def node() -> Iterator[al.Node]:
    with sound_sleepers() as node:
        yield node


def test_no_wake_up_is_lost_between_workers(node: al.Node) -> None:
    callers = [node.spawn(Caller, placement=1), node.spawn(Caller, placement=2)]
    others = [node.spawn(Same, placement=2), node.spawn(Same, placement=1)]
    answers = [
        caller.request.call_for(other, SECONDS, seed)
        for seed, (caller, other) in enumerate(zip(callers, others, strict=True))
    ]
    for answer in answers:
        calls, worst_s = answer.get(timeout=90)
        assert calls > 100
        assert worst_s < LOST_S


def test_no_wake_up_is_lost_between_a_users_thread_and_a_worker(node: al.Node) -> None:
    ref = node.spawn(Same, placement=1)
    calls, worst_s = worst_call_s(ref, SECONDS, seed=3)
    assert calls > 100
    assert worst_s < LOST_S


def test_no_wake_up_is_lost_when_several_threads_of_the_users_wait(node: al.Node) -> None:
    refs = [node.spawn(Same, placement=worker) for worker in (1, 2, 1)]
    worst: list[float] = []
    threads = [
        threading.Thread(target=lambda n=n, ref=ref: worst.append(worst_call_s(ref, SECONDS, n)[1]))
        for n, ref in enumerate(refs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worst) == 3
    assert max(worst) < LOST_S


def test_what_a_helping_thread_leaves_in_a_lane_is_the_sleeping_kernels_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More answers than are drained at once come while a user's thread helps, and the first is all it waits for."""
    with sound_sleepers(lane_blocks=4096) as node:
        ref = node.spawn(Same, placement=1)
        ref.call.same(0)
        inlet: Any = node.runtime.inlet
        lane, answers, all_settled = inlet.readers[1], [], threading.Event()
        look = inlet.look

        def look_when_all_are_there(also: Any) -> bool:
            if not answers:
                before = lane.statistics().sent
                answers.extend(ref.request.same(i) for i in range(3 * MOST_AT_ONCE))
                answers[-1].on_settled(all_settled.set)
                while lane.statistics().sent < before + len(answers):
                    time.sleep(0.001)
            found: bool = look(also)
            return found

        class First:
            @property
            def state(self) -> int:
                return answers[0].state if answers else 0

        while not inlet.help._resting:
            time.sleep(0.001)
        monkeypatch.setattr(inlet, "look", look_when_all_are_there)
        assert inlet.help.wait(First(), None)
        monkeypatch.undo()
        assert all_settled.wait(20)


def test_an_interrupt_of_a_helping_thread_costs_nobody_elses_answer(
    node: al.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a loop of calls, in a notebook say, comes when answers for other threads were drained with its own."""
    ref = node.spawn(Same, placement=1)
    ref.call.same(0)
    inlet: Any = node.runtime.inlet
    answers = []
    look, me, interrupts = inlet.look, threading.get_ident(), []

    def look_when_all_are_there(also: Any) -> bool:
        if not answers and threading.get_ident() == me:  # the kernel looks, too
            before = inlet.readers[1].statistics().sent
            answers.extend(ref.request.same(i) for i in range(20))
            while inlet.readers[1].statistics().sent < before + len(answers):
                time.sleep(0.001)
        found: bool = look(also)
        return found

    def interrupted(data: bytes) -> Any:
        if threading.get_ident() == me and not interrupts:
            interrupts.append(1)
            raise KeyboardInterrupt
        return loads(data)

    monkeypatch.setattr(inlet, "look", look_when_all_are_there)
    monkeypatch.setattr("actorlab.node.draining.loads", interrupted)
    while not interrupts:
        while not inlet.help._resting:
            time.sleep(0.001)
        answers.clear()
        try:
            inlet.help.wait(al.Future(), None)
        except KeyboardInterrupt:
            assert interrupts
    monkeypatch.undo()
    assert [answer.get(timeout=20) for answer in answers] == list(range(20))


def fall_asleep(node: al.Node, meanwhile: Callable[[], object]) -> bool:
    """Have the controller's kernel go to sleep, with `meanwhile()` just before it says so; return whether it would."""
    inlet: Any = node.runtime.inlet
    outcome: al.Future[bool] = al.Future()

    def sleep() -> None:
        say_asleep = inlet._sleep

        def say_asleep_late() -> bool:
            inlet._sleep = say_asleep
            meanwhile()
            asleep: bool = say_asleep()
            return asleep

        inlet._sleep = say_asleep_late
        try:
            outcome.set(inlet.sleep())
        except Exception as error:
            outcome.set_exception((type(error), error, None))
        inlet.woke()

    node.runtime.kernels[0].post(sleep)
    return outcome.get(timeout=20)


def test_a_kernel_that_falls_asleep_sees_what_a_helping_thread_has_just_left(node: al.Node) -> None:
    left: set[int] = node.runtime.inlet.unfinished  # type: ignore[union-attr]
    node.spawn(Same, placement=1).call.same(1)
    assert not fall_asleep(node, lambda: left.add(1))


def test_a_kernel_that_falls_asleep_may_meet_a_lane_that_a_helping_thread_opens(node: al.Node) -> None:
    node.spawn(Same, placement=1).call.same(1)
    inlet: Any = node.runtime.inlet

    class Opening:
        """The lane that is looked at when another thread opens a further one."""

        @property
        def buf(self) -> bytes:
            inlet.readers[251] = inlet.readers[1]
            return bytes(WANT + 1)

    def meanwhile() -> None:
        inlet.freed = True
        inlet.readers[250] = Opening()

    try:
        while not fall_asleep(node, meanwhile):
            pass  # there was news
    finally:
        del inlet.readers[250], inlet.readers[251]


def test_a_sender_parked_at_a_full_lane_is_rung(node: al.Node) -> None:
    sender, ref = node.spawn(Caller, placement=1), node.spawn(Same, placement=2)
    n = 20_000  # through a lane of 64 messages
    by_chance = sender.within(60).call.flood(ref, n)
    assert ref.within(60).call.all_seen() == list(range(n))
    assert by_chance == 0


def test_a_users_thread_at_a_full_lane_is_rung(node: al.Node) -> None:
    ref = node.spawn(Same, placement=2)
    n = 5_000
    before = node.runtime.sending.rescues
    for i in range(n):
        ref.tell(i)
    by_chance = node.runtime.sending.rescues - before
    assert ref.within(60).call.all_seen() == list(range(n))
    assert by_chance == 0
