"""Patrol: the controller's eye on workers that live but do not get on, and its hand on them.

Edge (signals, shared memory); the controller's, in its thread. A worker whose helper thread does not even beat is
frozen, or a C call in it keeps the interpreter: it is put down. One whose loop is held is left alone until somebody
must be stopped there; then the handler that holds it is interrupted, and if that does not help the worker put down.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from ..actor import Future
from ..ids import CONTROLLER_HOME
from ..message import WorkerDied
from ..transport import BEAT, BEAT2, CURRENT, ROW_U64, Board
from .exits import is_stopped
from .options import NodeOptions
from .runtime import ProcessRuntime, log
from .watchdog import culprit_in, stacks_path
from .worker_process import WorkerProcess

DUMP_S = 0.1
"""What a worker that is put down gets to write down its stacks."""


class Slot:
    """A worker's place: the process that has it now, and its history."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: WorkerProcess | None = None
        self.ready: Future[int] = Future(f"worker {number}")
        self.restarts = 0
        self.failures = 0
        self.started_at = time.monotonic()
        self.beats = (0, 0.0, 0, 0.0)  # loop's and thread's counts, each with when it last moved
        self.verdict: str | None = None  # why we killed it, if we did
        self.interrupted = False  # and said so in the log
        self.died: WorkerDied | None = None
        self.epoch = 0  # of the last process in the slot that died

    @property
    def pid(self) -> int:
        """The process in the slot, 0 while there is none."""
        return self.process.pid if self.process is not None else 0


class Patrol:
    """Looks at the workers in `slots` every few beats."""

    def __init__(
        self, slots: dict[int, Slot], board: Board, options: NodeOptions, runtime: ProcessRuntime, directory: Path
    ) -> None:
        self._slots = slots
        self._board = board
        self._options = options
        self._runtime = runtime
        self._directory = directory
        self._tick_at = time.monotonic()

    def look(self) -> None:
        """See who stands still. A verdict is void when our own tick slipped."""
        now = time.monotonic()
        slipped = now - self._tick_at > 3 * self._options.heartbeat_s
        self._tick_at = now
        for slot in self._slots.values():
            if slot.process is not None and slot.ready.state:
                self._look_at(slot, now, slipped)

    def _look_at(self, slot: Slot, now: float, slipped: bool) -> None:
        row = slot.number * ROW_U64
        loop, thread = self._board.u64[row + BEAT], self._board.u64[row + BEAT2]
        loop_was, loop_at, thread_was, thread_at = slot.beats
        if slipped or loop != loop_was:
            loop_at = now
        if slipped or thread != thread_was:
            thread_at = now
        slot.beats = (loop, loop_at, thread, thread_at)
        frozen = now - thread_at
        if frozen > self._options.hang_timeout_s and slot.process is not None:
            why = "stopped (SIGSTOP)" if is_stopped(slot.process) else "hung"
            self._runtime.happened("worker_hung", f"worker {slot.number} is {why}", {"worker": slot.number})
            self.put_down(slot.number, why)

    def interrupt(self, home: int, cause: str) -> None:
        """Raise in the handler that holds a worker's thread."""
        slot = self._slots.get(home)
        if slot is not None and slot.process is not None:
            if not slot.interrupted:
                slot.interrupted = True
                log.warning("worker %d: %s; interrupting the handler that holds it", home, cause)
            slot.process.send_signal(signal.SIGUSR1)

    def kill(self, home: int, cause: str) -> None:
        """Kill a worker; its replacement follows. The incident carries the cause."""
        slot = self._slots.get(home)
        if slot is not None and slot.process is not None:
            slot.verdict = cause
            slot.process.kill()

    def put_down(self, home: int, cause: str) -> None:
        """Kill a worker that does not get on, after it has written down where it is: the incident names that."""
        slot = self._slots.get(home)
        if slot is None or slot.process is None or slot.verdict is not None:
            return
        slot.verdict = cause
        process = slot.process
        if is_stopped(process):
            process.kill()
            return
        process.send_signal(signal.SIGUSR2)
        self._runtime.kernels[CONTROLLER_HOME].hub.loop.call_later(DUMP_S, process.kill)

    def culprit(self, slot: Slot) -> str:
        """Return who a worker that was put down was busy with, as far as it could say."""
        try:
            dump = stacks_path(self._directory, slot.number).read_text("utf-8", "replace")
        except OSError:
            return ""
        address = self._board.u64[slot.number * ROW_U64 + CURRENT]
        where = culprit_in(dump)
        if address:
            return f"{self._runtime.label(address)} {where}".strip()
        return where
