"""Patrol: the controller's eye on workers that live but do not get on, and its hand on them.

Edge (signals, shared memory); the controller's, in its thread. A worker whose helper thread does not even beat is
frozen, or a C call in it keeps the interpreter: it is put down. One whose loop is held is left alone until somebody
must be stopped there; then the handler that holds it is interrupted, and if that does not help the worker put down.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from ..actor import Future
from ..ids import CONTROLLER_HOME
from ..message import WorkerDied
from ..transport import BEAT, BEAT2, CURRENT, ROW_U64, Board
from .exits import is_stopped
from .memory_watch import MEMORY_LIMIT, MemoryWatch
from .options import NodeOptions
from .runtime import ProcessRuntime, log
from .watchdog import culprit_in, stacks_path
from .worker_process import WorkerProcess

DUMP_S = 2.0
"""What a worker that is put down gets at most to write down its stacks: it may not have a processor just now."""
HELD_BEATS = 3
"""For how many beats a loop has given no sign of life when somebody holds it; one that has much to do gives one."""
LOOK_S = 0.05
"""How often is looked whether it has: when the file no longer grows."""


class Slot:
    """A worker's place: the process that has it now, and its history."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: WorkerProcess | None = None
        self.ready: Future[int] = Future(f"worker {number}")
        self.restarts = 0
        self.recycles = 0
        self.host = 0  # the worker whose process it is a guest of
        self.goes_to = 0  # the one it is to be a guest of when it has left
        self.joins = False  # one more than there were, and not ready yet
        self.resumes = 0  # how often its place was given to a process that is to go on there, and is not ready yet
        self.failures = 0
        self.started_at = time.monotonic()
        self.beats = (0, 0.0, 0, 0.0)  # loop's and thread's counts, each with when it last moved
        self.verdict: str | None = None  # why we killed it, if we did
        self.judging = Lock()  # else a verdict could be left to the process after the one that was meant
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
        self, slots: dict[int, Slot], board: Board, options: NodeOptions, runtime: ProcessRuntime, directory: Path,
        recycle: Callable[[int], None], ended: Callable[[Slot, WorkerProcess], None],
    ) -> None:  # fmt: skip
        self._slots = slots
        self._ended = ended
        self._board = board
        self._options = options
        self._runtime = runtime
        self._directory = directory
        self._tick_at = time.monotonic()
        self._memory = MemoryWatch(options.memory, runtime, directory, self.kill, recycle)

    def look(self) -> None:
        """Show that we are alive, and see who stands still. Time in which our own tick slipped counts for nobody: a
        machine that stands still again and again must neither put down who lives nor hide who hangs."""
        signs = self._runtime.signs
        if signs is not None:
            signs.beat()
            signs.turned()
        self._runtime.pool_made(self._directory)  # by a worker, perhaps
        now = time.monotonic()
        since_s = now - self._tick_at
        slipped_s = since_s if since_s > 3 * self._options.heartbeat_s else 0.0
        self._tick_at = now
        for slot in tuple(self._slots.values()):
            if slot.process is not None and not slot.host and slot.process.has_ended_unseen():
                self._ended(slot, slot.process)
            if slot.process is not None and slot.ready.state:
                self._look_at(slot, now, slipped_s, self._options.hang_timeout_s)
                if slot.verdict is None and not slot.host:
                    self._memory.look(slot.number, slot.pid)
            elif slot.process is not None and not slot.host:
                # A replacement that nobody waits for. It has yet to import and begin to beat.
                limit_s = max(self._options.start_timeout_s, self._options.hang_timeout_s)
                self._look_at(slot, now, slipped_s, limit_s)

    def _look_at(self, slot: Slot, now: float, slipped_s: float, limit_s: float) -> None:
        row = slot.number * ROW_U64
        loop, thread = self._board.u64[row + BEAT], self._board.u64[row + BEAT2]
        loop_was, loop_at, thread_was, thread_at = slot.beats
        loop_at = now if loop != loop_was else min(now, loop_at + slipped_s)
        thread_at = now if thread != thread_was else min(now, thread_at + slipped_s)
        slot.beats = (loop, loop_at, thread, thread_at)
        frozen = now - thread_at
        if frozen > limit_s and slot.process is not None:
            why = "stopped (SIGSTOP)" if is_stopped(slot.process) else "hung"
            self._runtime.happened("worker_hung", f"worker {slot.number} is {why}", {"worker": slot.number})
            self.put_down(slot.number, why)

    def _is_held(self, slot: Slot) -> bool:
        loop, loop_at = slot.beats[:2]
        is_still = self._board.u64[slot.number * ROW_U64 + BEAT] == loop
        return is_still and time.monotonic() - loop_at >= HELD_BEATS * self._options.heartbeat_s

    def interrupt(self, home: int, cause: str) -> None:
        """Raise in the handler that holds a worker's thread. Where the loop turns nobody does, and nothing is done."""
        slot = self._slots.get(home)
        process = slot.process if slot is not None else None
        if slot is not None and process is not None and self._is_held(slot):
            if not slot.interrupted:
                slot.interrupted = True
                log.warning("worker %d: %s; interrupting the handler that holds it", home, cause)
            if not slot.host:  # else it would hit whoever has the host's thread
                process.send_signal(signal.SIGUSR1)

    def kill(self, home: int, cause: str) -> None:
        """Kill a worker; its replacement follows. The incident carries the cause. From any thread."""
        slot = self._slots.get(home)
        if slot is None:
            return
        with slot.judging:
            if slot.process is not None:
                slot.verdict = cause
                slot.process.kill()

    def vacate(self, slot: Slot) -> None:
        """The process in a place has ended: from here on nobody is judged for what it did."""
        with slot.judging:
            slot.process, slot.host = None, 0

    def put_down_if_held(self, home: int, cause: str) -> None:
        """Put down a worker whose loop does not turn; one that gets on takes its orders in their turn."""
        slot = self._slots.get(home)
        if slot is not None and self._is_held(slot):
            self.put_down(home, cause)

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
        path = stacks_path(self._directory, slot.number)
        before = _size_of(path)
        process.send_signal(signal.SIGUSR2)
        self._kill_when_written(process, path, before, before, time.monotonic() + DUMP_S)

    def _kill_when_written(self, process: WorkerProcess, path: Path, before: int, last: int, end: float) -> None:
        size = _size_of(path)
        if time.monotonic() >= end or process.has_ended() or before < size == last:
            process.kill()
            return
        loop = self._runtime.kernels[CONTROLLER_HOME].hub.loop
        loop.call_later(LOOK_S, self._kill_when_written, process, path, before, size, end)

    def culprit(self, slot: Slot) -> str:
        """Return who a worker that was put down was busy with, as far as it could say."""
        if slot.verdict == MEMORY_LIMIT:
            return ""  # whoever has the thread just then need not be who took the memory
        try:
            dump = stacks_path(self._directory, slot.number).read_text("utf-8", "replace")
        except OSError:
            return ""
        address = self._board.u64[slot.number * ROW_U64 + CURRENT]
        where = culprit_in(dump)
        if address:
            return f"{self._runtime.label(address)} {where}".strip()
        return where


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
