"""NodeFacade: what code inside a node may do with it; `self.node` in an actor, and what `al.Node` delegates to.

Edge (it acts through its process's runtime). The same in the user's process and in every worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..actor import (
    Actor,
    ActorRef,
    Beside,
    ByHash,
    DeadLetters,
    Future,
    LazyRow,
    Mailbox,
    Placement,
    StartRequest,
    check_placement,
    hosted,
    kernel_here,
    lazy_rows,
    pick_by_hash,
)
from ..errors import ActorDied, NothingFound, SpecError, StartError
from ..ids import LOCAL_HOME
from ..memory import POOLS, ContextPool, PoolSettings
from ..message import Down
from ..registry import pack_metadata, select, split
from ..transport import GUEST, ROW_BYTES, SHEDDING
from .forked import Inheritance
from .forks import let_go_in_children
from .groups import Group, Listeners, Topic
from .tenure import take_name

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

B = TypeVar("B", bound=Actor)

BATCH = 500


class NodeFacade:
    """A node as the code inside it sees it."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        self._runtime = runtime
        self._turn = count()
        self.inheritance = Inheritance(runtime)

    def __reduce__(self) -> Any:
        raise TypeError("self.node is this process's: it does not travel")

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
        """Start an actor and return its reference when it is ready; None if it raised Ignore. Raises StartError.

        `metadata` are its name's, by which others can select it.
        """
        request = self.request(actor, args, kwargs, name, mailbox, init_timeout_s)
        if metadata is not None:
            if name is None:
                raise SpecError("metadata", "belong to a name: give the actor one")
            pack_metadata(metadata)
            request = request._replace(metadata=dict(metadata))
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
        share = -(-number // max(1, len(self.worker_numbers))) if placement == "any" else number
        while left:
            batch = min(BATCH, share, left)
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
        actor = hosted(actor)
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
        home = workers[next(self._turn) % len(workers)]
        board = self._runtime.board
        if board is not None:
            for _ in workers:
                if not board.u8[home * ROW_BYTES + SHEDDING] and not board.u8[home * ROW_BYTES + GUEST]:
                    break
                home = workers[next(self._turn) % len(workers)]
        return home

    @property
    def worker_numbers(self) -> list[int]:
        """The numbers of the node's workers; empty in an embedded node."""
        board = self._runtime.board
        return list(range(1, ((board.workers if board is not None else 0) or self._runtime.options.workers) + 1))

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
        take_name(self._runtime, name, address, metadata)
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

    def update_metadata(self, name: Any, changes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change some keys of a name's metadata (to None: remove) in one step; return them, None if nobody has it.

        Blocks or parks. Raises InvalidMetadata and SharedMemoryFull; then nothing has changed.
        """
        entry = self._runtime.names.merge_metadata(name, changes)
        return entry.metadata if entry is not None else None

    def find(self, name: Any) -> ActorRef[Any]:
        """Return the actor that owns `name`. Raises NothingFound, which says what was searched and what came near."""
        found = self.whereis(name)
        if found is not None:
            return found
        names = self._runtime.names
        wanted = split(names.check(name))
        import difflib  # only who is not found is compared

        known = {via.name: str(via) for via in names.names(wanted.namespace)}
        near = difflib.get_close_matches(wanted.name, known, n=3)
        where = f"namespace {wanted.namespace!r} in {names.statistics().partitions} partitions"
        raise NothingFound(
            f"the name {wanted.name!r}", f"the {len(known):,} names of {where}", tuple(known[name] for name in near)
        )

    def select(self, actor: type[B] | None = None, /, *, at_least: int = 0, **metadata: Any) -> list[ActorRef[B]]:
        """Return the actors whose name has all of these metadata (and whose class is `actor`), through an index.

        A collection asks for each of its items: `select(tier=1, capabilities=["plan", "search"])`. Only keys that the
        node indexes can be asked for (`registry.index`). No message is sent. Raises SpecError for another key,
        NothingFound if fewer than `at_least` are found: it says how many have each of them.
        """
        asked = metadata if actor is None else {"class": f"{actor.__module__}:{actor.__qualname__}", **metadata}
        indexed = self._runtime.options.registry.index
        if not asked:
            raise SpecError("select", f"say what for: a class, or values of {', '.join(indexed)}")
        for key in asked:
            if key not in indexed:
                text = f"there is no index over {key!r}, only over {', '.join(indexed)}: add it to registry.index"
                raise SpecError("select", text)
        addresses, found = select(self._runtime.names.memberships(), asked)
        alive = self._runtime.is_alive
        refs = [self._runtime.ref(address) for address in addresses if alive(address)]
        if len(refs) < at_least:
            what = ", ".join(f"{key}={value!r}" for key, value in asked.items())
            each = ", ".join(f"{count} with {key}" for key, count in found.items())
            raise NothingFound(f"{what} ({len(refs)} of at least {at_least})", f"the index over metadata: {each}")
        return refs

    def group(self, name: Any) -> Group:
        """Return the group of that name: join, leave, members, and sending to all of them."""
        return Group(self._runtime, name)

    def groups(self) -> list[str]:
        """Return the names of the groups that have members, sorted. No message is sent."""
        return sorted(self._runtime.names.memberships().keys("g"))

    def topic(self, name: Any) -> Topic:
        """Return the topic of that name: subscribe, unsubscribe, publish."""
        return Topic(self._runtime, name)

    def listen(self, ref: ActorRef[Any], group: Any = None) -> None:
        """Let an actor hear, in `on_receive`, of every change of the names, or of one group's members; until it ends.

        It gets `al.Registered` and `al.Unregistered`, or `al.Joined` and `al.Left`, in the order of the changes, of
        those that are made after this returns. Blocks or parks. Raises ActorDied.
        """
        Listeners(self._runtime, group).add((ref,), None)

    def unlisten(self, ref: ActorRef[Any], group: Any = None) -> bool:
        """Let it hear no more; return whether it did."""
        return bool(Listeners(self._runtime, group).remove((ref,)))

    def monitor(self, ref: ActorRef[Any]) -> Future[Down]:
        """Return a future of the Down of `ref`: settled once, when this incarnation of it ends."""
        down: Future[Down] = Future(f"the end of {ref.path}")
        runtime = self._runtime
        kernel = kernel_here() or next(iter(runtime.kernels.values()))
        # at once, from whatever thread: the actor hears of it before anything that this one sends it afterwards
        kernel.signals.watch_from_outside(ref.address, down)
        return down

    def lazies(self) -> dict[int, list[LazyRow]]:
        """Return, by worker (0: this process, if it is no worker), the lazy values it has and who holds them.

        Blocks or parks until the workers have answered.
        """
        asked = {worker: self._runtime.control(worker, "lazies") for worker in self.worker_numbers}
        here = {} if self._runtime.process in asked else {0: lazy_rows()}
        return here | {worker: rows.get(timeout=10) for worker, rows in asked.items()}

    def pool(self, name: str, max_bytes: int | None = None, settings: PoolSettings | None = None) -> ContextPool:
        """Return the node's pool of that name, making it if need be: data that all its actors share.

        A new one has `settings`, else those of the node's options, else the defaults with `max_bytes`. One that exists
        is as it was made: SpecError if it should be otherwise.
        """
        runtime = self._runtime
        pool: ContextPool | None = runtime.pools.get(name)
        if pool is None:
            directory = runtime.directory
            if directory is None:
                directory = runtime.own_directory()
            pools = directory / POOLS
            pools.mkdir(mode=0o700, exist_ok=True)
            settings = settings or runtime.options.pools.get(name)
            pool = runtime.pools[name] = ContextPool(pools, name, max_bytes, settings)
            let_go_in_children(pool)
            runtime.pool_made(directory)
        elif (max_bytes not in (None, pool.max_bytes)) or settings not in (None, pool.settings):
            return ContextPool(Path(pool.path).parent, name, max_bytes, settings)  # which says what is wrong
        return pool
