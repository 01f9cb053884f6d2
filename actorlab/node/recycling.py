"""Recycler: gives workers' places to fresh processes, nothing lost: by hand, by age, by messages, for their memory.

Edge (orders, files); the controller's, in its thread. A worker that is told to leaves a hand-over and ends (leaving);
whether the file is there decides whether that end was a hand-over or a death. Its successor goes on (resuming) and
nobody hears of it but who listens to events. A successor that dies at it is followed by another, TRIES times; then the
hand-over is given up, and it is a death with all that follows from one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from ..actor import Future
from ..errors import NotMovable, WorkerLost, WorkerStays
from ..ids import CONTROLLER_HOME
from ..transport import view_tally
from .handover import handover_path
from .hosting import refuse_hosts
from .options import NodeOptions
from .patrol import Slot
from .runtime import ProcessRuntime, log

TRIES = 3
COUNT_EVERY_S = 1.0
RESTART = "restart"
MEMORY = "above its soft limit of memory"


class Recycler:
    """Recycles the workers in `slots`."""

    def __init__(
        self, slots: dict[int, Slot], options: NodeOptions, runtime: ProcessRuntime, directory: Path,
        happened: Callable[..., None], renew: Callable[[], None], host_for: Callable[[int], int],
    ) -> None:  # fmt: skip
        self._slots = slots
        self._options = options
        self._runtime = runtime
        self._directory = directory
        self._happened = happened
        self._renew = renew
        self.host_for = host_for
        self._one_at_a_time = Lock()
        self._asked: set[Future[int]] = set()  # by whoever waits
        self._closed = False
        self._under_way: dict[int, Future[int]] = {}
        self._why: dict[int, str] = {}
        self._drains: dict[int, bool] = {}
        self._not_before: dict[int, float] = {}  # after a refusal
        self._counted_at = 0.0
        self._handled_at_start: dict[int, int] = {}

    # -- by hand --------------------------------------------------------------------------------------------------

    def recycle(self, number: int, why: str = "by hand", *, drain: bool = False) -> int:
        """Recycle a worker and return the fresh process's pid; blocks. Raises NotMovable, WorkerLost.

        `drain`: no fresh one, but another worker's process takes its actors in.
        """
        limit_s = self._options.recycle.timeout_s * 3 + self._options.start_timeout_s + 5.0
        return self.begin(number, why, drain).get(timeout=limit_s)

    def restart_all(self) -> list[int]:
        """Recycle all workers, one after another, into processes that have imported everything anew; blocks."""
        with self._one_at_a_time:
            self._renew()
            guests = [slot.number for slot in tuple(self._slots.values()) if slot.host]
            fresh = {number: self.recycle(number, RESTART) for number in guests}
            return [fresh.get(number) or self.recycle(number, RESTART) for number in tuple(self._slots)]

    def grants(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return what may be wished for from outside."""
        return {
            "recycle": lambda worker: {"pids": [self.recycle(int(worker))]},
            "restart": lambda: {"pids": self.restart_all()},
        }

    # -- one worker -----------------------------------------------------------------------------------------------

    def begin(self, number: int, why: str, drain: bool = False) -> Future[int]:
        """Recycle a worker; the future has the pid of the fresh process, NotMovable or WorkerLost. From any thread."""
        done: Future[int] = Future(f"recycling worker {number}")
        self._asked.add(done)
        done.on_settled(lambda: self._asked.discard(done))
        self._runtime.kernels[CONTROLLER_HOME].post(self._begin, number, why, done, drain)
        if self._closed:
            self.close()
        return done

    def close(self) -> None:
        """The controller's thread has ended: nothing more comes of what was asked. From any thread."""
        self._closed = True
        for done in tuple(self._asked):
            done.fail(WorkerLost(done.what, "the node is stopping"))

    def _begin(self, number: int, why: str, done: Future[int], drain: bool = False) -> None:
        slot = self._slots.get(number)
        if slot is None or slot.process is None or not slot.ready.state:
            known = f"this node has {len(self._slots)}, counted from 1"
            why = "its process is being replaced; ask again" if slot else f"there is no such worker; {known}"
            done.fail(WorkerStays(f"worker {number}", why))
            return
        before = self._under_way.get(number)
        if before is not None:
            if why == RESTART or drain != self._drains[number]:
                # its process may have been made before the code changed, or be its own where none was wanted
                post = self._runtime.kernels[CONTROLLER_HOME].post
                before.on_settled(lambda: post(self._begin, number, why, done, drain))
                return
            before.on_settled(lambda: done.reply(slot.pid) if before.state == 1 else done.fail(before.outcome()[1]))
            return
        refused = refuse_hosts(self._slots, number)
        if refused is None and drain:
            slot.goes_to = self.host_for(number) if not slot.host else 0
            if not slot.goes_to:
                alone = "no other worker's process can take its actors in: add one first (add_worker())"
                why = f"it is drained: its actors are guests of worker {slot.host}" if slot.host else alone
                refused = WorkerStays(f"worker {number}", why)
        if refused is not None:
            done.fail(refused)
            return
        self._under_way[number], self._why[number], self._drains[number] = done, why, drain
        how = self._options.recycle
        restart = how.on_stuck == "restart"
        self._runtime.tell_kernel(number, "hand_over", slot.pid, how.timeout_s, restart, how.timeout_s)

    def stays(self, number: int, what: str, why: str) -> None:
        """A worker says that it cannot leave."""
        done = self._under_way.pop(number, None)
        self._slots[number].goes_to = 0
        error = (WorkerStays if what == f"worker {number}" else NotMovable)(what, why)
        self._not_before[number] = time.monotonic() + self._options.recycle.retry_s
        log.warning("worker %d is not recycled: %s", number, error, extra={"event": "recycle_refused"})
        fields = {"worker": number, "actor": what, "why": why}
        self._happened("recycle_refused", f"worker {number} is not recycled: {error}", fields)
        if done is not None:
            done.fail(error)

    def has_left(self, slot: Slot) -> bool:
        """A process has ended: whether it handed over, so that its successor is to go on there."""
        path = handover_path(self._directory, slot.number)
        if not path.exists():
            slot.resumes = 0
            return False
        if slot.resumes < TRIES:
            slot.resumes += 1
            return True
        log.error("the hand-over of worker %d is given up: %d processes died at it", slot.number, TRIES)
        slot.resumes = 0
        with suppress(OSError):
            path.unlink()
        return False

    def died(self, slot: Slot, why: str) -> None:
        """A worker died, handed over or not: whoever wanted it recycled is told."""
        slot.goes_to = 0
        done = self._under_way.pop(slot.number, None)
        if done is not None:
            done.fail(WorkerLost(f"worker {slot.number} was to be recycled", why))

    def is_back(self, slot: Slot) -> bool:
        """A process is ready: whether it goes on where another left off, so that there is nothing to tell anybody."""
        self._handled_at_start.pop(slot.number, None)
        if not slot.resumes:
            return False
        slot.resumes = 0
        slot.recycles += 1
        why = self._why.pop(slot.number, "")
        if why == MEMORY:
            self._not_before[slot.number] = time.monotonic() + self._options.recycle.retry_s  # its actors may need it
        fields = {"worker": slot.number, "pid": slot.pid, "why": why}
        self._happened("worker_recycled", f"worker {slot.number} is recycled ({why}): pid {slot.pid}", fields, "good")
        done = self._under_way.pop(slot.number, None)
        if done is not None:
            done.reply(slot.pid)
        return True

    def is_under_way(self, number: int) -> bool:
        """Whether a worker is being recycled."""
        return number in self._under_way

    # -- by itself ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See whose time has come, one worker at a time."""
        how = self._options.recycle
        if self._under_way or (how.max_age_s is None and how.max_messages is None):
            return
        now = time.monotonic()
        for slot in self._slots.values():
            if not self._may_go(slot, now):
                continue
            if how.max_age_s is not None and now - slot.started_at > how.max_age_s:
                self._go(slot.number, f"{how.max_age_s:g} s old")
                return
        if how.max_messages is not None and now - self._counted_at >= COUNT_EVERY_S:
            self._counted_at = now
            for slot in self._slots.values():
                if not self._may_go(slot, now):
                    continue
                handled = self._handled(slot.number)
                if handled - self._handled_at_start.setdefault(slot.number, handled) >= how.max_messages:
                    self._go(slot.number, f"{how.max_messages:,} messages handled")
                    return

    def _may_go(self, slot: Slot, now: float) -> bool:
        there = slot.process is not None and bool(slot.ready.state) and now >= self._not_before.get(slot.number, 0.0)
        return there and not slot.host and refuse_hosts(self._slots, slot.number) is None

    def for_memory(self, number: int) -> None:
        """A worker is above its soft limit."""
        if number not in self._under_way and time.monotonic() >= self._not_before.get(number, 0.0):
            self._go(number, MEMORY)

    def _go(self, number: int, why: str) -> None:
        self._begin(number, why, Future(f"recycling worker {number}"))

    def _handled(self, number: int) -> int:
        """Return how many messages the actors of a worker have handled since the node started."""
        table = self._runtime.table(number).table
        living = sum(word >> 24 for word in table.words[0 : table.grown * 8 : 8])
        ended = view_tally((self._directory / f"tally.{number}").read_bytes())
        return living + sum(row.handled for row in ended.values())
