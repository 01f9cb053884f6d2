"""Controller: the part of a node that looks after its worker processes; a thread of the user's process.

Edge (processes, files, a thread). Owns the node's directory, registry and root supervisor, launches workers, notices
their end by a descriptor, replaces them in the same slot, and hears what they report. A worker's death is one incident,
in this order: take what it still sent; deliver the Downs; launch the replacement, which takes over tables and queues
and says READY; then tell the supervisors, who decide. So recovery takes a constant number of hops through this thread.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from ..actor import ERROR, VALUE, Future, Kernel
from ..errors import CallTimeout, SharedMemoryError, WorkerStartError
from ..ids import CONTROLLER_HOME, home_of
from ..message import WorkerDied
from ..registry import IndexedBackend, MembershipLog, NameChange, Names, RegistryBackend, create_backend
from ..telemetry import Event
from ..transport import (
    EPOCH,
    ROW_U32,
    Board,
    Outlet,
    bell_path,
    create_doorbell,
    second_bell_path,
)
from .books import Books
from .caretaker import Caretaker
from .chronicle import Chronicle
from .control import operations
from .directory import NodeDirectory, base_directory
from .exits import ExitWatch
from .groups import announce
from .hosting import Hosting
from .inlet import Inlet
from .large_messages import open_spill
from .launch import Launcher
from .memory_watch import check_can_watch
from .news import News
from .options import NodeOptions
from .patrol import Patrol, Slot
from .recycling import Recycler
from .reports import reports
from .runtime import ProcessRuntime, log
from .signs import Signs
from .station import Assignment
from .stopping import stop_workers
from .sweep import sweep
from .tenure import free_names_of_the_dead, holds_its_name
from .unanswered import settle_lost
from .wishes import Wishes
from .worker_process import WorkerProcess

START_TRIES = 8
TARGET = "actorlab.node.worker:main"


class Controller:
    """Runs a node's workers."""

    def __init__(
        self, options: NodeOptions, on_event: Callable[[Event], object] | None, welcome: Sequence[str] = ()
    ) -> None:
        self.options = options
        self._welcome = welcome  # modules that are better imported before workers are forked
        self.news = News(on_event)
        self.happened = self.news.tell
        self.incidents = 0
        self.causes: dict[int, str] = {}  # why supervisors gave up, by their address
        self.slots = {number: Slot(number) for number in range(1, options.workers + 1)}
        self.stopping = False
        self.hosting = Hosting(self)
        self.started = False
        self.directory: NodeDirectory | None = None
        self.failed: Future[str] = Future("the end of the node")
        if options.workers:
            self._open_shared(options)
        else:
            self._open_embedded(options)
        self.runtime.operations.update(operations())
        self.runtime.operations.update(reports(self))
        self.runtime.hear = self.happened
        self.caretaker = Caretaker(self.runtime)

    # -- opening --------------------------------------------------------------------------------------------------

    def _open_embedded(self, options: NodeOptions) -> None:
        self.runtime = ProcessRuntime(f"embedded-{os.getpid():x}-{os.urandom(4).hex()}", 0, options, None)
        self._own_names(create_backend("local", "", partitions=1, is_alive=partial(holds_its_name, self.runtime)), None)
        self.kernel = Kernel(self.runtime, CONTROLLER_HOME)
        self.runtime.kernels[CONTROLLER_HOME] = self.kernel

    def _open_shared(self, options: NodeOptions) -> None:
        check_can_watch(options.memory)
        sweep(base_directory(options.runtime_dir))  # what dead nodes left goes first: a name of theirs is free again
        self.directory = NodeDirectory.create(options.name, runtime_dir=options.runtime_dir)
        with ExitStack() as undo:
            undo.callback(self.directory.remove)
            path = self.directory.path
            preload, method = ["actorlab.node.worker", *options.preload], options.start_method
            spare = options.spares > 0
            self.launcher = Launcher(path, TARGET, preload=preload, welcome=self._welcome, method=method, spare=spare)
            undo.callback(self.launcher.stop)
            self.launcher.start()  # before there is a thread or a mapping: it may be a fork of this process
            runtime = self.runtime = ProcessRuntime(path.name, 0, options, path)
            undo.callback(runtime.close)
            self.board = Board.create(path / "board")
            undo.callback(self.board.close)
            for slot in range(options.workers + 1):
                create_doorbell(bell_path(path, slot))
            create_doorbell(second_bell_path(path, 0))
            epoch = self.board.occupy(0, os.getpid())
            runtime.epoch = epoch
            runtime.board = self.board
            runtime.sending.number_from(epoch)
            books = Books.create(path, options.max_actors, CONTROLLER_HOME)
            runtime.own_table(CONTROLLER_HOME, books)
            runtime.signs = Signs(path, 0, epoch, None)
            self.news.chronicle = Chronicle(path, runtime.dead_letters)
            undo.callback(self.news.close)
            runtime.sending.go_by(Outlet(path, 0, self.board, options.lane_blocks))
            runtime.spill = open_spill(path, 0, options, self.board)
            names = path / "names"
            names.mkdir(mode=0o700)
            kind = options.registry.backend if options.registry.backend != "local" else "shared"
            backend = create_backend(
                kind, names, partitions=options.registry.partitions, is_alive=partial(holds_its_name, runtime)
            )
            undo.callback(backend.close)
            self._own_names(backend, MembershipLog(names))
            assert runtime.outlet is not None
            for slot in self.slots:
                runtime.outlet.open(slot)  # there and back: whatever happens later, the workers can be told to stop
            inlet = runtime.inlet = Inlet(runtime, path, 0, self.board)
            self.kernel = Kernel(runtime, CONTROLLER_HOME, inlet)
            inlet.attach(self.kernel)
            runtime.kernels[CONTROLLER_HOME] = self.kernel
            self.exits = ExitWatch()
            self.recycler = Recycler(
                self.slots, options, runtime, path, self.happened, lambda: self.launcher.renew(), self.hosting.host_for
            )
            self.wishes = Wishes(path, self.recycler.grants() | self.hosting.grants())
            recycle = self.recycler.for_memory
            self.patrol = Patrol(self.slots, self.board, options, runtime, path, recycle, self._on_exit)
            undo.pop_all()

    def _own_names(self, backend: RegistryBackend, log: MembershipLog | None) -> None:
        runtime = self.runtime
        runtime.backend = IndexedBackend(backend, log, self.options.registry.index, self._announce, self._class_of)
        runtime.names = Names(backend, runtime.backend, runtime.backend)

    def _class_of(self, address: int) -> str | None:
        books = self.runtime.table(home_of(address))
        view = books.read(address)
        return None if view is None else books.class_path(view.class_id)

    def _announce(self, listeners: list[int], change: NameChange) -> None:
        """The registry has changed: tell who listens, from our thread, in the order of the changes."""
        self.kernel.post(announce, self.runtime, listeners, change)

    # -- workers --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Launch all workers and wait until they are ready. Raises WorkerStartError; then nothing is left."""
        threading.Thread(target=self.kernel.run, name="actorlab controller", daemon=True).start()
        self.kernel.wait_running()
        if not self.slots:
            return
        for slot in self.slots.values():
            self.launch(slot)
        if self.options.spares:
            self.launcher.want_spare()
        for slot in self.slots.values():
            try:
                slot.ready.get(timeout=self.options.start_timeout_s)
            except CallTimeout:
                text = f"not ready within {self.options.start_timeout_s:g} s"
                raise WorkerStartError(f"worker {slot.number}", text) from None
        running: Future[None] = Future("the workers' start")
        self.kernel.post(self._begin, running)
        running.get()

    def _begin(self, running: Future[None]) -> None:
        """All have been ready. From here on whoever dies is replaced; until now he was, unless that failed."""
        for slot in self.slots.values():
            if slot.ready.state == ERROR:
                running.fail(slot.ready.outcome()[1])
                return
        self.started = True
        running.reply(None)
        self._look_round()

    def launch(self, slot: Slot) -> None:
        assert self.directory is not None
        who = Assignment(
            self.runtime.node_id, slot.number, str(self.directory.path), self.options, tuple(sys.path), slot.died,
            slot.resumes,
        )  # fmt: skip
        slot.ready = Future(f"worker {slot.number}")
        slot.verdict, slot.interrupted = None, False
        slot.beats = (0, time.monotonic(), 0, time.monotonic())
        if slot.goes_to and self.hosting.take_in(slot, pickle.dumps(who)):
            return
        process = slot.process = self.launcher.launch(slot.number, pickle.dumps(who))
        self.exits.add(process)
        self.kernel.post(self._watch, slot, process)

    def _watch(self, slot: Slot, process: WorkerProcess) -> None:
        """In the controller's thread: hear of READY and of the end."""
        hub = self.kernel.hub
        hub.watch(process.end, lambda: self._on_exit(slot, process))
        hub.watch(process.control.fileno(), lambda: self._on_word(slot, process))

    def _on_word(self, slot: Slot, process: WorkerProcess) -> bool:
        """A worker said something: a line of the launcher's, READY, or why it fails. False: its pipe has ended."""
        hub = self.kernel.hub
        try:
            word = process.control.recv_bytes()
        except (EOFError, OSError):
            hub.unwatch(process.control.fileno())
            return False
        if not process.ready:
            process.ready = True
            failures = json.loads(word)["failures"]
            if failures:
                why = "; ".join(f"{module}: {text}" for module, text in failures)
                slot.ready.fail(WorkerStartError(f"worker {slot.number}", f"import failed ({why})"))
            return True
        kind, value = pickle.loads(word)
        if kind == "ready":
            self.ready(slot, value)
        else:
            error = value if isinstance(value, SharedMemoryError) else WorkerStartError(f"worker {slot.number}", value)
            slot.ready.fail(error)
        return True

    def ready(self, slot: Slot, pid: int) -> None:
        """A worker is ready."""
        slot.failures = 0
        slot.started_at = time.monotonic()
        slot.beats = (0, time.monotonic(), 0, time.monotonic())
        slot.ready.reply(pid)
        if self.recycler.is_back(slot):
            return
        if slot.died is None:
            self.happened("worker_started", f"worker {slot.number} ready", {"worker": slot.number, "pid": slot.pid})
            return
        home = slot.number
        self.runtime.backend.release_home(home, lambda address: not self.runtime.table(home).is_tenant(address))
        self.happened("worker_replaced", f"worker {home} is back (pid {slot.pid})", {"worker": home, "pid": slot.pid})
        for other in self.slots.values():
            if other.died is not None and other is not slot:
                # the predecessor may have been told, and have died before it acted on it
                self.runtime.tell_kernel(home, "orphans", other.number, other.died, other.epoch)
        self._tell_all("incident", home, slot.died, slot.epoch)

    def _tell_all(self, operation: str, home: int, *news: Any) -> None:
        """Tell every process. One that is dead just now is told by its lane, when it is replaced."""
        for kernel in (CONTROLLER_HOME, *self.slots):
            self.runtime.tell_kernel(kernel, operation, home, *news)

    def _on_exit(self, slot: Slot, process: WorkerProcess) -> None:
        """A worker process ended."""
        hub = self.kernel.hub
        hub.unwatch(process.end)
        try:
            while process.control.poll() and self._on_word(slot, process):
                pass  # why it fails, perhaps: its last words
        except (EOFError, OSError):
            pass
        try:
            hub.unwatch(process.control.fileno())
        except (KeyError, ValueError, OSError):
            pass
        status = self.exits.reap(process.end)
        self.launcher.release(process)
        for each in tuple(self.slots.values()):
            if each.process is process:  # its guests, too
                self.patrol.vacate(each)
                self.ended(each, process.pid, status.text)

    def ended(self, slot: Slot, pid: int, how: str) -> None:
        """What had a worker's place has ended: it handed over, or it died."""
        if slot.joins:
            self.hosting.did_not_join(slot, how)
            return
        if self.stopping:
            slot.ready.fail(WorkerStartError(f"worker {slot.number}", "the node is stopping"))
            # it may have been told to stop its actors, and will not answer
            settle_lost(self.runtime, slot.number, WorkerDied(slot.number, how, self.incidents), None)
            return
        if self.recycler.has_left(slot):
            self.relaunch(slot)
            return
        self.incidents += 1
        slot.restarts += 1
        why = slot.verdict or how
        if slot.verdict is not None and (culprit := self.patrol.culprit(slot)):
            why = f"{why}: {culprit}"
        reason = WorkerDied(slot.number, why, self.incidents)
        slot.died = reason
        slot.epoch = self.board.u32[slot.number * ROW_U32 + EPOCH]
        self.recycler.died(slot, why)
        free_names_of_the_dead(self.runtime, slot.number)
        fields = {"worker": slot.number, "why": reason.why, "incident": reason.incident, "pid": pid}
        self.happened("worker_died", f"worker {slot.number} died ({reason.why})", fields)
        log.warning(
            "worker %d (pid %d) died: %s; incident %d", slot.number, pid, reason.why, reason.incident,
            extra={"event": "worker_died"},
        )  # fmt: skip
        self._tell_all("home_died", slot.number, reason, slot.epoch)
        if slot.ready.state != VALUE:
            slot.failures += 1
            if slot.failures >= START_TRIES or not self.started:
                text = f"it did not get ready, {slot.failures} times in a row ({reason.why})"
                slot.ready.fail(WorkerStartError(f"worker {slot.number}", text))
                if self.started:
                    self._tell_all("abandoned", slot.number, reason)
                    self._tell_all("incident", slot.number, reason, slot.epoch)
                    self.failed.reply(f"worker {slot.number}: {text}")
                return
            self.kernel.hub.loop.call_later(0.05 * 2**slot.failures, self.relaunch, slot)
            return
        self.relaunch(slot)

    def relaunch(self, slot: Slot) -> None:
        """Launch a worker's replacement; one that cannot be had (a fork is refused) is tried with growing pauses."""
        try:
            if not self.stopping:
                self.launch(slot)
        except Exception as error:
            if self.stopping:
                return  # its launcher was stopped under its hands
            slot.failures += 1
            text = f"worker {slot.number} cannot be launched: {error}"
            if slot.failures < START_TRIES and self.directory is not None and self.directory.path.exists():
                log.warning("%s; tried %d times", text, slot.failures)
                self.happened("worker_not_launched", text, {"worker": slot.number, "tries": slot.failures})
                self.kernel.hub.loop.call_later(0.05 * 2**slot.failures, self.relaunch, slot)
                return
            log.exception("worker %d cannot be launched", slot.number)
            self.failed.reply(text)

    def kill(self, home: int, cause: str) -> None:
        """Kill a worker, if there is such a one; its replacement follows."""
        if home in self.slots:
            self.patrol.kill(home, cause)

    def _look_round(self) -> None:
        """Every few beats: see who stands still, and let readers see how many wait where."""
        if self.stopping:
            return
        self.kernel.hub.loop.call_later(self.options.heartbeat_s, self._look_round)  # a look that fails is not the last
        self.patrol.look()
        self.recycler.look()
        self.wishes.look()
        self.news.count_letters()
        self.runtime.spill.rest(time.monotonic())
        for kernel in tuple(self.runtime.kernels.values()):
            kernel.post(kernel.admission.publish_depths)

    # -- stopping -------------------------------------------------------------------------------------------------

    def stop_workers(self, grace_s: float, brutal: bool) -> None:
        """Stop what is left in the workers, then the workers. In the caller's thread."""
        self.stopping = True
        if self.slots:
            stop_workers(self, grace_s, brutal)

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
            slot.process = None
        if self.slots:
            self.launcher.stop()
        self.news.close()
        self.runtime.close()
        if self.slots:
            self.recycler.close()
            self.runtime.backend.close()
            self.board.close()
        if self.directory is not None:
            self.directory.remove()
