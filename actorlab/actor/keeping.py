"""Keeping: an actor's snapshots, taken while it runs, and given to the next object in its place.

Edge (an actor's own place; files); used by classes that say `snapshots = al.Snapshots(…)`, and by children whose
specification does: what it does not say is the class's. A snapshot is taken between two messages: after so many of
them, after so much time in which there were some, when a handler says `save_snapshot()`, and when the actor stops
without an error. The next incarnation is given the last one after its `__init__`, before `on_start`. What was handled
since is lost with the one that crashed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import SpecError, StartError
from ..lean_dataclass import dataclass
from . import snapshot
from .snapshot import State
from .snapshot_place import check_place
from .snapshot_store import MemoryStore, NodeStore, Store, store_at
from .special import special_of
from .timers import Chore
from .work import behind

if TYPE_CHECKING:
    from .cell import Cell
    from .scheduler import Kernel
    from .start_request import StartRequest
    from .timers import Timer


NODE = "node"
"""The store that is the node's own."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """When an actor's state is kept, and where.

    `every` so many messages, and every `interval_s` seconds in which there was one. Without a `store`, or with
    `"node"`, it is kept for the actor's restarts, beside the node's other files, and goes with the actor. With one
    (`"state.db"`, a database; `"state.arrows"`, a folder of Arrow IPC files) it is kept by the actor's name and found
    again by the next node.
    """

    every: int | None = None
    interval_s: float | None = None
    store: str | None = None

    def __post_init__(self) -> None:
        if self.every is not None and (type(self.every) is not int or self.every < 1):
            raise SpecError("snapshots.every", f"must be a whole number of messages from 1, not {self.every!r}")
        if self.interval_s is not None:
            if isinstance(self.interval_s, bool) or not isinstance(self.interval_s, (int, float)):
                raise SpecError("snapshots.interval_s", f"must be a number of seconds, not {self.interval_s!r}")
            if not 0 < self.interval_s < float("inf"):
                raise SpecError("snapshots.interval_s", f"must be more than 0 s, not {self.interval_s!r}")
        if self.store is not None and self.store != NODE:
            if not isinstance(self.store, str):
                raise SpecError("snapshots.store", f"must be a path or {NODE!r}, not {self.store!r}")
            store_at(self.store)

    @property
    def by_name(self) -> bool:
        """Whether they are kept by the actor's name, in a place of the user's, and outlive the node."""
        return self.store not in (None, NODE)

    def over(self, default: Snapshots | None) -> Snapshots:
        """Return these, and where they say nothing the default's.

        >>> Snapshots(store="a.db").over(Snapshots(every=3, store="b.db"))
        Snapshots(every=3, interval_s=None, store='a.db')
        """
        if default is None:
            return self
        return Snapshots(
            self.every if self.every is not None else default.every,
            self.interval_s if self.interval_s is not None else default.interval_s,
            self.store if self.store is not None else default.store,
        )


def effective(given: Snapshots | None, default: Any) -> Snapshots | None:
    """Return the rule that holds: what a child's specification says over what its class says; None: none is taken."""
    rule = default if isinstance(default, Snapshots) else None
    return rule if given is None else given.over(rule)


