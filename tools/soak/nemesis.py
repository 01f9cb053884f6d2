"""The nemesis: kills, stops, slows, fills and restarts, as a seed says, and notes what it is about to do.

Edge (signals, files). It strikes worker processes by their pid, as the kernel would, not by the node's own commands;
but for the orderly blows, which are those: a worker is recycled, or drained and given a process of its own again, under
load, and nobody may notice. No blow comes during another.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import actorlab as al

from .actors import Mail
from .journal import note

BLOWS = {"kill": 64, "pair": 6, "again": 6, "stop": 8, "hold": 6, "crowd": 6, "fill": 4, "recycle": 6, "drain": 4}
"""What the nemesis does, and how often. `pair` kills two workers at once, `again` one and whoever takes its place while
it does; `fill` takes what is left of the tmpfs; `recycle` and `drain` are the orderly ones."""
REFUSALS = (al.StartError, al.CallError)
"""Why an orderly blow may not be struck: an actor that does not move, a worker that is being replaced."""
AGAIN_S = 0.03
"""Within how long a successor is killed: that is what it takes to get ready, or twice that."""


class Nemesis:
    """Strikes at a node `rate` times a second until told to stop. `room`: a file system that may be filled, or None."""

    def __init__(
        self,
        node: al.Node,
        folder: str,
        seed: int,
        rate: float,
        receivers: list[tuple[str, Any, int]],
        room: Path | None,
        tag: str = "",
    ) -> None:
        self._node, self._folder, self._rate, self._receivers = node, folder, rate, receivers
        self._room = room
        self._dice = random.Random(f"{seed}/nemesis")
        self._mail = Mail(folder, f"nemesis{tag}", self._dice, node.whereis)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.blows: Counter[str] = Counter()
        self.kills = 0
        self.orderly = 0
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and let go of whatever is held."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        names, weights = list(BLOWS), list(BLOWS.values())
        try:
            while not self._over.wait(self._dice.expovariate(self._rate)):
                blow = self._dice.choices(names, weights)[0]
                if blow == "fill" and self._room is None:
                    blow = "kill"
                self.blows[blow] += 1
                getattr(self, f"_{blow}")()
        except BaseException as error:
            self.error = error

    def _victim(self) -> int:
        pid: int = self._dice.choice(self._node.workers).pid
        return pid

    def _kill(self, pid: int | None = None) -> None:
        pid = self._victim() if pid is None else pid
        if pid:
            note(self._folder, "kill", victim=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills += 1

    def _pair(self) -> None:
        for worker in self._dice.sample(self._node.workers, 2):
            self._kill(worker.pid)

    def _again(self) -> None:
        """Kill a worker, and then its successor: it takes over, or is about to, or has just done so."""
        number = self._dice.choice(self._node.workers).number
        old = self._pid_of(number)
        self._kill(old)
        for _ in range(2000):
            if self._pid_of(number) not in (0, old) or self._over.wait(0.001):
                break
        self._over.wait(self._dice.random() * AGAIN_S)
        self._kill(self._pid_of(number))

    def _pid_of(self, number: int) -> int:
        pid: int = next(worker.pid for worker in self._node.workers if worker.number == number)
        return pid

    def _stop(self) -> None:
        """Stop a worker for a while; in half of the cases it is killed while it is stopped."""
        pid = self._victim()
        if not pid:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                self._over.wait(self._dice.random() * 0.3)
                if self._dice.random() < 0.5:
                    self._kill(pid)
            finally:
                os.kill(pid, signal.SIGCONT)

    def _hold(self) -> None:
        """Slow a worker down: it is stopped and goes on, a hundred times."""
        pid = self._victim()
        if not pid:
            return
        with suppress(ProcessLookupError):
            for _ in range(50):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.001)
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.001)

    def _recycle(self) -> None:
        """Give a worker's place to a fresh process, actors and all."""
        with suppress(*REFUSALS):
            self._node.recycle_worker(self._dice.choice(self._node.workers).number)
            self.orderly += 1
        self._note_processes()

    def _drain(self) -> None:
        """Empty a worker's process into another's for a while; in half of the cases the host is killed meanwhile."""
        number = self._dice.choice(self._node.workers).number
        with suppress(*REFUSALS):
            self._node.drain_worker(number)
            self.orderly += 1
        self._note_processes()
        self._over.wait(self._dice.random() * 0.3)
        if self._dice.random() < 0.5:
            self._kill(self._pid_of(number))
            return  # it comes back with a process of its own
        workers = self._node.workers
        if len({worker.pid for worker in workers}) < len(workers):  # else there is nobody to give a process of his own
            with suppress(*REFUSALS):
                self._node.add_worker()
        self._note_processes()

    def _note_processes(self) -> None:
        for worker in self._node.workers:
            note(self._folder, "process", of=worker.pid, worker=worker.number)

    def _crowd(self) -> None:
        """Fill a mailbox: tells until one is refused."""
        to, ref, redeliver = self._dice.choice(self._receivers)
        for _ in range(300):
            if not self._mail.send(to, ref, redeliver, "", "tell") or self._over.is_set():
                return

    def _fill(self) -> None:
        """Take all room in shared memory for a moment."""
        assert self._room is not None
        path = self._room / "filled"
        try:
            room = os.statvfs(self._room)
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                with suppress(OSError):
                    os.posix_fallocate(descriptor, 0, max(1, room.f_bavail * room.f_frsize - 4096))
            finally:
                os.close(descriptor)
            self._over.wait(0.05 + self._dice.random() * 0.2)
        finally:
            path.unlink(missing_ok=True)
