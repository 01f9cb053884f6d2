"""BlockingThread: the thread of an actor that really blocks.

Edge (one thread an actor that says `blocking = True`, daemonic); used by the kernel. The kernel hands it activations,
not messages: the thread takes messages from the mailbox itself until it is empty, then tells the kernel.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from greenlet import getcurrent

from . import current
from .cell import DEAD, RUNNING

if TYPE_CHECKING:
    from .cell import Cell

BURST = 64


class BlockingThread:
    """Runs all handlers and hooks of one actor."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._turns: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def activate(self) -> None:
        """Handle what is in the mailbox. From the kernel's thread; the cell is PARKED until the kernel is told."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"actorlab {self._cell.name}", daemon=True)
            self._thread.start()
        self._turns.put(True)

    def finish(self) -> None:
        """End the thread after what it does now."""
        self._turns.put(False)

    abandon = finish

    def _run(self) -> None:
        cell = self._cell
        kernel = cell.kernel
        current.enter_blocking(cell)
        me = getcurrent()
        while self._turns.get():
            going_on = True
            for _ in range(BURST):
                if cell.phase == DEAD or not cell.mailbox:
                    break
                try:
                    envelope = cell.mailbox.popleft()
                except IndexError:
                    break
                if not kernel.handle(cell, envelope, me):
                    going_on = False
                    break
            kernel.post(_turn_over, cell, going_on)
        current.enter_blocking(None)


def _turn_over(cell: Cell, going_on: bool) -> None:
    """Back in the kernel's thread: the cell may be activated again."""
    if cell.phase == DEAD:
        return
    if going_on or (cell.extra is not None and cell.extra.ending and cell.mailbox):
        cell.phase = RUNNING
        cell.kernel.settle_phase(cell)
