"""Nobody sleeps over a message, and nobody who waits for room in a lane is forgotten.

The processes here have next to no heartbeat, so the one thing that would find a message whose ring was lost is the
bounded sleep, of half a minute here: a call that took as long was one. Calls come at odd moments, for the danger is in
the microseconds between the last look and the sleep.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from wake_drill import LOST_S, Caller, Same, sound_sleepers, worst_call_s

import actorlab as al

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
