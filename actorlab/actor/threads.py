"""BlockingThread: the thread of an actor that really blocks.

Edge (one thread an actor that says `blocking = True`, daemonic); used by the kernel. The kernel hands it activations,
not messages: the thread takes messages from the mailbox itself until it is empty, then tells the kernel.

A kill cannot end the thread. What it has in hand is settled once: by the thread that claims it when its handler is
done, or by the kill, after which the thread takes nothing more and touches nothing of what is the next incarnation's.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from . import current
from .cancelling import write_off
from .cell import RUNNING
from .envelope import ASK, CALL

if TYPE_CHECKING:
    from .cell import Cell

BURST = 64


class _Own(threading.local):
    thread: BlockingThread | None = None


_own = _Own()


def claim_hand() -> bool:
    """Whether the message in hand is the calling blocking thread's to settle: once, and not if its actor was killed."""
    thread = _own.thread
    return thread is None or thread.claim()


class BlockingThread:
    """Runs all handlers and hooks of one incarnation of an actor."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._turns: SimpleQueue[bool | Callable[[], object]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._abandoned = False
        self._in_hand = False
        self._turn = False  # given and not over: the kernel's, as is the next
        self._woken = False  # its actor was held up in this turn, and is to go on already
        self.lock = threading.Lock()  # over `_abandoned`, `_in_hand` and the mailbox (`Cell.mail_lock`)

    def activate(self) -> None:
        """Handle what is in the mailbox. From the kernel's thread; the cell is PARKED until the kernel is told."""
        self._turn = True
        self.have_done(True)

    def have_done(self, turn: Callable[[], object] | bool) -> None:
        """Have `turn()` called in this thread, when it is done with what it was given before. It must not raise."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"actorlab {self._cell.name}", daemon=True)
            self._thread.start()
        self._turns.put(turn)

    def wake(self) -> bool:
        """Its actor, held up, is to go on: return whether by the kernel's doing, else when this turn is over."""
        self._woken = self._turn
        return not self._turn

    def finish(self) -> None:
        """End the thread after what it does now."""
        self._turns.put(False)

    def abandon(self) -> bool:
        """Its actor is killed: the handler that runs goes on for nobody, then the thread ends.

        Return whether there is a message in hand, which is the caller's to settle then.
        """
        with self.lock:
            self._abandoned = True
            in_hand, self._in_hand = self._in_hand, False
        self._turns.put(False)
        return in_hand

    def claim(self) -> bool:
        """Take it upon the calling thread, this one, to settle the message in hand; return whether it may."""
        with self.lock:
            in_hand, self._in_hand = self._in_hand, False
        return in_hand

    def _take(self, mailbox: deque[Any]) -> Any:
        """Take the next message in hand; return None if there is none for us."""
        with self.lock:
            if self._abandoned:
                return None
            try:
                envelope = mailbox.popleft()
            except IndexError:
                return None
            self._in_hand = True
            return envelope

    def _is_abandoned(self) -> bool:
        return self._abandoned

    def _run(self) -> None:
        cell = self._cell
        kernel = cell.kernel
        current.enter_blocking(cell)
        _own.thread = self
        me = getcurrent()
        while (turn := self._turns.get()) and not self._is_abandoned():
            if turn is not True:
                turn()
                continue
            going_on = True
            mailbox = cell.mailbox
            for _ in range(BURST):
                envelope = self._take(mailbox)
                if envelope is None:
                    break
                if (envelope[0] == CALL or envelope[0] == ASK) and envelope[-1].state:
                    if self.claim():
                        write_off(cell, envelope)
                    continue
                going_on = kernel.handle(cell, envelope, me)
                self._in_hand = False
                if me.gr_context is not None:
                    me.gr_context = None
                if not going_on or self._is_abandoned():
                    break
            if not self._is_abandoned():
                kernel.post(self._turn_over, going_on)
        current.enter_blocking(None)

    def _turn_over(self, going_on: bool) -> None:
        """Back in the kernel's thread: the cell may be activated again."""
        cell = self._cell
        extra = cell.extra
        if extra is None or extra.thread is not self:
            return  # buried meanwhile
        woken, self._woken, self._turn = self._woken, False, False
        if extra.special is not None and extra.special.suspended:
            return
        if going_on or woken or (extra.ending and cell.mailbox):
            cell.phase = RUNNING
            cell.kernel.settle_phase(cell)
