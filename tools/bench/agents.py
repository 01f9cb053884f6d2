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

    def take(self, item: Any) -> None:
        """Do nothing with it."""

    def ended(self) -> int:
        """Return when the last message was handled; 0 if some are missing."""
        return self.ended_ns


class Fountain(al.Actor):
    """Yields numbers."""

    def flow(self, n: int) -> Any:
        yield from range(n)

    async def aflow(self, n: int) -> Any:
        for i in range(n):
            yield i


class Listener(al.Actor):
    """Reads what a fountain yields; returns the nanoseconds it took."""

    def read(self, fountain: Any, n: int) -> int:
        started = time.perf_counter_ns()
        last = -1
        for item in fountain.stream.flow(n):
            last = item
        assert last == n - 1, "the stream is not whole"
        return time.perf_counter_ns() - started

    async def aread(self, fountain: Any, n: int) -> int:
        started = time.perf_counter_ns()
        last = -1
        async for item in fountain.stream.aflow(n):
            last = item
        assert last == n - 1, "the stream is not whole"
        return time.perf_counter_ns() - started


class Pourer(al.Actor):
    """Casts through a router and without one, in turn, and times both."""

    def compare(self, group: str, by: Any, casts: int, rounds: int) -> list[tuple[int, int]]:
        """Return, for each round, the nanoseconds of `casts` routed and as many plain casts."""
        members = self.node.group(group)
        router: al.Router[Any] = al.Router(members, by)
        refs = members.members()
        times = []
        for _ in range(rounds):
            times.append((self.routed(router, by, casts), self.plain(refs, casts)))
            for ref in refs:
                ref.call.ended()
        return times

    def routed(self, router: Any, by: str, casts: int) -> int:
        keyed, cast, at = by == "consistent_hash", router.cast, router.at
        started = time.perf_counter_ns()
        if keyed:
            for n in range(casts):
                at(n).cast.take(n)
        else:
            for n in range(casts):
                cast.take(n)
        return time.perf_counter_ns() - started

    def plain(self, refs: list[Any], casts: int) -> int:
        """Cast to the same actors in turn: the loop is as long."""
        started = time.perf_counter_ns()
        number = len(refs)
        for n in range(casts):
            refs[n % number].cast.take(n)
        return time.perf_counter_ns() - started


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


class Taker(al.Actor):
    """Takes arrays, and reads each of them whole if told to."""

    def __init__(self, reads: bool) -> None:
        self.reads, self.bytes, self.sum = reads, 0, 0.0

    def take(self, array: Any) -> int:
        """Take one; return its first bytes' worth."""
        self.bytes += array.nbytes
        if self.reads:
            self.sum += float(array.sum())
        return int(array[0])

    def echo(self, array: Any) -> Any:
        """Send it back."""
        return array

    def taken(self) -> tuple[int, int]:
        """Return how many bytes came, and when the last was handled (ns): comes after what the same sender sent."""
        return self.bytes, time.perf_counter_ns()


class Feeder(al.Actor):
    """Sends arrays from within its worker."""

    def feed(self, taker: Any, size: int, n: int) -> int:
        """Tell an array of `size` bytes `n` times; return the nanoseconds until the last was handled."""
        import numpy

        array = numpy.ones(size // 8)
        for _ in range(20):
            taker.cast.take(array)
        before, _ = taker.call.taken()
        started = time.perf_counter_ns()
        take = taker.cast.take
        for _ in range(n):
            take(array)
        after, ended = taker.call.taken()
        assert after - before == array.nbytes * n, "the taker has not seen every array"
        return int(ended - started)

    def ask(self, taker: Any, method: str, size: int, n: int) -> list[int]:
        """Time `n` calls with an array of `size` bytes, one after the other."""
        import numpy

        array = numpy.ones(size // 8)
        call = getattr(taker.call, method)
        return time_each(lambda i: call(array), n, warm_up=20)
