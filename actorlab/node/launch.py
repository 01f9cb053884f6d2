"""Launching workers: operating-system processes that stand ready for an assignment.

Edge (processes, pipes); used by the controller. It knows nothing of actors. Processes are made by `multiprocess`:
forked from its forkserver, which has imported everything once (4 ms and a few MB a worker), or spawned
where there is no fork. A warm spare, already forked and waiting, takes the place of a dead worker in well under 1 ms.

Guarantees: every process here ends with this one, even if it is killed (see preload); a worker starts with an empty
`__main__`, so a script without a guard, a notebook and stdin serve; no resource tracker is started; a module that
cannot be imported is an error that names it. A killed forkserver harms no worker and is replaced by the next launch.
Ends are seen at pidfds: multiprocess's sentinels all fire when the forkserver is killed, for it is the one writer of
those pipes. Where there are no pidfds nothing is forked from a server: spawned workers are our own children, which the
system keeps for us until we wait for them, and each alone holds the pipe that tells its end. What a forkserver does
when the controller is killed, a sentry does there.

Not promised: variables set in os.environ after `start` do not reach forked workers; semaphores that a
worker makes with `multiprocess` are unlinked when it ends, not when it is killed.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import StartError, WorkerStartError
from ..memory import has
from .boot import Boot, spawn_process
from .forks import let_go_in_children
from .forkserver import ForkServer
from .options import StartMethod
from .sentry import Sentry
from .worker_process import (
    LARGE_ASSIGNMENT_BYTES,
    READY_TIMEOUT_S,
    Method,
    Newborn,
    WorkerProcess,
    control_pipe,
)

_STOP_TIMEOUT_S = 5.0


class Launcher:
    """Starts worker processes that all run `target` ("module:function", called with assignment and control).

    `preload` are further modules to import before forking; `welcome` those that are better there, but need not be: one
    that raises, or starts threads, is left to the workers. `method` is as in NodeOptions; with "fork" the first
    forkserver is a fork of us, made by `start`, and later ones are fresh: by then we have threads. Thread-safe. Its
    processes end with `stop`, or with us.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        target: str,
        *,
        preload: Sequence[str] = (),
        welcome: Sequence[str] = (),
        method: StartMethod = "auto",
        spare: bool = False,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        self.directory = Path(directory)
        self.target = target
        self.modules = [target.partition(":")[0], *preload]
        self.welcome = [module for module in welcome if module not in self.modules]
        self.method: Method = default_method() if method == "auto" else "spawn" if method == "spawn" else "forkserver"
        self._forks_us = method == "fork"
        self.keeps_spare = spare
        self.ready_timeout_s = ready_timeout_s
        self.spare_error: WorkerStartError | None = None
        self._server: ForkServer | None = None
        self._sentry: Sentry | None = None
        self._making = threading.Lock()  # one process is made at a time
        self._handing = threading.Lock()  # guards all below; never held while something is awaited
        self._spare: WorkerProcess | None = None
        self._workers: set[WorkerProcess] = set()
        self._stopped = False
        self._renewals = 0
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._refiller: threading.Thread | None = None
        let_go_in_children(self)

    def start(self) -> None:
        """Start the forkserver; it imports in the background. Returns in about 3 ms. Or the sentry, without one.

        WorkerStartError: there is none, for example because this process has threads and is to be forked.
        """
        with self._making:
            if self.method == "spawn":
                self._post_sentry()
            elif self._server is None:
                self._server = ForkServer(self.directory, self.modules, self.welcome, by_fork=self._forks_us)
        if self.keeps_spare and self._refiller is None:
            self._refiller = threading.Thread(target=self._refill, name="actorlab-spare", daemon=True)
            self._refiller.start()

    @property
    def spare_pid(self) -> int | None:
        """The process that stands by, if one is ready."""
        spare = self._spare
        return spare.pid if spare is not None else None

    @property
    def forkserver_pid(self) -> int | None:
        """The forkserver's process, if there is one; it may have died since."""
        server = self._server
        return server.pid if server is not None else None

    @property
    def sentry_pid(self) -> int | None:
        """The sentry's process, if there is one; it may have died since."""
        sentry = self._sentry
        return sentry.pid if sentry is not None else None

    def launch(self, slot: int, assignment: bytes) -> WorkerProcess:
        """Give `assignment` to the spare, or to a new process, and return it; call `wait_ready` to know it is well.

        Takes 0.1 ms with a spare and a few ms without; the first waits for the forkserver's imports. A killed
        forkserver is replaced. Raises WorkerStartError when no process could be made.
        """
        worker = self._take_spare()
        if worker is not None:
            try:
                worker.assign(slot, assignment)
            except OSError:  # killed since we looked
                self.release(worker)
                worker = None
        if worker is None:
            worker = self._make(slot)
            try:
                if len(assignment) > LARGE_ASSIGNMENT_BYTES:
                    worker.wait_ready(self.ready_timeout_s)  # more than the pipe takes before anybody reads
                worker.assign(slot, assignment)
            except OSError:
                try:
                    worker.wait_ready(self.ready_timeout_s)  # knows better why
                finally:
                    self.release(worker)
                raise WorkerStartError(f"worker {slot}", f"pid {worker.pid} ended before it was ready; see its stderr")
        self.want_spare()
        return worker

    def renew(self) -> None:
        """Have later processes forked from a new forkserver, which imports everything anew: code that has changed.

        Those that run go on as they are. Blocks until the old forkserver has ended. WorkerStartError: there is no new
        one, and the old one serves on; or the node is stopping.
        """
        old = None
        with self._making:
            if self._stopped:
                raise WorkerStartError("the forkserver", "its node is stopping")
            if self.method == "forkserver":  # else each process imports for itself, and only the spare is old
                fresh = ForkServer(self.directory, self.modules, self.welcome)
                old, self._server = self._server, fresh
        with self._handing:
            self._renewals += 1  # one that is being made is of the old code, perhaps
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.kill()
            spare.close()
        if old is not None:
            old.stop()
        self.want_spare()

    def want_spare(self) -> None:
        """Make a spare in the background if there is none. `launch` does it; call it to have one from the start."""
        if self.keeps_spare:
            self._wanted.put(True)

    def release(self, worker: WorkerProcess) -> None:
        """Close a worker's process, which has ended; one that has not is killed."""
        with self._handing:
            self._workers.discard(worker)
        worker.close()

    def stop(self, *, close: bool = True) -> None:
        """End every process that is left, workers too, and wait for it. At most 5 s; idempotent.

        The controller stops its workers in good order first. Raises StartError if a process did not die. Not `close`:
        their descriptors are left to a second stop, for a thread that launches one just now is about to watch it.
        """
        with self._handing:
            self._stopped = True
            for worker in self._workers:
                worker.kill()
        self._wanted.put(False)
        server = self._server
        if server is not None:
            server.kill()  # whoever waits for its imports stops waiting
        if self._refiller is not None:
            self._refiller.join(_STOP_TIMEOUT_S)
        with self._making, self._handing:
            workers = list(self._workers)
            if self._spare is not None:
                workers.append(self._spare)
                self._workers.add(self._spare)
                self._spare = None
            server, self._server = self._server, None
            sentry, self._sentry = self._sentry, None
        for worker in workers:
            worker.kill()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        left = [worker.pid for worker in workers if not worker.wait_ended(max(0.0, deadline - time.monotonic()))]
        if close:
            for worker in workers:
                self.release(worker)
        if server is not None:
            server.stop()
        if sentry is not None:
            sentry.stop()
        if left:
            raise StartError("a clean end", f"processes {left} survive SIGKILL (a stuck device or file system?)")

    def close_in_child(self) -> None:
        """In a forked child of ours: let go of everything that keeps our processes alive, touch no lock."""
        workers = list(self._workers)
        if self._spare is not None:
            workers.append(self._spare)
        self._workers, self._spare, self._stopped = set(), None, True
        for worker in workers:
            worker.close()
        server, self._server = self._server, None
        if server is not None:
            server.close()
        sentry, self._sentry = self._sentry, None
        if sentry is not None:
            sentry.close()

    def _take_spare(self) -> WorkerProcess | None:
        with self._handing:
            if self._stopped:
                raise WorkerStartError("a worker", "its node is stopping")
            spare, self._spare = self._spare, None
            if spare is None:
                return None
            self._workers.add(spare)
        if spare.has_ended():
            self.release(spare)
            return None
        spare.origin = "spare"
        return spare

    def _refill(self) -> None:
        while self._wanted.get():
            if self._spare is not None and not self._spare.has_ended():
                continue
            renewals = self._renewals
            try:
                fresh = self._make(0)
            except WorkerStartError as error:
                self.spare_error = error  # the next launch makes its own process, and reports what is wrong
                continue
            try:
                fresh.wait_ready(self.ready_timeout_s)
            except WorkerStartError as error:
                self.spare_error = error
                self.release(fresh)
                continue
            with self._handing:
                stopped = self._stopped
                if is_current := renewals == self._renewals:
                    old, self._spare = self._spare, fresh
                    self._workers.discard(fresh)
            if not is_current:
                self.release(fresh)
                self._wanted.put(True)
            elif old is not None:
                old.close()
            if stopped:
                return

    def _make(self, slot: int) -> WorkerProcess:
        with self._making:
            try:
                if self.method == "spawn" and not self._stopped:
                    self._post_sentry()
                control, theirs = control_pipe()
            except OSError as error:
                raise WorkerStartError(f"worker {slot}", f"no process could be made: {error}")
            try:
                boot = Boot(self.method, theirs, self.target, self.modules)
                newborn = self._fork(boot) if self.method == "forkserver" else spawn_process(boot)
            except OSError as error:
                control.close()
                raise WorkerStartError(f"worker {slot}", f"no process could be made: {error}")
            except BaseException:
                control.close()
                raise
            finally:
                theirs.close()
            worker = WorkerProcess(newborn, control, self.method)
            worker.slot = slot
            with self._handing:
                stopped = self._stopped
                self._workers.add(worker)
        if stopped:
            self.release(worker)
            raise WorkerStartError(f"worker {slot}", "its node is stopping")
        return worker

    def _post_sentry(self) -> None:
        if self._sentry is None or self._sentry.has_ended():
            if self._sentry is not None:
                self._sentry.close()
            self._sentry = Sentry(self.directory)

    def _fork(self, boot: Boot) -> Newborn:
        for _attempt in range(2):
            if self._stopped:
                raise WorkerStartError("a worker", "its node is stopping")
            if self._server is None or self._server.has_ended():
                if self._server is not None:
                    self._server.stop()
                self._server = ForkServer(self.directory, self.modules, self.welcome)
            server = self._server
            try:
                return server.fork(boot, self.ready_timeout_s)
            except (EOFError, ConnectionError):  # killed under our hands: once more, with a new one
                server.stop()
            except TimeoutError:
                was_warm = server.is_warm
                server.stop()
                if not was_warm:
                    why = f"the forkserver was not ready within {self.ready_timeout_s:g} s"
                    raise WorkerStartError("a worker", f"{why}; does an import of {self.modules} hang?")
                # It had answered before: it is frozen, and its successor need not be.
        raise WorkerStartError("a worker", "the forkserver died or did not answer, twice; see its stderr")


def default_method() -> Method:
    """Return "forkserver" where this system has one, else "spawn" (and in a frozen application, without -c)."""
    return "forkserver" if has("forkserver") else "spawn"
