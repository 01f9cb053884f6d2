"""VirtualClock: the time of the actors in this process, in the test's hand.

Edge (moves a kernel's clock). Timers, deadlines, restart windows and back-off of the actors here go by it: those of an
embedded node, those with `placement="local"`, and supervisors. Workers have their own time, and it is the real one; so
have `time.sleep` and whatever asyncio waits for.
"""

from __future__ import annotations

from typing import Any, Self

from ..actor import TICK_S, Actor, Future, Kernel
from ..ids import CONTROLLER_HOME, LOCAL_HOME
from ..node import Node


class VirtualClock:
    """The time of `node`'s actors in this process. It stands still until it is moved; `with` gives the real time back.

    Nothing is due by itself: `advance(5)` fires what is due within five seconds, in its order, and returns when it has
    been delivered (not: handled; for that there is `node.wait_idle()`).
    """

    def __init__(self, node: Node) -> None:
        if LOCAL_HOME not in node.runtime.kernels:
            node.spawn(_Nobody, placement="local").stop()  # the kernel of this process starts with its first actor
        self._kernels: list[Kernel] = [
            node.runtime.kernels[home] for home in (CONTROLLER_HOME, LOCAL_HOME) if home in node.runtime.kernels
        ]
        self._real: Any = self._kernels[0].timers.now
        self._now: float = self._real()
        self.began = self._now
        for kernel in self._kernels:
            kernel.timers.now = kernel.deadlines.now = self.now

    def now(self) -> float:
        """Return the time, in seconds of no particular origin."""
        return self._now

    @property
    def elapsed_s(self) -> float:
        """How far it has been moved."""
        return self._now - self.began

    def advance(self, seconds: float) -> None:
        """Move on. What is due comes in the order of its time, and before anything that is sent after this returns."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: {seconds:g} s")
        end = self._now + seconds
        while True:
            due = [at for kernel in self._kernels for at in self._have_a_turn(kernel)]
            if self._now >= end:
                return
            self._now = min(max(self._now, min(due, default=end)), end)

    def jump(self, seconds: float) -> None:
        """Move on in one step, as if all had been held up so long: an interval that came due often comes once."""
        self._now += seconds
        for kernel in self._kernels:
            self._have_a_turn(kernel)

    def _have_a_turn(self, kernel: Kernel) -> list[float]:
        """Have a kernel fire what is due by now; return when more will be."""
        timers, deadlines = kernel.timers, kernel.deadlines
        turn: Future[list[float]] = Future("a turn of the kernel")

        def look() -> None:
            for timer in timers.due():
                kernel.lifecycle.fire(timer)
            real, deadlines.now = deadlines.now, lambda: self._now + TICK_S  # those are late by up to a tick
            try:
                deadlines.expire()
            finally:
                deadlines.now = real
            turn.reply([at for at in (timers.next_at(), deadlines.next_at()) if at is not None])

        kernel.post(look)
        return turn.get(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Let the actors have the real time again."""
        for kernel in self._kernels:
            kernel.timers.now = kernel.deadlines.now = self._real
            kernel.hub.wake()


class _Nobody(Actor):
    pass
