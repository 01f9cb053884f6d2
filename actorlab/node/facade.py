"""NodeFacade: what code inside a node may do with it; `self.node` in an actor, and what `al.Node` delegates to.

Edge (it acts through its process's runtime). The same in the user's process and in every worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from ..actor import (
    Actor,
    ActorRef,
    Beside,
    ByHash,
    DeadLetters,
    Future,
    Mailbox,
    Placement,
    StartRequest,
    check_placement,
    kernel_here,
    pick_by_hash,
)
from ..errors import ActorDied, SpecError, StartError
from ..ids import LOCAL_HOME
from ..memory import ContextPool
from ..message import Down

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

B = TypeVar("B", bound=Actor)

BATCH = 500


class NodeFacade:
    """A node as the code inside it sees it."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        self._runtime = runtime
        self._turn = count()

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
        """Start an actor and return its reference when it is ready; None if it raised Ignore. Raises StartError."""
        request = self.request(actor, args, kwargs, name, mailbox, init_timeout_s)
        return self._runtime.start_at(self.choose_home(placement), request)

    def spawn_many(
        self,
        actor: type[B],
        number: int,
        *args: Any,
        mailbox: Mailbox | None = None,
        placement: Placement = "any",
        init_timeout_s: float | None = 5.0,
        **kwargs: Any,
    ) -> list[ActorRef[B]]:
        """Start `number` actors alike, in batches, spread over the workers; return when all are ready, or raise."""
        request = self.request(actor, args, kwargs, None, mailbox, init_timeout_s)
        runtime = self._runtime
        waits: list[tuple[Future[Any], int]] = []
        left = number
        while left:
            batch = min(BATCH, left)
            left -= batch
            waits.append((runtime.control(self.choose_home(placement), "start_alike", request, batch), batch))
        path = f"{actor.__module__}:{actor.__qualname__}"
        refs: list[ActorRef[B]] = []
        for future, _ in waits:
            refs.extend(runtime.ref_at(address, path) for address in future.get(timeout=60))
        return refs

    def request(
        self,
        actor: type[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: Any,
        mailbox: Mailbox | None,
        init_timeout_s: float | None,
    ) -> StartRequest:
        """Say what is to be started. Raises SpecError for what is no actor."""
        if not isinstance(actor, type) or not issubclass(actor, Actor):
            raise SpecError(repr(actor), "is no actor: subclass al.Actor or al.ProcessActor")
        if name is not None:
            self._runtime.names.check(name)
        self._runtime.know_class(actor)
        bounds = mailbox if mailbox is not None else self._runtime.options.mailbox
        return StartRequest(actor, args, kwargs, name, bounds, 0, init_timeout_s, actor.redeliver)

    def choose_home(self, placement: Placement) -> int:
        """Return the kernel a placement means. Raises SpecError for a worker there is not."""
        workers = self.worker_numbers
        placement = check_placement(placement)
        if isinstance(placement, Beside):
            if isinstance(placement.who, str):
                found = self.whereis(placement.who)
                if found is None:
                    raise SpecError("placement", f"no actor is called {placement.who!r}")
                return found.home
            return placement.who.home
        if placement == "local" or not workers:
            return LOCAL_HOME
        if isinstance(placement, ByHash):
            return pick_by_hash(placement.key, workers)
        if isinstance(placement, int):
            if placement not in workers:
                raise SpecError("placement", f"there is no worker {placement}: this node has {len(workers)}")
            return placement
        return workers[next(self._turn) % len(workers)]

    @property
    def worker_numbers(self) -> list[int]:
        """The numbers of the node's workers; empty in an embedded node."""
        return list(range(1, self._runtime.options.workers + 1))

    @property
    def dead_letters(self) -> DeadLetters:
        """This process's dead letters (in the user's process: the whole node's)."""
        return self._runtime.dead_letters

    def whereis(self, name: Any) -> ActorRef[Any] | None:
        """Return the actor that owns `name`, or None. From shared memory: no message is sent."""
        address = self._runtime.names.whereis(name)
        # its home may not have been able to free the name of one that has just ended
        return self._runtime.ref(address) if address is not None and self._runtime.is_alive(address) else None

    def register(self, name: Any, ref: ActorRef[Any], metadata: Mapping[str, Any] | None = None) -> None:
        """Give an actor a name, until it ends or the name is taken back; blocks or parks.

        Again for the same actor, it replaces the metadata. Raises NameTaken if a live actor owns the name, ActorDied
        if this one is gone, InvalidName and InvalidMetadata.
        """
        names, address = self._runtime.names, ref.address
        if not ref.is_alive():
            raise ActorDied(str(ref), "noproc", "never")
        names.register(name, address, metadata)
        try:
            lives = self._runtime.control(ref.home, "named", address, str(name)).get(timeout=10)
        except StartError:
            lives = ref.is_alive()  # its worker has just died: a supervised actor keeps its name
        if not lives:
            # it ended before its kernel knew that there was a name to free
            names.unregister(name, address)
            raise ActorDied(str(ref), "noproc", "never")

    def unregister(self, name: Any) -> bool:
        """Free a name; return whether it was taken."""
        freed: bool = self._runtime.names.unregister(name)
        return freed

    def metadata(self, name: Any) -> dict[str, Any] | None:
        """Return what was registered with `name`, or None if nobody has it. No message is sent."""
        entry = self._runtime.names.lookup(name)
        return entry.metadata if entry is not None else None

    def monitor(self, ref: ActorRef[Any]) -> Future[Down]:
        """Return a future of the Down of `ref`: settled once, when this incarnation of it ends."""
        down: Future[Down] = Future(f"the end of {ref.path}")
        runtime = self._runtime
        kernel = kernel_here() or next(iter(runtime.kernels.values()))
        # at once, from whatever thread: the actor hears of it before anything that this one sends it afterwards
        kernel.signals.watch_from_outside(ref.address, down)
        return down

    def pool(self, name: str, max_bytes: int = 1 << 30) -> ContextPool:
        """Return the node's pool of that name, making it if need be: tables that all its actors share."""
        runtime = self._runtime
        pool: ContextPool | None = runtime.pools.get(name)
        if pool is None:
            directory = runtime.directory
            if directory is None:
                directory = runtime.own_directory()
            pool = runtime.pools[name] = ContextPool(directory, name, max_bytes)
        return pool
