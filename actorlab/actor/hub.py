"""Hub: the loop of a kernel's thread; asyncio's selector on one side, run queue, lanes and timers on the other.

Edge (system calls that wait, a thread). The scheduler *is* the selector of its asyncio loop: when asyncio asks "what
is ready?", the hub runs actors until nothing is, and only then sleeps. So a message costs no trip through asyncio,
async handlers are ordinary tasks of an ordinary loop, and one system call waits for both. Actors run inside `select`;
whatever they hand to the loop (tasks, timers) makes `select` return.

Sleeping: poll briefly while traffic is recent or an answer is due, offering the core now and then; then say
"asleep", look once more, and sleep in the selector. An idle kernel costs no CPU.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .selector import Waker, make_selector

if TYPE_CHECKING:
    from .scheduler import Kernel

log = logging.getLogger("actorlab")

LOOP_NS = 2_000_000
RECENT_NS = 500_000
POLL_NS = 60_000
ANSWER_NS = 150_000  # what a sleeping process takes to answer: then our own wake-up is saved
SWEEP_NS = 250_000
LONGEST_SLEEP_S = 1.0


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's loop, telling the hub when it has been given something to do."""

    wanted = True

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        self.wanted = True
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self.wanted = True
        return super().call_at(when, callback, *args, context=context)


class Hub:
    """The loop of one kernel's thread."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._selector = make_selector(self.turn)
        self.loop: _Loop = _Loop(self._selector)
        self._waker = Waker()
        self._asleep = False
        self._last_work_ns = 0
        self._gap_ns = RECENT_NS * 10
        self._sweep_at = 0  # when timers and deadlines are looked at next, ns; at once after a sleep
        self._selector.watch(self._waker.fileno(), self._waker.clear)
        self.rescues = 0

    def watch(self, descriptor: int, clear: Callable[[], object]) -> None:
        """Wake up when `descriptor` becomes readable; `clear` makes it unreadable again."""
        self._selector.watch(descriptor, clear)

    def unwatch(self, descriptor: int) -> None:
        """Take back `watch`, before the descriptor is closed. Idempotent: of a pipe's end one hears in several ways."""
        self._selector.unwatch(descriptor)

    def run(self) -> None:
        """Run until `stop`, then close the loop."""
        asyncio.set_event_loop(self.loop)
        try:
            self._run_on()
        finally:
            try:
                pending = asyncio.all_tasks(self.loop)
                for task in pending:
                    task.cancel()
                if pending:
                    self._kernel.stopping = True
                    self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            finally:
                asyncio.set_event_loop(None)
                self._selector.unwatch(self._waker.fileno())
                self.loop.close()
                self._waker.close()

    def _run_on(self) -> None:
        while True:
            try:
                self.loop.run_forever()
                return
            except (SystemExit, KeyboardInterrupt):
                # asyncio ends its loop with what a task raises so; here it is one handler's, whose caller is told
                if self._kernel.stopping:
                    return

    def stop(self) -> None:
        """Have `run` return. From any thread."""
        try:
            self.loop.call_soon_threadsafe(self.loop.stop)
        except RuntimeError:
            pass  # closed already

    def wake(self) -> None:
        """Make the hub look at its inbox. From any thread."""
        # The sleeper sets the flag, then looks at the inbox; the sender appends, then looks at the flag. Under the
        # interpreter's lock these are in one order, so one of the two sees the other.
        if self._asleep:
            self._asleep = False
            try:
                self._waker.ring()
            except OSError:
                pass  # the hub has ended

    def turn(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Run actors until asyncio has something to do or `timeout` (s) has passed; return asyncio's events."""
        kernel, loop = self._kernel, self.loop
        inbox, runq, resumable, yielded = kernel.inbox, kernel.runq, kernel.resumable, kernel.yielded
        poll = kernel.inlet.poll if kernel.inlet is not None else None
        run_slice = kernel.run_slice
        timers, deadlines = kernel.timers, kernel.deadlines
        clock = time.perf_counter_ns
        start = clock()
        until = None if timeout is None else start + int(timeout * 1e9)
        loop.wanted = taken = False
        while True:
            while inbox:
                function, args = inbox.popleft()
                try:
                    function(*args)
                except Exception:
                    # a request that cannot be carried out must not take the other actors with it
                    log.exception("kernel %d: %r fails", kernel.home, function)
            taken = taken or (poll is not None and poll(False, self._gap_ns < RECENT_NS))
            now = clock()
            if taken:
                taken = False
                self._gap_ns = now - self._last_work_ns
                self._last_work_ns = now
            if runq or resumable or yielded:
                run_slice(now)
                now = clock()
            if now >= self._sweep_at:
                self._sweep_at = now + SWEEP_NS
                for timer in timers.due():
                    kernel.lifecycle.fire(timer)
                deadlines.expire()
            if loop.wanted or kernel.stopping:
                return self._selector.poll(0)
            if until is not None and now >= until:
                return self._selector.poll(0)
            if runq or resumable or yielded or inbox:
                if now - start > LOOP_NS:
                    return self._selector.poll(0)
                continue
            events = self._rest(until, now)
            if events is None:
                taken = True
            elif events or (until is not None and clock() >= until):
                return events

    def _rest(self, until: int | None, now: int) -> list[tuple[selectors.SelectorKey, int]] | None:
        """Nothing is ready: poll the lanes for a moment if traffic is recent, then sleep. None: took what had come."""
        kernel = self._kernel
        inlet = kernel.inlet
        if inlet is not None and (self._gap_ns < RECENT_NS or kernel.asked):
            stop = self._last_work_ns + POLL_NS
            if kernel.asked:
                kernel.asked = False
                stop = now + ANSWER_NS
            look, inbox, clock = inlet.look, kernel.inbox, time.perf_counter_ns
            while clock() < stop:
                if look(inbox):
                    return None if inlet.poll(False, self._gap_ns < RECENT_NS) else []
                if inbox:
                    return []
        self._sweep_at = 0
        nap = LONGEST_SLEEP_S
        if until is not None:
            nap = min(nap, (until - now) / 1e9)
        for at in (kernel.timers.next_at(), kernel.deadlines.next_at()):
            if at is not None:
                nap = min(nap, at - kernel.timers.now())
        if nap <= 0:
            return []
        self._asleep = True
        try:
            if inlet is not None and not inlet.sleep():
                return []
            if kernel.inbox:
                return []
            events = self._selector.poll(nap)
            if nap == LONGEST_SLEEP_S and not events and inlet is not None and inlet.has_news():
                self.rescues += time.perf_counter_ns() - now >= LONGEST_SLEEP_S * 1e9  # nobody rang for it
            return events
        finally:
            self._asleep = False
            if inlet is not None:
                inlet.woke()
