"""Marginal cost: what one more actor of a class takes, worked out from the censuses of the workers that made some.

Pure; used by the account. A census is taken while the number of actors grows (see the node's signs): between two
neighbouring rows that differ in actors of one class only, the worker's anonymous memory grew by what those actors took.
The cost is the mean of these growths for one actor, without those that are far from their median: a much larger one
holds something else too (a cache filled, a module imported late), and the first actors live in what the heap had left
over. Nothing is taken from `sys.getsizeof`: what is measured includes the allocator's waste, the mailbox if there is
one, and all that `__init__` and `on_start` built.

How far to trust it: memory comes in pages of 4 kB, pools of 16 kB and malloc's steps of 128 kB, so that the cost of
small actors shows only when there are hundreds, and each growth is uncertain by about SLACK. What an actor gathers
later, while it works, is not in it: `average_bytes` of a class shows that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ..transport import Sample
from .records import Marginal

PURE = 0.98
"""Share of the new actors that must be of the class."""
SLACK_BYTES = 64 * 1024
ENOUGH_SAMPLES = 3
NEAR = (0.5, 4.0)
"""A growth counts when it is between these multiples of the median."""
CLOSE = 0.25
"""Half the distance of the bounds, as a share of the cost, up to which it is trusted."""

Growths = Mapping[str, Sequence[tuple[int, int]]]
"""Class → (actors more, bytes more) for each pair of neighbouring rows that it alone accounts for."""


def growths_of(samples: Iterable[Sample], names: Mapping[int, str]) -> dict[str, list[tuple[int, int]]]:
    """Return what the census of one worker says of each class. Rows without actors, and shrinking ones, say nothing.

    >>> row = lambda kb, n: Sample(kb * 1000, n, 0, ((1, n),) if n else ())
    >>> growths_of([row(10, 0), row(500, 1), row(504, 3), row(510, 6)], {1: "app:Agent"})
    {'app:Agent': [(2, 4000), (3, 6000)]}
    """
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    before: Sample | None = None
    for sample in samples:
        if before is not None and before.actors and sample.actors > before.actors:
            was = dict(before.counts)
            more = {number: count - was.get(number, 0) for number, count in sample.counts}
            most = max(more, key=lambda number: more[number], default=0)
            if most and more[most] >= PURE * (sample.actors - before.actors):
                grown = sample.anonymous_bytes - before.anonymous_bytes
                found[names.get(most, "?")].append((more[most], grown))
        before = sample
    return dict(found)


def marginal_of(growths: Sequence[tuple[int, int]]) -> Marginal | None:
    """Return the marginal cost that growths of a class show, None if there are none.

    >>> marginal_of([(1000, 1_000_000), (2000, 2_100_000), (500, 9_000_000), (4000, 4_000_000)])
    Marginal(bytes=1014.3, low_bytes=997.9, high_bytes=1050.0, actors=7000, samples=3, trusted=True)
    >>> marginal_of([(1, 300_000)]).trusted
    False
    """
    if not growths:
        return None
    each = sorted((grown / more, more) for more, grown in growths)
    middle = _weighted(each, sum(more for _, more in each) / 2)
    each = [(slope, more) for slope, more in each if NEAR[0] * middle <= slope <= NEAR[1] * middle]
    actors = sum(more for _, more in each)
    if not actors:
        return None
    cost = sum(slope * more for slope, more in each) / actors
    low, high = _weighted(each, actors * 0.1), _weighted(each, actors * 0.9)
    slack = SLACK_BYTES / max(more for _, more in each)
    low, high = max(0.0, min(low, cost - slack)), max(high, cost + slack)
    trusted = len(each) >= ENOUGH_SAMPLES and cost > 0 and (high - low) / 2 <= CLOSE * cost
    return Marginal(round(cost, 1), round(low, 1), round(high, 1), actors, len(each), trusted)


def _weighted(each: Sequence[tuple[float, int]], weight: float) -> float:
    """Return the value at which the sum of the weights reaches `weight`."""
    for value, more in each:
        weight -= more
        if weight <= 0:
            return value
    return each[-1][0]
