"""Controller: the part of a node that looks after its worker processes; a thread of the user's process.

Edge (processes, files, a thread). Owns the node's directory, registry and root supervisor, launches workers, notices
their end at a pidfd and replaces them in the same slot, and hears what they report. A worker's death is one incident,
in this order: take what it still sent; deliver the Downs; launch the replacement, which takes over tables and queues
and says READY; then tell the supervisors, who decide. So recovery takes a constant number of hops through this thread.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..actor import VALUE, DeadLetter, Future, Kernel
from ..errors import CallTimeout, WorkerStartError
from ..ids import CONTROLLER_HOME
from ..message import WorkerDied
from ..registry import Names, create_backend
from ..telemetry import Event, Level
from ..transport import BEAT, BEAT2, ROW_U64, Board, Outlet, Spill, bell_path, create_doorbell
from .books import Books
from .control import operations
from .directory import NodeDirectory
from .exits import ExitWatch, is_stopped
from .inlet import Inlet
from .launch import Launcher
from .logs import take_log
from .options import NodeOptions
from .runtime import ProcessRuntime, log
from .worker import Assignment
from .worker_process import WorkerProcess

START_TRIES = 5
TARGET = "actorlab.node.worker:main"


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
        self.died: WorkerDied | None = None

    @property
    def pid(self) -> int:
        """The process in the slot, 0 while there is none."""
        return self.process.pid if self.process is not None else 0


class Controller:
    """Runs a node's workers."""

    def __init__(self, options: NodeOptions, on_event: Callable[[Event], object] | None) -> None:
        self.options = options
        self.on_event = on_event
        self.incidents = 0
        self.slots = {number: Slot(number) for number in range(1, options.workers + 1)}
        self.stopping = False
        self.started = False
        self._tick_at = time.monotonic()
        self.directory: NodeDirectory | None = None
        self.failed: Future[str] = Future("the end of the node")
        if options.workers:
            self._open_shared(options)
        else:
            self._open_embedded(options)
        self.runtime.operations.update(operations())
        self.runtime.operations.update(self._operations())
        self.runtime.hear = self.happened

    # -- opening --------------------------------------------------------------------------------------------------

    def _open_embedded(self, options: NodeOptions) -> None:
        self.runtime = ProcessRuntime(f"embedded-{os.getpid():x}-{os.urandom(4).hex()}", 0, options, None)
        self.runtime.backend = create_backend("local", "", partitions=1, is_alive=self.runtime.is_alive)
        self.runtime.names = Names(self.runtime.backend, self.runtime.backend)
        self.kernel = Kernel(self.runtime, CONTROLLER_HOME)
        self.runtime.kernels[CONTROLLER_HOME] = self.kernel

    def _open_shared(self, options: NodeOptions) -> None:
        self.directory = NodeDirectory.create(options.name, runtime_dir=options.runtime_dir)
        try:
            path = self.directory.path
            runtime = self.runtime = ProcessRuntime(path.name, 0, options, path)
            self.board = Board.create(path / "board")
            for slot in range(options.workers + 1):
                create_doorbell(bell_path(path, slot))
            epoch = self.board.occupy(0, os.getpid())
            runtime.sending.number_from(epoch)
            books = Books.create(path, options.max_actors, CONTROLLER_HOME)
            runtime.own_table(CONTROLLER_HOME, books)
            runtime.outlet = Outlet(path, 0, self.board, options.lane_blocks)
            runtime.spill = Spill(path, 0, epoch, options.max_message_bytes * 8)
            names = path / "names"
            names.mkdir(mode=0o700)
            runtime.backend = create_backend(
                "shared", names, partitions=options.registry.partitions, is_alive=runtime.is_alive
            )
            runtime.names = Names(runtime.backend, runtime.backend)
            inlet = runtime.inlet = Inlet(runtime, path, 0, self.board)
            self.kernel = Kernel(runtime, CONTROLLER_HOME, inlet)
            inlet.attach(self.kernel.hub)
            runtime.kernels[CONTROLLER_HOME] = self.kernel
            self.exits = ExitWatch()
            preload = ["actorlab.node.worker", *options.preload]
            self.launcher = Launcher(path, TARGET, preload=preload, spare=options.spares > 0)
        except BaseException:
            self.directory.remove()
            raise

    def _operations(self) -> dict[str, Callable[..., Any]]:
        def name(kernel: Kernel, key: str, address: int, metadata: Any) -> Any:
            with self.runtime.names_lock:
                return self.runtime.backend.register(key, address, metadata)

        def unregister(kernel: Kernel, key: str, owner: int | None = None) -> bool:
            with self.runtime.names_lock:
                freed: bool = self.runtime.backend.unregister(key, owner)
            return freed

        def describe(kernel: Kernel, key: str, metadata: Any, owner: int | None = None) -> Any:
            with self.runtime.names_lock:
                return self.runtime.backend.update_metadata(key, metadata, owner)

        def ended(kernel: Kernel, address: int) -> None:
            with self.runtime.names_lock:
                self.runtime.backend.release_owner(address)

        return {
            "name": name,
            "register": name,
            "unregister": unregister,
            "describe": describe,
            "ended": ended,
            "log": take_log,
            "dead_letter": lambda kernel, *fields: self.runtime.dead_letters.take(DeadLetter(*fields)),
            "event": lambda kernel, kind, text, fields: self.happened(kind, text, fields),
            "interrupt_worker": lambda kernel, home, cause: self._interrupt(home, cause),
            "kill_worker": lambda kernel, home, cause: self.kill(home, cause),
        }

    # -- workers --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Launch all workers and wait until they are ready. Raises WorkerStartError; then nothing is left."""
        threading.Thread(target=self.kernel.run, name="actorlab controller", daemon=True).start()
        self.kernel.wait_running()
        if not self.slots:
            return
        self.launcher.start()
        for slot in self.slots.values():
            self._launch(slot)
        if self.options.spares:
            self.launcher.want_spare()
        for slot in self.slots.values():
            try:
                slot.ready.get(timeout=self.options.start_timeout_s)
            except CallTimeout:
                text = f"not ready within {self.options.start_timeout_s:g} s"
                raise WorkerStartError(f"worker {slot.number}", text) from None
        self.started = True
        self.kernel.post(self._watch_beats)

    def _launch(self, slot: Slot) -> None:
        assert self.directory is not None
        who = Assignment(
            self.runtime.node_id, slot.number, str(self.directory.path), self.options, tuple(sys.path), slot.died
        )
        slot.ready = Future(f"worker {slot.number}")
        slot.verdict = None
        process = slot.process = self.launcher.launch(slot.number, pickle.dumps(who))
        self.exits.add(process)
        self.kernel.post(self._watch, slot, process)

    def _watch(self, slot: Slot, process: WorkerProcess) -> None:
        """In the controller's thread: hear of READY and of the end."""
        hub = self.kernel.hub
        hub.watch(process.pidfd, lambda: self._on_exit(slot, process))
        hub.watch(process.control.fileno(), lambda: self._on_word(slot, process))

    def _on_word(self, slot: Slot, process: WorkerProcess) -> None:
        """A worker said something on its control pipe: a line of the launcher's, READY, or why it fails."""
        hub = self.kernel.hub
        try:
            word = process.control.recv_bytes()
        except (EOFError, OSError):
            hub.unwatch(process.control.fileno())
            return
        if not process.ready:
            process.ready = True
            failures = json.loads(word)["failures"]
            if failures:
                why = "; ".join(f"{module}: {text}" for module, text in failures)
                slot.ready.fail(WorkerStartError(f"worker {slot.number}", f"import failed ({why})"))
            return
        kind, value = pickle.loads(word)
        if kind == "ready":
            slot.failures = 0
            slot.started_at = time.monotonic()
            slot.beats = (0, time.monotonic(), 0, time.monotonic())
            slot.ready.reply(value)
            self._on_ready(slot)
        else:
            slot.ready.fail(WorkerStartError(f"worker {slot.number}", value))

    def _on_ready(self, slot: Slot) -> None:
        if slot.died is None:
            self.happened("worker_started", f"worker {slot.number} ready", {"worker": slot.number, "pid": slot.pid})
            return
        home = slot.number
        with self.runtime.names_lock:
            self.runtime.backend.release_home(home, lambda address: not self.runtime.table(home).is_tenant(address))
        self.happened(
            "worker_replaced", f"worker {home} is back (pid {slot.pid})", {"worker": home, "pid": slot.pid}, "good"
        )
        for kernel in tuple(self.runtime.kernels):
            self.runtime.tell_kernel(kernel, "incident", home, slot.died)
        for other in self.slots:
            if self.slots[other].process is not None:
                self.runtime.tell_kernel(other, "incident", home, slot.died)

    def _on_exit(self, slot: Slot, process: WorkerProcess) -> None:
        """A worker process ended."""
        hub = self.kernel.hub
        hub.unwatch(process.pidfd)
        try:
            hub.unwatch(process.control.fileno())
        except (KeyError, ValueError, OSError):
            pass
        status = self.exits.reap(process.pidfd)
        self.launcher.release(process)
        slot.process = None
        if self.stopping:
            slot.ready.fail(WorkerStartError(f"worker {slot.number}", "the node is stopping"))
            return
        self.incidents += 1
        slot.restarts += 1
        reason = WorkerDied(slot.number, slot.verdict or status.text, self.incidents)
        slot.died = reason
        fields = {"worker": slot.number, "why": reason.why, "incident": reason.incident, "pid": process.pid}
        self.happened("worker_died", f"worker {slot.number} died ({reason.why})", fields, "warning")
        log.warning("worker %d (pid %d) died: %s; incident %d", slot.number, process.pid, reason.why, reason.incident)
        for home in tuple(self.runtime.kernels):
            self.runtime.tell_kernel(home, "home_died", slot.number, reason)
        for other, neighbour in self.slots.items():
            if neighbour.process is not None:
                self.runtime.tell_kernel(other, "home_died", slot.number, reason)
        if slot.ready.state != VALUE:
            slot.failures += 1
            if slot.failures >= START_TRIES or not self.started:
                text = f"it did not get ready, {slot.failures} times in a row ({reason.why})"
                slot.ready.fail(WorkerStartError(f"worker {slot.number}", text))
                if self.started:
                    self.failed.reply(f"worker {slot.number}: {text}")
                return
            self.kernel.hub.loop.call_later(0.05 * 2**slot.failures, self._relaunch, slot)
            return
        self._relaunch(slot)

    def _relaunch(self, slot: Slot) -> None:
        if self.stopping:
            return
        try:
            self._launch(slot)
        except Exception as error:
            log.exception("worker %d cannot be launched", slot.number)
            self.failed.reply(f"worker {slot.number} cannot be launched: {error}")

    # -- hang, interrupt, kill ------------------------------------------------------------------------------------

    def _watch_beats(self) -> None:
        """Every few beats, see who stands still. A verdict is void when our own tick slipped."""
        if self.stopping:
            return
        period = self.options.heartbeat_s
        now = time.monotonic()
        slipped = now - self._tick_at > 3 * period
        self._tick_at = now
        for slot in self.slots.values():
            if slot.process is None or not slot.ready.state:
                continue
            self._look_at(slot, now, slipped)
        self.kernel.hub.loop.call_later(period, self._watch_beats)

    def _look_at(self, slot: Slot, now: float, slipped: bool) -> None:
        row = slot.number * ROW_U64
        loop, thread = self.board.u64[row + BEAT], self.board.u64[row + BEAT2]
        loop_was, loop_at, thread_was, thread_at = slot.beats
        if slipped or loop != loop_was:
            loop_at = now
        if slipped or thread != thread_was:
            thread_at = now
        slot.beats = (loop, loop_at, thread, thread_at)
        frozen = now - thread_at
        if frozen > self.options.hang_timeout_s and slot.process is not None:
            why = "stopped (SIGSTOP)" if is_stopped(slot.process) else "hung"
            self.happened("worker_hung", f"worker {slot.number} is {why}", {"worker": slot.number}, "error")
            slot.process.send_signal(signal.SIGUSR2)
            self.kill(slot.number, why)

    def _interrupt(self, home: int, cause: str) -> None:
        """Raise in the handler that holds a worker's thread."""
        slot = self.slots.get(home)
        if slot is not None and slot.process is not None:
            log.warning("worker %d: %s; interrupting the handler that holds it", home, cause)
            slot.process.send_signal(signal.SIGUSR1)

    def kill(self, home: int, cause: str) -> None:
        """Kill a worker; its replacement follows. The incident carries the cause."""
        slot = self.slots.get(home)
        if slot is not None and slot.process is not None:
            slot.verdict = cause
            slot.process.kill()

    # -- telling --------------------------------------------------------------------------------------------------

    def happened(self, kind: str, text: str, fields: dict[str, Any] | None = None, level: Level = "info") -> None:
        """Tell whoever listens what happened."""
        if self.on_event is not None:
            self.on_event(Event(time.time(), kind, text, level, fields or {}))

    # -- stopping -------------------------------------------------------------------------------------------------

    def stop_workers(self, grace_s: float, brutal: bool) -> None:
        """Stop what is left in the workers, then the workers. In the caller's thread."""
        self.stopping = True
        if not self.slots:
            return
        if not brutal:
            live = [number for number, slot in self.slots.items() if slot.process is not None and slot.ready.state]
            waits = [(number, self.runtime.control(number, "shutdown_all", grace_s)) for number in live]
            end = time.monotonic() + grace_s + 1.0
            for number, wait in waits:
                try:
                    wait.get(timeout=max(0.01, end - time.monotonic()))
                except Exception:
                    self._interrupt(number, "does not stop")
            for number in live:
                self.runtime.tell_kernel(number, "exit")
            end = time.monotonic() + 1.0
            for number in live:
                process = self.slots[number].process
                if process is not None:
                    process.wait_ended(max(0.01, end - time.monotonic()))
        for slot in self.slots.values():
            process = slot.process
            if process is not None and not process.has_ended():
                process.kill()
        self.launcher.stop()

    def close(self) -> None:
        """End the controller's thread and remove the directory."""
        self.stopping = True
        kernels = tuple(self.runtime.kernels.values())
        for kernel in kernels:
            kernel.stop()
        end = time.monotonic() + 5.0
        while any(kernel.running for kernel in kernels) and time.monotonic() < end:
            time.sleep(0.001)
        for slot in self.slots.values():
            if slot.process is not None:
                self.launcher.release(slot.process)
                slot.process = None
        self.runtime.close()
        if self.slots:
            self.runtime.backend.close()
            self.board.close()
        if self.directory is not None:
            self.directory.remove()


__all__ = ["Controller", "Path", "Slot"]
