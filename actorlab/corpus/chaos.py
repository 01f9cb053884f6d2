"""Chaos: kills a random worker process every second, as `actorlab run --chaos` promises.

Edge (a thread, signals); used by job.py. Only processes that the node says are its workers are killed, through a
pidfd that is opened before the node is asked again, so a number that was given to a stranger meanwhile is never hit.
Without pidfds the start time is looked at before and after instead.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from ..memory import has, start_time_of


class WorkerProcess(Protocol):
    """A worker as the node shows it: its number from 1, its process, how often it was replaced."""

    @property
    def number(self) -> int: ...
    @property
    def pid(self) -> int: ...
    @property
    def restarts(self) -> int: ...


class Chaos:
    """While it is entered, a SIGKILL to one of `workers()` every `every_s` seconds; `on_kill` is told which."""

    def __init__(
        self,
        workers: Callable[[], Sequence[WorkerProcess]],
        on_kill: Callable[[WorkerProcess], object],
        every_s: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self._workers, self._on_kill, self._every_s = workers, on_kill, every_s
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self._killed: dict[int, int] = {}  # by worker, the pid of the process that we killed last
        self.kills = 0

    def __enter__(self) -> Chaos:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def kill_one(self) -> bool:
        """Kill a random worker now; False if there is none, or it was gone already.

        Nobody is killed twice: on a busy machine it may take a while to die.
        """
        workers = [worker for worker in self._workers() if self._killed.get(worker.number) != worker.pid]
        if not workers:
            return False
        victim = self._random.choice(workers)
        if not (self._kill(victim) if has("pidfd") else self._kill_by_number(victim)):
            return False
        self.kills += 1
        self._killed[victim.number] = victim.pid
        self._on_kill(victim)
        return True

    def _is_worker(self, pid: int) -> bool:
        return any(worker.pid == pid for worker in self._workers())

    def _kill_by_number(self, victim: WorkerProcess) -> bool:
        started = start_time_of(victim.pid)
        if started is None or not self._is_worker(victim.pid) or start_time_of(victim.pid) != started:
            return False
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _kill(self, victim: WorkerProcess) -> bool:
        try:
            process = os.pidfd_open(victim.pid)
        except OSError:
            return False
        try:
            # the pidfd holds whatever has the number now; that it is still the worker, only the node can say
            if not self._is_worker(victim.pid):
                return False
            if select.select([process], [], [], 0)[0]:
                return False  # dead already, and its node has not noticed yet
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except ProcessLookupError:
            return False
        finally:
            os.close(process)
        return True

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            self.kill_one()
