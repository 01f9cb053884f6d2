"""BlockingThread: the thread of an actor that really blocks.

Edge (one thread an actor that says `blocking = True`, daemonic); used by the kernel. The kernel hands it activations,
not messages: the thread takes messages from the mailbox itself until it is empty, then tells the kernel.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING

from greenlet import getcurrent

from . import current
from .cancelling import write_off
from .cell import RUNNING
from .envelope import ASK, CALL

if TYPE_CHECKING:
    from .cell import Cell

BURST = 64


class BlockingThread:
    """Runs all handlers and hooks of one incarnation of an actor."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._turns: SimpleQueue[bool | Callable[[], object]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._abandoned = False

    def activate(self) -> None:
        """Handle what is in the mailbox. From the kernel's thread; the cell is PARKED until the kernel is told."""
        self.have_done(True)

    def have_done(self, turn: Callable[[], object] | bool) -> None:
        """Have `turn()` called in this thread, when it is done with what it was given before. It must not raise."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"actorlab {self._cell.name}", daemon=True)
            self._thread.start()
        self._turns.put(turn)

    def finish(self) -> None:
        """End the thread after what it does now."""
        self._turns.put(False)

    def abandon(self) -> None:
        """Its actor was killed: the handler that runs goes on for nobody, then the thread ends."""
        self._abandoned = True
        self._turns.put(False)

    def _is_abandoned(self) -> bool:
        return self._abandoned

    def _run(self) -> None:
        cell = self._cell
        kernel = cell.kernel
        current.enter_blocking(cell)
        me = getcurrent()
        while (turn := self._turns.get()) and not self._is_abandoned():
            if turn is not True:
                turn()
                continue
            going_on = True
            mailbox = cell.mailbox
            for _ in range(BURST):
                try:
                    envelope = mailbox.popleft()
                except IndexError:
                    break  # nothing more, or taken away by `kill`
                if (envelope[0] == CALL or envelope[0] == ASK) and envelope[-1].state:
                    write_off(cell, envelope)
                    continue
                going_on = kernel.handle(cell, envelope, me)
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
        if going_on or (extra.ending and cell.mailbox):
            cell.phase = RUNNING
            cell.kernel.settle_phase(cell)
