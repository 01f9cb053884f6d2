"""Rows: a look at a node as the lines of a tree that can be sorted, folded and walked.

Pure; used by the screen and by the plain output. Two ways to grow the tree: by supervisor, and by the process that
actors live in. What a line says of a parent is the sum of what is below it, but for a process's memory, which is
measured. An actor's memory is an estimate: what one more of its class was measured to take, and its mailbox's bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import field
from typing import Literal

from ..lean_dataclass import dataclass
from ..observe import ActorAccount, ProcessAccount, Snapshot
from ..telemetry import TreeRow

By = Literal["supervisor", "worker"]
Sort = Literal["start", "memory", "mailbox", "rate", "restarts"]
BYS: tuple[By, ...] = ("supervisor", "worker")
SORTS: tuple[Sort, ...] = ("start", "memory", "mailbox", "rate", "restarts")
CHILDREN_SHOWN = 200
"""Of one parent; the rest is one line that says how many."""
ALONE = "without a supervisor"


@dataclass(slots=True)
class Branch:
    """A line and what is below it. Figures are the branch's own until `add_up`; None: nobody can say."""

    key: str
    name: str
    kind: str
    state: str = ""
    place: str = ""
    address: str = ""
    memory_bytes: float | None = None
    measured: bool = False
    depth: int = 0
    rate: float | None = None
    handled: int = 0
    failed: int = 0
    restarts: int = 0
    below: list[Branch] = field(default_factory=list)
    unread: int = 0
    """How many more there are below that were not read."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree as it is shown; `depth` is how far it is from the root, `mailbox` what waits there."""

    depth: int
    key: str
    name: str
    kind: str
    state: str
    place: str
    address: str
    memory_bytes: float | None
    measured: bool
    mailbox: int
    rate: float | None
    handled: int
    failed: int
    restarts: int
    below: int
    """How many lines hang on it, shown or not."""
    open: bool


def rows(look: Snapshot, *, by: By = "supervisor", sort: Sort = "start", closed: Collection[str] = ()) -> list[Row]:
    """Return the lines to show. `closed` are keys of lines whose branches are not shown."""
    branches = _by_supervisor(look) if by == "supervisor" else _by_worker(look)
    for branch in branches:
        _add_up(branch)
    return list(_walk(branches, sort, closed, 0))


def place_of(worker: int) -> str:
    """Return where an actor lives, as people say it.

    >>> place_of(0), place_of(2)
    ('controller', 'worker 2')
    """
    return f"worker {worker}" if worker else "controller"


def short(cls: str) -> str:
    """Return a class's name without its module.

    >>> short("app.agents:Searcher")
    'Searcher'
    """
    return cls.rpartition(":")[2]


def actor_memory(look: Snapshot, actor: ActorAccount) -> float | None:
    """Return what an actor is estimated to take; None where its class was not measured."""
    for one in look.classes:
        if one.cls == actor.cls and one.marginal is not None:
            return one.marginal.bytes + actor.mailbox_bytes
    return None


def _by_supervisor(look: Snapshot) -> list[Branch]:
    costs = _class_costs(look)
    actors = {actor.address: actor for actor in look.actors}
    roots: list[Branch] = []
    path: list[Branch] = []
    for number, row in enumerate(look.tree):
        branch = _of_tree(row, actors.pop(row.address, None), costs, number)
        del path[row.depth :]
        (path[-1].below if path else roots).append(branch)
        path.append(branch)
    if alone := [actor for actor in look.actors if actor.address in actors and not actor.supervisor]:
        below = [_of_actor(actor, costs) for actor in alone]
        unread = look.totals.actors - len(look.tree) - len(alone) if len(look.actors) < look.totals.actors else 0
        unread = max(0, unread)
        roots.append(Branch("alone", ALONE, f"{len(alone) + unread:,} actors", below=below, unread=unread))
    return roots


