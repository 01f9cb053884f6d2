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
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from ..actor import Actor, ActorRef, DeadLetters, Future, Kernel, LazyRow, Mailbox, Placement, StartRequest
from ..errors import CallTimeout, NodeGone, SpecError, StartError
from ..ids import CONTROLLER_HOME, LOCAL_HOME
from ..memory import ContextPool, PoolSettings, remove_pools, shared_memory_folder
from ..message import Down
from ..supervision import (
    Change,
    Supervisor,
    SupervisorActor,
    modules_of,
)
from ..telemetry import Event
from .amend import Tree, carry_out, decide
from .books import Books
from .cleaning import Cleaning
from .control import Quiet
from .controller import Controller
from .groups import Group, Topic
from .options import NodeOptions
from .roots import forget_root, write_root
from .runtime import ProcessRuntime, log
from .upkeep import Upkeep
from .worker_row import Worker

B = TypeVar("B", bound=Actor)


class Node(Upkeep):
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
        if self.options.registry.backend == "local" and self.options.workers:
            raise SpecError("registry.backend", "'local' serves one process: a node with workers needs 'shared'")
        self._stop_lock = threading.Lock()
        self._pid = os.getpid()
        self._stopping = threading.Event()
        self._ended: Future[str | None] = Future("the end of the node")
        self._roots: list[ActorRef[Any]] = []
        self._trees: dict[ActorRef[Any], Tree] = {}
        self._amending = threading.Lock()
        welcome = modules_of(tree) if tree is not None and self.options.preload_tree else ()
        self._controller = Controller(self.options, on_event, welcome)
        self._runtime = self._controller.runtime
        self._facade = self._runtime.node
        self._runtime.start_local = self._start_local
        self._runtime.own_directory = self._own_directory
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._local_lock = threading.Lock()
        gone = NodeGone("the actor", self._runtime.node_id)
        self._cleaning = Cleaning(
            partial(self._controller.stop_workers, 0.0, True),
            partial(self._runtime.settle_pending, gone),
            lambda: self._controller.happened("node_stopped", f"node {self.name} has stopped", {"name": self.name}),
            self._controller.caretaker.end,
            self._controller.close,
            partial(self._runtime.settle_pending, gone),  # what was asked meanwhile
            self._remove_own,
            partial(self._ended.reply, None),
        )
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
        metadata: Mapping[str, Any] | None = None,
        mailbox: Mailbox | None = None,
        placement: Placement = "any",
        init_timeout_s: float | None = 5.0,
        **kwargs: Any,
    ) -> ActorRef[B]:
        """Start an actor; return its reference when it is ready. Nobody restarts it: for that, start a tree."""
        return self._facade.spawn(
            actor,
            *args,
            name=name,
            metadata=metadata,
            mailbox=mailbox,
            placement=placement,
            init_timeout_s=init_timeout_s,
            **kwargs,
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

    def find(self, name: Any) -> ActorRef[Any]:
        """Return the actor that owns `name`. Raises NothingFound, with what was searched and what came near."""
        return self._facade.find(name)

    def select(self, actor: type[B] | None = None, /, *, at_least: int = 0, **metadata: Any) -> list[ActorRef[B]]:
        """Return the actors whose name has these metadata, through an index. Raises NothingFound below `at_least`."""
        return self._facade.select(actor, at_least=at_least, **metadata)

    def update_metadata(self, name: Any, changes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change some keys of a name's metadata; return them, None if nobody has the name."""
        return self._facade.update_metadata(name, changes)

    def group(self, name: Any) -> Group:
        """Return the group of that name: join, leave, members, and sending to all of them."""
        return self._facade.group(name)

    def groups(self) -> list[str]:
        """Return the names of the groups that have members."""
        return self._facade.groups()

    def topic(self, name: Any) -> Topic:
        """Return the topic of that name: subscribe, unsubscribe, publish."""
        return self._facade.topic(name)

    def listen(self, ref: ActorRef[Any], group: Any = None) -> None:
        """Let an actor hear of every change of the names, or of one group's members."""
        self._facade.listen(ref, group)

    def unlisten(self, ref: ActorRef[Any], group: Any = None) -> bool:
        """Let it hear no more; return whether it did."""
        return self._facade.unlisten(ref, group)

    def monitor(self, ref: ActorRef[Any]) -> Future[Down]:
        """Return a future of the `Down` of `ref`."""
        return self._facade.monitor(ref)

    def pool(self, name: str, max_bytes: int | None = None, settings: PoolSettings | None = None) -> ContextPool:
        """Return the node's pool of that name, making it if need be; see `NodeFacade.pool`."""
        return self._facade.pool(name, max_bytes, settings)

    def lazies(self) -> dict[int, list[LazyRow]]:
        """Return, by worker (0: this process), the lazy values it has and who holds them."""
        return self._facade.lazies()

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
        self._note_tree(ref, tree)
        down = self.monitor(ref)
        kernel = self._controller.kernel
        down.on_settled(lambda: kernel.post(self._root_ended, ref, down))  # behind the cause, if it gave up
        return ref

    def is_well(self) -> bool:
        """Whether the controller answers within 5 s."""
        try:
            self._runtime.control(CONTROLLER_HOME, "ping").get(timeout=5.0)
        except Exception:
            return False
        return True

    def amend(self, tree: Supervisor, *, dry_run: bool = False) -> tuple[Change, ...]:
        """Make a running tree into `tree`: start what is new, stop what is gone, restart what changed, keep the rest.

        The one of the same name, or the only one. Returns what was (`dry_run`: would be) done. If a new child does not
        start, the old tree is put back and StartError says so; a change of the root's own keys is a SpecError, and
        nothing is done. Blocks.
        """
        with self._amending:
            root, todo = decide({ref: self._trees[ref] for ref in self._roots}, tree)
            if todo and not dry_run:
                carry_out(root, todo)
                self._note_tree(root, tree)
            return todo

    def _note_tree(self, root: ActorRef[Any], tree: Tree) -> None:
        self._trees[root] = tree
        if self.directory is not None:
            write_root(self.directory, root.address, tree)

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

    def wait_idle(self, timeout: float = 30.0) -> None:
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
            slots = tuple(self._controller.slots.values())
            recovering = any(slot.process is None or not slot.ready.state for slot in slots)
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
        slots = tuple(self._controller.slots.values())  # one more may join meanwhile
        return [Worker(slot.number, slot.pid, slot.restarts, slot.recycles) for slot in slots]

    def kill_worker(self, number: int, cause: str = "killed by the user") -> None:
        """Kill a worker process (SIGKILL); its replacement follows."""
        self._controller.kill(number, cause)

    def stop(self, *, brutal: bool = False) -> None:
        """Stop everything, in order: trees from their roots, what is left, the workers. Idempotent, interruptible.

        `brutal`: kill the workers at once. Whatever waited for an answer gets NodeGone. A second Ctrl-C cuts the order
        short; what one more cuts off, the next `stop` does.
        """
        if self._pid != os.getpid():  # a forked child: it is its parent's
            return
        with self._stop_lock:
            try:
                if not self._stopping.is_set():
                    self._stopping.set()
                    self._controller.happened("node_stopping", f"node {self.name} stops", {"name": self.name})
                    if not brutal:
                        self._stop_in_order()
            finally:
                self._cleaning.finish()  # what is left has no more time

    def _remove_own(self) -> None:
        if self._own is not None:
            remove_pools(self._own.name)
            self._own.cleanup()

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
            self._own = tempfile.TemporaryDirectory(prefix="actorlab-", dir=shared_memory_folder())
        return Path(self._own.name)
