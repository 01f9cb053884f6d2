"""Recycling: how long a worker of 10,000 actors is away when it is handed over to a fresh process, under load.

Edge (processes). Two actors of the other worker send numbered messages to actors of the first all the while; each of
these checks that it gets every number in order, or the row fails. Beside us: the same worker killed and its actors
started again, which loses what they knew.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import actorlab as al

from .sample import Row, Sample

ACTORS = 10_000
LISTENERS = 500


class Listener(al.Actor):
    """Hears numbers, by sender, and counts those out of order."""

    def __init__(self) -> None:
        self.next: dict[int, int] = {}
        self.wrong = 0

    def hear(self, sender: int, number: int) -> None:
        self.wrong += number != self.next.get(sender, 0)
        self.next[sender] = number + 1

    def heard(self) -> tuple[int, dict[int, int]]:
        return self.wrong, self.next


class Talker(al.Actor):
    """Sends numbers until told to stop, each to the next listener in turn."""

    def __init__(self, number: int, listeners: list[al.ActorRef[Listener]]) -> None:
        self.number = number
        self.listeners = listeners
        self.rounds = 0
        self.goes_on = True

    def on_start(self) -> None:
        self.ref.cast.talk()

    def talk(self) -> None:
        if self.goes_on:
            for listener in self.listeners:
                listener.cast.hear(self.number, self.rounds)
            self.rounds += 1
            self.ref.cast.talk()

    def stop_talking(self) -> int:
        self.goes_on = False
        return self.rounds


def recycled() -> Sample:
    """Recycle the worker while it is spoken to; in ms, until the fresh process is ready."""
    return _moved(lambda node: node.recycle_worker(1))


def drained() -> Sample:
    """Drain the worker into the other one's process while it is spoken to; in ms, until all its actors go on there."""
    return _moved(lambda node: node.drain_worker(1))


def _moved(move: Callable[[al.Node], object]) -> Sample:
    with al.Node(workers=2, spares=1) as node:
        refs = node.spawn_many(Listener, ACTORS, placement=1)
        listeners = refs[:LISTENERS]
        talkers = [node.spawn(Talker, number, listeners, placement=2) for number in range(2)]
        time.sleep(0.3)
        started = time.perf_counter()
        move(node)
        took_s = time.perf_counter() - started
        time.sleep(0.1)
        rounds = [talker.within(30).call.stop_talking() for talker in talkers]
        node.wait_idle(30)
        for listener in listeners:
            wrong, following = listener.within(30).call.heard()
            if wrong or [following.get(number, 0) for number in range(2)] != rounds:
                raise AssertionError(f"{wrong} out of order; {following}, sent {rounds}")
    return Sample(took_s * 1e3, ACTORS)


def killed() -> Sample:
    """Kill the worker instead, and start as many actors again."""
    with al.Node(workers=2, spares=1) as node:
        node.spawn_many(Listener, ACTORS, placement=1)
        started = time.perf_counter()
        node.kill_worker(1)
        node.wait_idle(30)
        node.spawn_many(Listener, ACTORS, placement=1)
        return Sample((time.perf_counter() - started) * 1e3, ACTORS)


ROWS = [
    Row("recycle.drain_10k_under_load", "ms", drained, 1000.0, peers=(("killed, started again", killed),)),
    Row("recycle.10k_under_load", "ms", recycled, 1000.0, peers=(("killed, started again", killed),)),
]
