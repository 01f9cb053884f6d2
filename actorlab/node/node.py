"""Node: a machine's worth of actors, as its user opens it.

Edge (processes); the public face of the node floor. What code inside an actor may do with a node (`self.node`), the
user may do here too, and beside it start trees, wait, look and stop.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

from ..actor import Actor, ActorRef, DeadLetters, Future, Kernel, Mailbox, Placement, StartRequest
from ..errors import CallTimeout, NodeGone, SpecError, StartError
from ..ids import CONTROLLER_HOME, LOCAL_HOME
from ..memory import ContextPool
from ..message import Down
from ..supervision import DynamicSupervisor, PartitionSupervisor, Supervisor, SupervisorActor, modules_of
from ..telemetry import Event
from .books import Books
from .control import Quiet
from .controller import Controller
from .options import NodeOptions
from .roots import forget_root, write_root
from .runtime import ProcessRuntime, log

B = TypeVar("B", bound=Actor)
Tree = Supervisor | DynamicSupervisor | PartitionSupervisor


class Worker:
    """A worker process as the user sees it."""

    __slots__ = ("number", "pid", "restarts")

    def __init__(self, number: int, pid: int, restarts: int) -> None:
        self.number = number
        self.pid = pid
        self.restarts = restarts

    def __repr__(self) -> str:
        return f"<worker {self.number}: pid {self.pid}, {self.restarts} restarts>"


class Node:
    """A node: this process as controller, and its workers. Open it with `with` or `async with`, or stop it yourself.

    `options` or keywords of NodeOptions (`workers=4, mailbox=…, name=…`). `tree` is started once the workers are ready.
    Raises StartError (AlreadyRunning, WorkerStartError), SharedMemoryFull or SpecError; then nothing is left.
    """

    def __init__(
        self,
        options: NodeOptions | None = None,
        *,
        tree: Tree | None = None,
        on_event: Callable[[Event], object] | None = None,
        **keywords: Any,
    ) -> None:
        base = options if options is not None else NodeOptions()
        self.options = replace(base, **keywords) if keywords else base
        if self.options.registry.backend == "local" and self.options.workers and keywords.get("registry") is not None:
            raise SpecError("registry.backend", "'local' serves one process: a node with workers needs 'shared'")
        self._stop_lock = threading.Lock()
        self._stopped = False
        self._stopping = threading.Event()
        self._ended: Future[str | None] = Future("the end of the node")
        self._roots: list[ActorRef[Any]] = []
        welcome = modules_of(tree) if tree is not None and self.options.preload_tree else ()
        self._controller = Controller(self.options, on_event, welcome)
        self._runtime = self._controller.runtime
        self._facade = self._runtime.node
        self._runtime.start_local = self._start_local
        self._runtime.own_directory = self._own_directory
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._local_lock = threading.Lock()
        self.started_at = time.monotonic()
        try:
            self._controller.start()
            self._controller.failed.on_settled(self._give_up)
            if tree is not None:
                self.root = self.start(tree)
            took_s = time.monotonic() - self.started_at
            text = f"node {self.name} runs: {self.options.workers} workers, ready in {took_s:.2f} s"
            self._controller.happened("node_started", text, {"name": self.name, "took_s": took_s}, "good")
        except BaseException:
            self.stop(brutal=True)
            raise

    # -- what code inside may do too --------------------------------------------------------------------------------

    def spawn(
        self,
        actor: type[B],
        *args: Any,
        name: Any = None,
        mailbox: Mailbox | None = None,
        placement: Placement = "any",
        init_timeout_s: float | None = 5.0,
        **kwargs: Any,
    ) -> ActorRef[B]:
        """Start an actor; return its reference when it is ready. Nobody restarts it: for that, start a tree."""
        return self._facade.spawn(
            actor, *args, name=name, mailbox=mailbox, placement=placement, init_timeout_s=init_timeout_s, **kwargs
        )

    def spawn_many(self, actor: type[B], number: int, *args: Any, **keywords: Any) -> list[ActorRef[B]]:
        """Start `number` actors alike, spread over the workers; return when all are ready."""
        return self._facade.spawn_many(actor, number, *args, **keywords)

    def whereis(self, name: Any) -> ActorRef[Any] | None:
        """Return the actor that owns `name`, or None. No message is sent."""
        return self._facade.whereis(name)

    def register(self, name: Any, ref: ActorRef[Any], metadata: Mapping[str, Any] | None = None) -> None:
        """Give an actor a name. Raises NameTaken."""
        self._facade.register(name, ref, metadata)

    def unregister(self, name: Any) -> bool:
        """Free a name; return whether it was taken."""
        return self._facade.unregister(name)

    def monitor(self, ref: ActorRef[Any]) -> Future[Down]:
        """Return a future of the `Down` of `ref`."""
        return self._facade.monitor(ref)

    def pool(self, name: str, max_bytes: int = 1 << 30) -> ContextPool:
        """Return the node's pool of that name."""
        return self._facade.pool(name, max_bytes)

    @property
    def dead_letters(self) -> DeadLetters:
        """The node's dead letters: iterate, count by reason, subscribe."""
        return self._runtime.dead_letters

    # -- what only the user may do ----------------------------------------------------------------------------------

    def start(self, tree: Tree, name: str | None = None) -> ActorRef[SupervisorActor]:
        """Start a supervision tree and return its root's reference. Raises StartError; then nothing of it is left.

        A root that gives up ends for good: `wait` returns, and says why.
        """
        home = CONTROLLER_HOME if tree.placement is None else self._facade.choose_home(tree.placement)
        request = StartRequest(SupervisorActor, (tree,), {}, name or tree.name, self.options.mailbox, 0, None)
        self._runtime.know_class(SupervisorActor)
        ref = self._runtime.start_at(home, request)
        self._roots.append(ref)
        if self.directory is not None:
            write_root(self.directory, ref.address, tree)
        down = self.monitor(ref)
        kernel = self._controller.kernel
        down.on_settled(lambda: kernel.post(self._root_ended, ref, down))  # behind the cause, if it gave up
        return ref

    def _root_ended(self, ref: ActorRef[Any], down: Future[Down]) -> None:
        if ref in self._roots and not self._stopping.is_set():
            self._roots.remove(ref)
            if self.directory is not None:
                forget_root(self.directory, ref.address)
            state, outcome = down.outcome()
            reason = outcome.reason if state == 1 else outcome
            if reason != "normal":
                cause = self._controller.causes.pop(ref.address, None)
                self._ended.reply(f"the root supervisor gave up: {cause or reason}")

    def _give_up(self) -> None:
        self._ended.reply(str(self._controller.failed.outcome()[1]))

    def wait(self, timeout: float | None = None) -> str | None:
        """Block until the node ends; return why it gave up, or None after `stop`. Raises CallTimeout."""
        return self._ended.get(timeout=timeout)

    def wait_idle(self, timeout: float = 10.0) -> None:
        """Block until nothing runs, waits or is on its way, seen twice in a row; future timers do not count.

        Raises CallTimeout, naming what is busy.
        """
        end = time.monotonic() + timeout
        before: tuple[Any, ...] | None = None
        busy = "nothing"
        while True:
            seen: list[Quiet] = []
            busy = ""
            for home in (*self._runtime.kernels, *self._facade.worker_numbers):
                try:
                    quiet = self._runtime.control(home, "quiet").get(timeout=max(0.01, end - time.monotonic()))
                except CallTimeout:
                    quiet = Quiet(False, 0)
                except Exception:
                    quiet = Quiet(False, 0)
                if not quiet.idle:
                    busy = f"kernel {home}"
                seen.append(quiet)
            recovering = any(slot.process is None or not slot.ready.state for slot in self._controller.slots.values())
            now = (tuple(quiet.handled for quiet in seen), self._controller.incidents)
            if not busy and self._controller.news.waiting:
                busy = "a listener to events or logs"
            if not busy and not recovering and now == before:
                return
            before = now if not busy and not recovering else None
            if time.monotonic() > end:
                raise CallTimeout(f"wait_idle (busy: {busy or 'a worker that is being replaced'})", timeout)
            time.sleep(0.0005)

    @property
    def runtime(self) -> ProcessRuntime:
        """This process's part of the node."""
        return self._runtime

    @property
    def name(self) -> str:
        """The node's name."""
        return self.options.name or self._runtime.node_id

    @property
    def directory(self) -> Path | None:
        """Where its shared files are; None if it is embedded."""
        return self._runtime.directory

    @property
    def workers(self) -> list[Worker]:
        """The worker processes, by number."""
        return [Worker(slot.number, slot.pid, slot.restarts) for slot in self._controller.slots.values()]

    def kill_worker(self, number: int, cause: str = "killed by the user") -> None:
        """Kill a worker process (SIGKILL); its replacement follows."""
        self._controller.kill(number, cause)

    def stop(self, *, brutal: bool = False) -> None:
        """Stop everything, in order: trees from their roots, what is left, the workers. Idempotent, interruptible.

        `brutal`: kill the workers at once. Whatever waited for an answer gets NodeGone.
        """
        with self._stop_lock:
            if self._stopped:
                return
            self._stopping.set()
            controller = self._controller
            controller.happened("node_stopping", f"node {self.name} stops", {"name": self.name})
            try:
                if not brutal:
                    self._stop_in_order()
            finally:
                # also when a second Ctrl-C cut the order short: then what is left has no more time
                self._stopped = True
                controller.stop_workers(0.0, True)
                self._runtime.settle_pending(NodeGone("the actor", self._runtime.node_id))
                controller.happened("node_stopped", f"node {self.name} has stopped", {"name": self.name})
                controller.close()
                if self._own is not None:
                    self._own.cleanup()
                self._ended.reply(None)

    def _stop_in_order(self) -> None:
        """Stop the trees, the last first, then whoever is left; all within `stop_timeout_s`, whatever they may take."""
        end = time.monotonic() + self.options.stop_timeout_s
        roots, self._roots = self._roots, []
        try:
            for ref in reversed(roots):
                order = (ref.address, "infinity", False, "shutdown")
                try:
                    wait = self._runtime.control(ref.home, "stop", [order], False)
                    wait.get(timeout=max(0.0, end - time.monotonic()))
                except StartError:
                    pass  # its worker died meanwhile, and it with it
            if LOCAL_HOME in self._runtime.kernels:
                left_s = max(0.0, end - time.monotonic())
                self._runtime.control(LOCAL_HOME, "shutdown_all", left_s).get(timeout=left_s + 1.0)
        except CallTimeout:
            limit_s = self.options.stop_timeout_s
            log.warning("node %s does not stop within %g s: killing what is left", self.name, limit_s)
        else:
            self._controller.stop_workers(max(0.0, end - time.monotonic()), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.stop)

    # -- actors of this process -----------------------------------------------------------------------------------

    def _start_local(self) -> Kernel:
        """Return the kernel of the user's own actors, starting its thread if need be."""
        with self._local_lock:
            kernel = self._runtime.kernels.get(LOCAL_HOME)
            if kernel is None:
                options = self.options
                if self._runtime.directory is not None:
                    books = Books.create(self._runtime.directory, options.max_actors, LOCAL_HOME)
                    self._runtime.own_table(LOCAL_HOME, books)
                kernel = Kernel(self._runtime, LOCAL_HOME, lanes=self._runtime.inlet)
                threading.Thread(target=kernel.run, name="actorlab local", daemon=True).start()
                kernel.wait_running()
                self._runtime.kernels[LOCAL_HOME] = kernel
            return kernel

    def _own_directory(self) -> Path:
        """Return a directory for an embedded node that turns out to need one (pools)."""
        if self._own is None:
            base = "/dev/shm" if os.path.isdir("/dev/shm") else None
            self._own = tempfile.TemporaryDirectory(prefix="actorlab-", dir=base)
        return Path(self._own.name)