def _by_worker(look: Snapshot) -> list[Branch]:
    costs = _class_costs(look)
    found = {process.worker: _of_process(process) for process in look.processes if process.worker is not None}
    for actor in sorted(look.actors, key=lambda actor: _start_order(actor.address)):
        home = found.get(actor.worker)
        if home is not None:
            home.below.append(_of_actor(actor, costs))
    for process in look.processes:
        if process.worker is not None:
            home = found[process.worker]
            home.unread = max(0, process.actors - len(home.below))
    others = [_of_process(process) for process in look.processes if process.worker is None]
    return [*found.values(), *others]


def _class_costs(look: Snapshot) -> dict[str, float]:
    return {one.cls: one.marginal.bytes for one in look.classes if one.marginal is not None}


def _of_tree(row: TreeRow, actor: ActorAccount | None, costs: dict[str, float], number: int) -> Branch:
    if actor is not None:
        branch = _of_actor(actor, costs)
        branch.name, branch.kind, branch.state = row.name, short(row.kind), row.status
        return branch
    key = row.address or f"line {number}"
    return Branch(key, row.name, short(row.kind), row.status, "", row.address, restarts=row.restarts)


def _of_actor(actor: ActorAccount, costs: dict[str, float]) -> Branch:
    cost, cls = costs.get(actor.cls), short(actor.cls)
    return Branch(
        actor.address, actor.name or f"{cls} {actor.address}", cls, actor.state, place_of(actor.worker),
        actor.address, None if cost is None else cost + actor.mailbox_bytes, False, actor.depth, actor.rate,
        actor.handled, actor.failed, actor.incarnation,
    )  # fmt: skip


def _of_process(process: ProcessAccount) -> Branch:
    name = place_of(process.worker) if process.worker is not None else process.role
    memory = process.memory
    size = None if memory is None else memory.uss_bytes if memory.pss_bytes is None else memory.pss_bytes
    return Branch(
        f"pid {process.pid}" if process.worker is None else f"process {process.worker}",
        name, f"pid {process.pid}", process.state, "", "", size, True, process.depth, process.rate,
        process.handled, process.failed, process.restarts,
    )  # fmt: skip


def _add_up(branch: Branch) -> None:
    """Add to a branch's figures those below it; a process's own are whole already, but for its actors' restarts."""
    order = [branch]
    for one in order:
        order.extend(one.below)
    for one in reversed(order):
        for child in one.below:
            one.restarts += child.restarts
            if one.measured:
                continue
            one.depth += child.depth
            one.handled += child.handled
            one.failed += child.failed
            if child.rate is not None:
                one.rate = (one.rate or 0.0) + child.rate
            if child.memory_bytes is not None:
                one.memory_bytes = (one.memory_bytes or 0.0) + child.memory_bytes


def _walk(
    branches: Sequence[Branch], sort: Sort, closed: Collection[str], depth: int, unread: int = 0
) -> Iterator[Row]:
    ordered = sorted(branches, key=_KEYS[sort], reverse=True) if sort != "start" else branches
    for one in ordered[:CHILDREN_SHOWN]:
        is_open = one.key not in closed
        yield Row(
            depth, one.key, one.name, one.kind, one.state, one.place, one.address, one.memory_bytes, one.measured,
            one.depth, one.rate, one.handled, one.failed, one.restarts, len(one.below) + one.unread,
            is_open and bool(one.below),
        )  # fmt: skip
        if is_open and one.below:
            yield from _walk(one.below, sort, closed, depth + 1, one.unread)
    if ordered and (left := max(0, len(ordered) - CHILDREN_SHOWN) + unread):
        key = f"more of {ordered[0].key}"
        yield Row(depth, key, f"… {left:,} more", "", "", "", "", None, False, 0, None, 0, 0, 0, 0, False)


_KEYS = {
    "memory": lambda one: one.memory_bytes or 0.0,
    "mailbox": lambda one: one.depth,
    "rate": lambda one: one.rate or 0.0,
    "restarts": lambda one: one.restarts,
}


def _start_order(address: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in address.split("."))
