"""Help: how a thread of the user's waits for an answer: it drains the lanes itself, and no other has to wake.

Edge (memory, a named pipe); used by the inlet, in the process whose lanes it drains. The kernel that owns the lanes
and one helper share the sleeping row of the board: the helper polls, then sleeps at a bell of its own, and while it
sleeps there the others ring that one. An answer then costs one wake-up, where the kernel's thread would make it two
and a hand-over of the interpreter. After HELP_S the helper leaves the lanes to the kernel.
"""

from __future__ import annotations

import os
import select
import threading
import time
from _thread import get_ident
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..transport import ASLEEP, ASLEEP_SECOND, AWAKE, ROW_BYTES, Board, Doorbell, Ringer, second_bell_path

if TYPE_CHECKING:
    from .inlet import Inlet

HELP_S = 0.02
LEAVE_S = 2.0  # how long who closes the lanes waits for a helper, which may run callbacks of the user's
SPIN_NS = 150_000  # what a sleeping worker takes to answer: then this thread's own wake-up is saved


class Help:
    """Who of a process's threads is rung."""

    def __init__(self, inlet: Inlet, board: Board, directory: Path) -> None:
        self._inlet = inlet
        self._board = board
        self._process = process = 0
        self._sleeps, self._row = board.u8, process * ROW_BYTES
        self._helping = threading.Lock()
        # reentrant: an interrupt may come between its acquisition and the next line
        self._roles = threading.RLock()
        self._resting = False  # the kernel sleeps
        self._asleep = False  # the helper does
        self._helper = 0  # the thread that helped last
        self._ended = False
        path = second_bell_path(directory, process)
        self._bell = Doorbell(path)
        self._ringer = Ringer(path)
        self._poll = select.poll()
        self._poll.register(self._bell.fileno(), select.POLLIN)

    # -- the kernel's side ------------------------------------------------------------------------------------------

    def rest(self) -> bool:
        """The kernel goes to sleep. False: there is news, and it is awake again."""
        with self._roles:
            self._resting = self._board.sleep(self._process, ASLEEP_SECOND if self._asleep else ASLEEP)
            return self._resting

    def wake(self) -> None:
        """The kernel is awake, and will look at the lanes before it sleeps again."""
        with self._roles:
            self._resting = False
            self._board.wake(self._process)

    # -- the helper's side ------------------------------------------------------------------------------------------

    def wait(self, future: Any, timeout_s: float | None) -> bool:
        """Drain lanes until `future` is settled; False when somebody else helps already, or after a while."""
        helping = self._helping
        if self._ended or not helping.acquire(False):
            return False
        try:
            self._helper = get_ident()
            inlet = self._inlet
            clock, look, unfinished = time.perf_counter_ns, inlet.look, inlet.unfinished
            start = now = clock()
            self._sleeps[self._row] = AWAKE  # whether the kernel sleeps or not: we look
            try:
                end = start + SPIN_NS
                while now < end:
                    if look(unfinished) or unfinished:
                        inlet.poll(False, False)
                    if future.state:
                        return True
                    now = clock()
                limit_s = HELP_S if timeout_s is None else min(HELP_S, timeout_s)
                self._sleep(future, start + int(limit_s * 1e9))
                return bool(future.state)
            finally:
                self._leave()
        except (ValueError, OSError):  # closed under our hands, by who stops the node in this very thread
            if self._bell.fileno() >= 0:
                raise
            return bool(future.state)
        finally:
            helping.release()

    def _sleep(self, future: Any, end: int) -> None:
        bell, rung = self._bell, True  # cleared before a sleep, not after it: then somebody waits
        unfinished = self._inlet.unfinished
        future.on_settled(self._settled)
        try:
            while not future.state:
                if rung:
                    rung = False
                    bell.clear()
                with self._roles:
                    self._asleep = True
                    # An awake kernel looks at the lanes before it sleeps, and leaves our mark then.
                    quiet = not unfinished and (
                        not self._resting or self._board.sleep(self._process, ASLEEP_SECOND)
                    )
                if quiet and not future.state:
                    left = end - time.perf_counter_ns()
                    if left <= 0:
                        return
                    self._poll.poll(left / 1e6)
                    rung = True
                self._asleep = False
                if not self._inlet.poll(False, False):
                    os.sched_yield()
        finally:
            future.forget(self._settled)

    def _settled(self) -> None:
        if self._asleep:  # by another thread
            self._ringer.ring()

    def _leave(self) -> None:
        """Hand the lanes back: what came meanwhile is dealt with, and the next ring is the kernel's.

        A lane that was not drained to its end has no news up any more: a kernel that sleeps would not hear of it.
        """
        unfinished = self._inlet.unfinished
        while True:
            with self._roles:
                self._asleep = False
                if not self._resting or (not unfinished and self._board.sleep(self._process, ASLEEP)):
                    return
            self._inlet.poll(False, False)

    def close(self) -> None:
        """Close the bell, once nobody helps any more: whose answer will not come has been told so, and leaves."""
        self._ended = True
        if self._bell.fileno() >= 0 and not (self._helping.locked() and self._helper == get_ident()):
            self._helping.acquire(timeout=LEAVE_S)  # not given back
        self._bell.close()
        self._ringer.close()
