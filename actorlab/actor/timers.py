"""Timers and deadlines: what happens later, swept by the hub, never a loop timer a call.

Pure but for the clock handed in; used by the kernel. `Timers` keeps the order of a heap, for what actors ask to be
sent later. `Deadlines` keeps buckets of TICK_S, because hundreds of thousands of calls arm a deadline and nearly none
reaches it: adding and taking back are one dict operation each, and expiry is late by at most a tick.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

TICK_S = 0.005


class Timer:
    """One message to come: `send_after` and `send_interval` return it, `cancel` takes it."""

    __slots__ = ("at", "cell", "interval_s", "live", "message")

    def __init__(self, at: float, cell: Any, message: Any, interval_s: float | None) -> None:
        self.at = at
        self.cell = cell
        self.message = message
        self.interval_s = interval_s
        self.live = True

    def __reduce__(self) -> Any:
        raise TypeError("a timer is its actor's: it does not travel")


class Chore:
    """A timer's message that is no message: something the kernel does for its actor."""

    __slots__ = ()

    def fire(self, cell: Any) -> None:
        """The timer is due. In the kernel's thread."""
        raise NotImplementedError


class Timers:
    """Messages to come, in order of time; equal times in the order they were set."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._heap: list[tuple[float, int, Timer]] = []
        self._turn = count()

    def add(self, delay_s: float, cell: Any, message: Any, interval_s: float | None = None) -> Timer:
        """Plan `message` for `cell` in `delay_s` seconds (and every `interval_s` after)."""
        if not delay_s >= 0 or not (interval_s is None or interval_s > 0):
            raise ValueError(f"a timer's delay is at least 0 s and its interval more, not {delay_s!r}, {interval_s!r}")
        timer = Timer(self.now() + delay_s, cell, message, interval_s)
        heapq.heappush(self._heap, (timer.at, next(self._turn), timer))
        return timer

    def due(self) -> list[Timer]:
        """Take the timers whose time has come; intervals are planned anew from the time they were due."""
        heap = self._heap
        if not heap:
            return []
        now = self.now()
        taken = []
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if not timer.live:
                continue
            taken.append(timer)
            if timer.interval_s is not None:
                # a kernel that was late by several turns sends once and goes on in step
                timer.at += timer.interval_s * (int((now - timer.at) / timer.interval_s) + 1)
                heapq.heappush(heap, (timer.at, next(self._turn), timer))
            else:
                timer.live = False
        return taken

    def next_at(self) -> float | None:
        """Return when the next timer is due, or None."""
        heap = self._heap
        while heap and not heap[0][2].live:
            heapq.heappop(heap)
        return heap[0][0] if heap else None


class Expires(Protocol):
    """Something with a deadline; `wheel` is the bucket it lies in."""

    wheel: Any

    def expire(self) -> None: ...


class Deadlines:
    """Deadlines in buckets. Whoever is settled in time takes itself out with `wheel.pop(self, None)`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._buckets: dict[int, dict[Expires, None]] = {}
        self._order: list[int] = []

    def add(self, waiter: Expires, timeout_s: float) -> None:
        """Have `waiter.expire()` called in `timeout_s` seconds, up to a tick later."""
        self.add_at(waiter, self.now() + timeout_s)

    def add_at(self, waiter: Expires, at: float) -> None:
        """The same with a time of this clock."""
        tick = int(at / TICK_S) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heapq.heappush(self._order, tick)
        bucket[waiter] = None
        waiter.wheel = bucket

    def expire(self) -> None:
        """Expire what is due. Others may settle meanwhile, from any thread: they leave the bucket we go through."""
        order = self._order
        if not order:
            return
        tick = int(self.now() / TICK_S)
        while order and order[0] <= tick:
            bucket = self._buckets.pop(heapq.heappop(order))
            for waiter in tuple(bucket):
                if waiter in bucket:
                    waiter.wheel = None
                    waiter.expire()

    def next_at(self) -> float | None:
        """Return when the next bucket that still holds somebody is due, or None."""
        order = self._order
        while order and not self._buckets[order[0]]:
            del self._buckets[heapq.heappop(order)]
        return order[0] * TICK_S if order else None