class Keeper(Chore):
    """Takes one actor's snapshots."""

    __slots__ = ("_cell", "_due", "_every", "_interval_s", "_key", "_store", "_taken_at", "given", "timer")

    def __init__(self, cell: Cell, rule: Snapshots, store: Store, key: str, given: Snapshots | None) -> None:
        self._cell = cell
        self.given = given  # what its specification says of it, which goes along when it moves
        self._every = rule.every
        self._interval_s = rule.interval_s
        self._store = store
        self._key = key
        self._taken_at = cell.handled
        self._due = False
        self.timer: Timer | None = None

    def begin(self) -> None:
        """Take snapshots from here on."""
        if self._interval_s is not None:
            self._cell.kernel.do(self._wait)

    def _wait(self) -> None:
        assert self._interval_s is not None
        self.timer = self._cell.kernel.lifecycle.set_timer(self._cell, self._interval_s, self, None)

    def fire(self, cell: Cell) -> None:
        """The interval is over."""
        self._wait()
        if cell.handled != self._taken_at:
            self._want()

    def count(self) -> None:
        """An activation is over: perhaps so many messages are."""
        if self._every is not None and self._cell.handled - self._taken_at >= self._every:
            self._want()

    def _want(self) -> None:
        if not self._due:
            self._due = True
            behind(self._cell.kernel, self._cell, self._step, "a snapshot")

    def _step(self, cell: Cell, _me: Any) -> bool:
        self.save()
        return True

    def save(self) -> None:
        """Take a snapshot now, between two messages or in the middle of one. Raises what saving it raises."""
        cell = self._cell
        self._due = False
        self._taken_at = cell.handled
        state = snapshot.take(cell.object, cell.kernel.lifecycle.wait_if_async)
        self._store.save(self._key, cell.behaviour.path, state.value)

    def load(self) -> State | None:
        """Return what was kept last. Raises SnapshotUnreadable."""
        return self._store.load(self._key)

    def finish(self) -> None:
        """The actor stops: keep its state for whoever may come after it."""
        if self._store.by_name or self._cell.parent:
            self.save()

    def drop(self) -> None:
        """The actor has ended for good: what was kept for its restarts only is forgotten."""
        if not self._store.by_name:
            self._store.drop(self._key)


def keep(cell: Cell, request: StartRequest) -> None:
    """Give a new object the state that is kept for its place or name, and begin to keep its own. In its place."""
    state = request.state
    rule = effective(request.snapshots, cell.behaviour.snapshots)
    if rule is not None and rule.store is not None and rule.by_name:
        check_place(rule.store)
    keeper = _keeper_of(cell, request.snapshots)
    if state is None and keeper is not None:
        state = keeper.load()
    if state is not None:
        snapshot.give(cell.object, state, cell.kernel.lifecycle.wait_if_async)
    if keeper is not None:
        special_of(cell).keeper = keeper
        keeper.begin()


def keep_on(cell: Cell, given: Snapshots | None) -> None:
    """Take the snapshots of an actor that was moved here with its state. In the kernel's thread."""
    if (cell.behaviour.snapshots is not None or given is not None) and cell.object is not None:
        keeper = _keeper_of(cell, given)
        if keeper is not None:
            special_of(cell).keeper = keeper
            keeper.begin()


def given_rule(cell: Cell) -> Snapshots | None:
    """Return what an actor's specification says of its snapshots."""
    special = cell.extra.special if cell.extra is not None else None
    return special.keeper.given if special is not None and special.keeper is not None else None


def _keeper_of(cell: Cell, given: Snapshots | None) -> Keeper | None:
    rule = effective(given, cell.behaviour.snapshots)
    if rule is None:
        return None
    store = _store_of(cell.kernel, rule)
    key = f"{cell.address:x}"
    if store.by_name:
        name = cell.more().name
        if name is None:
            raise StartError(cell.name, f"its snapshots are kept by name in {rule.store!r}: start it with name=…")
        key = name
    return Keeper(cell, rule, store, key, given)


def _store_of(kernel: Kernel, rule: Snapshots) -> Store:
    if rule.store is not None and rule.by_name:
        return store_at(rule.store)
    directory = getattr(kernel.runtime, "directory", None)
    if directory is not None:
        return NodeStore(directory)
    if kernel.snapshots is None:
        kernel.snapshots = MemoryStore()
    store: Store = kernel.snapshots
    return store


def save_now(cell: Cell) -> None:
    """Take a snapshot because a handler says so. Raises RuntimeError for a class that keeps none."""
    special = cell.extra.special if cell.extra is not None else None
    if special is None or special.keeper is None:
        name = cell.behaviour.label
        why = "say snapshots = al.Snapshots(…) in its class, or where it is specified as a child"
        raise RuntimeError(f"{name} keeps no snapshots: {why}")
    special.keeper.save()


def finish(cell: Cell) -> None:
    """The actor stops without an error: keep what it has become, if anything has changed."""
    special = cell.extra.special if cell.extra is not None else None
    if special is not None and special.keeper is not None:
        special.keeper.finish()
