"""Page state: a look at a node as the page wants it: small enough to draw, and with what one agent costs.

Pure; used by the sampler.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..lean_dataclass import dataclass
from ..observe import Snapshot
from ..telemetry import TreeRow

CHILDREN_DRAWN = 60
"""Of one supervisor; a tree of 100,000 would drown the page."""
ROWS_DRAWN = 1500


@dataclass(frozen=True, slots=True)
class Cost:
    """What one agent of a worker (None: of all workers) takes, if its worker's memory is divided evenly.

    private: heap, stacks, and the worker's part of the libraries; shared: its part of shared memory that is mapped.
    `unshared_bytes` is what it would take if each kept a copy of its own of all that its worker has mapped from pools;
    None where nothing is mapped.
    """

    worker: int | None
    actors: int
    private_bytes: int
    shared_bytes: int
    unshared_bytes: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """A node's memory at one moment, in three parts that add up to all it takes; no page is counted twice.

    Not Σ USS and the rest: of a pool that a single process maps, every page would count as that process's own.
    """

    at: float
    private_bytes: int
    """Heaps and stacks."""
    libraries_bytes: int
    """Code and other files; of those that other programs use too, the node's part."""
    shared_bytes: int
    """Shared memory: pools, lanes, tables, mapped or not."""


def point(look: Snapshot) -> Point | None:
    """Return the memory of a look; None before it was measured, or where it cannot be read."""
    memory = look.totals.memory
    if memory is None or look.memory_at is None or memory.pss_bytes is None:
        return None  # not measured yet, or nobody here says how it is shared
    private, libraries = memory.pss_anonymous_bytes or 0, memory.pss_file_bytes or 0
    # the rest, not its own figure: the kernel rounds each part to kB
    shared = memory.pss_bytes - private - libraries + (look.totals.unmapped_bytes or 0)
    return Point(look.memory_at, private, libraries, shared)


def costs(look: Snapshot) -> list[Cost]:
    """Return the cost of an agent, over all workers first, then by worker; no rows before memory was measured."""
    rows, actors, private, shared, unshared, mapped = [], 0, 0, 0, 0, 0
    for process in look.processes:
        memory = process.memory
        if process.role != "worker" or memory is None or memory.pss_bytes is None or not process.actors:
            continue
        share, maps = memory.pss_shared_bytes or 0, process.pool_mapped_bytes or 0
        own = memory.pss_bytes - share
        alone = own + process.actors * maps
        each = alone // process.actors if maps else None
        rows.append(Cost(process.worker, process.actors, own // process.actors, share // process.actors, each))
        actors, private, shared = actors + process.actors, private + own, shared + share
        unshared, mapped = unshared + alone, mapped + maps
    if not rows:
        return []
    return [Cost(None, actors, private // actors, shared // actors, unshared // actors if mapped else None), *rows]


def fold(tree: Sequence[TreeRow], children: int = CHILDREN_DRAWN, rows: int = ROWS_DRAWN) -> tuple[list[TreeRow], int]:
    """Return the tree with at most `children` of each parent and `rows` in all, and how many rows are missing.

    Where children were left out, a row without an address says how many.

    >>> row = lambda depth, name: TreeRow(depth, name, "Clerk", "permanent", "idle", 0, name)
    >>> shown, missing = fold([row(0, "all"), row(1, "a"), row(1, "b"), row(2, "c"), row(1, "d")], children=1)
    >>> [(one.depth, one.name) for one in shown], missing
    ([(0, 'all'), (1, 'a'), (1, '… 2 more')], 3)
    """
    shown: list[TreeRow] = []
    drawn: list[int] = []  # of the parent at each depth above, how many children so far
    skipped: list[int] = []
    hidden_from: int | None = None
    missing = 0

    def close(depth: int) -> None:
        """End the families deeper than `depth`."""
        while len(drawn) > depth:
            drawn.pop()
            if left := skipped.pop():
                shown.append(TreeRow(len(drawn), f"… {left:,} more", "", "", ""))

    for row in tree:
        if hidden_from is not None and row.depth > hidden_from:
            missing += 1
            continue
        hidden_from = None
        close(row.depth + 1)
        while len(drawn) <= row.depth:
            drawn.append(0)
            skipped.append(0)
        if drawn[row.depth] >= children or len(shown) >= rows:
            skipped[row.depth] += 1
            missing += 1
            hidden_from = row.depth
        else:
            drawn[row.depth] += 1
            shown.append(row)
    close(0)
    return shown, missing


def encode(look: Snapshot, *, own_share: float, problem: str = "") -> bytes:
    """Return the JSON that the page draws; `own_share` of a core this process took, `problem`: why this look is old."""
    tree, folded = fold(look.tree)
    fields = {name: getattr(look, name) for name in look.__dataclass_fields__ if name not in ("tree", "lanes")}
    drawn = {"look": {**fields, "tree": tree}, "cost": costs(look), "point": point(look), "folded": folded}
    return msgspec.json.encode({**drawn, "own_share": own_share, "problem": problem})
