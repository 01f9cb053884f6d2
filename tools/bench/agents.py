"""The actors that the benchmarks run; workers import them from here.

Actors. A `Driver` measures from inside a worker, with that worker's clock; CLOCK_MONOTONIC is one for all processes.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import actorlab as al

from .sample import time_each


class Idle(al.Actor):
    """Holds one number and waits."""

    def __init__(self, n: int = 0) -> None:
        self.n = n

    def echo(self, value: Any) -> Any:
        return value


class Echo(Idle):
    """Answers, and says in which process."""

    def pid(self) -> int:
        return os.getpid()


class Sink(al.Actor):
    """Counts what it is told and notes when the last came."""

    def __init__(self, goal: int) -> None:
        self.goal = goal
        self.seen = 0
        self.ended_ns = 0

    def on_receive(self, message: Any) -> None:
        self.seen += 1
        if self.seen == self.goal:
            self.ended_ns = time.perf_counter_ns()

    def ended(self) -> int:
        """Return when the last message was handled; 0 if some are missing."""
        return self.ended_ns


class Driver(al.Actor):
    """Sends and calls from within its worker."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.left = 0

    def flood(self, sink: Any, n: int) -> int:
        """Tell `sink` `n` times; return the nanoseconds until it has handled the last."""
        started = time.perf_counter_ns()
        tell = sink.tell
        for i in range(n):
            tell(i)
        ended: int = sink.call.ended()  # comes after the tells: one sender, one receiver, in order
        assert ended, "the sink has not seen every message"
        return ended - started

    def ask(self, echo: Any, n: int) -> list[int]:
        """Time `n` calls, one after the other."""
        return time_each(lambda i: echo.call.echo(i), n, warm_up=500)

    def ask_now_and_then(self, echo: Any, n: int, gap_s: float) -> None:
        """Time `n` calls with `gap_s` between them, by a timer: meanwhile both workers fall asleep."""
        self.echo, self.left, self.gap_s = echo, n, gap_s
        self.send_after(gap_s, "next")

    def on_receive(self, message: Any) -> None:
        started = time.perf_counter_ns()
        self.echo.call.echo(self.left)
        self.times_ns.append(time.perf_counter_ns() - started)
        self.left -= 1
        if self.left:
            self.send_after(self.gap_s, "next")

    def taken(self) -> list[int]:
        """Return the times taken so far."""
        return self.times_ns

    def look_up(self, name: str, n: int) -> list[int]:
        """Time `n` look-ups of a name from this worker."""
        whereis = self.node.whereis
        return time_each(lambda _: whereis(name), n, warm_up=100)

    def spawn_children(self, supervisor: Any, n: int, batch: int) -> int:
        """Have `supervisor` start `n` children beside us, `batch` at a time; return the nanoseconds it took."""
        spec = al.child(Idle, restart="temporary", placement=al.beside(self.ref))
        start_children = supervisor.within(60.0).call.start_children
        started = time.perf_counter_ns()
        for _ in range(n // batch):
            start_children([spec] * batch)
        return time.perf_counter_ns() - started

    def kill_and_ask(self, victim: int, refs: list[Any]) -> float:
        """SIGKILL process `victim` and ask `refs`, which it hosts, until each has answered; return the seconds."""
        started = time.perf_counter()
        os.kill(victim, signal.SIGKILL)
        waiting = refs
        while waiting:
            asked = [(ref, ref.request.pid()) for ref in waiting]
            waiting = [ref for ref, answer in asked if not self.answered(answer, victim)]
            assert time.perf_counter() - started < 30, f"{len(waiting)} actors do not answer"
        return time.perf_counter() - started

    def answered(self, answer: Any, victim: int) -> bool:
        try:
            return bool(answer.get(timeout=5.0) != victim)
        except al.CallError:
            return False  # it fell into the gap: ask again
