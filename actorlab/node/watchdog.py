"""Watchdog: handlers that hold the thread, workers that stand still, and how they are made to stop.

Edge (signals, a thread of the controller). In the worker: a signal that raises in a user's handler and nowhere else,
and a stack dump. In the controller: beats that stand still. A verdict is void when the controller's own tick slipped.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path
from types import FrameType

from ..actor import Kernel, Killed

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Interrupts:
    """The worker's side: SIGUSR1 raises in the handler that has the thread; SIGUSR2 dumps all stacks to a file."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Raise Killed if a user's code runs on behalf of an actor; else do nothing: ours is never cut short."""
        cell = self._kernel.current
        if cell is None or frame is None or frame.f_code.co_filename.startswith(_OURS):
            return
        extra = cell.more()
        extra.ending = True
        if extra.reason is None:
            extra.reason = "killed"
        raise Killed

    @staticmethod
    def dump_to(path: Path) -> None:
        """Write all stacks to `path` on SIGUSR2, even while a C call holds the interpreter."""
        file = open(path, "w", buffering=1)  # noqa: SIM115 - faulthandler keeps it for the process's life
        faulthandler.register(signal.SIGUSR2, file=file, all_threads=True)
