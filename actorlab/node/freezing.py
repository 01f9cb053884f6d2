"""Freezing: when to take objects out of the garbage collector's sight, and when to look at all of them again.

Pure; used by a worker's loop. A full collection looks at every object that is not frozen, so with 100,000 idle actors
it holds the worker for some 100 ms, to find nothing. `gc.freeze` takes what there is out of its sight in a moment,
without looking. The price: a reference cycle among frozen objects is not collected, even when nobody has it any more.
So there are two rules. Freeze when there are a tenth more actors, or memory has grown by a tenth (the young generations
are collected first, so that what is frozen is in use). Look at everything (thaw, collect, freeze what is left) when
half of the frozen actors have ended, or when memory is twice what the last such look left, by 64 MB at least: what
stays behind unseen is never more than that.
"""

from __future__ import annotations

from typing import Literal

from ..lean_dataclass import dataclass

Freeze = Literal["never", "start", "growth"]
"""`start`: what was imported, once, before the first actor; `growth`: actors too; `never`: Python's default."""

FEWEST = 1000
"""Actors below which a full collection is short enough."""
GROWTH = 1.1
LITTLE_BYTES = 4 << 20
MUCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Freezing:
    """What was frozen last: at so many actors and bytes; and when all was looked at: bytes, and how many had ended."""

    actors: int = 0
    frozen_bytes: int = 0
    looked_bytes: int = 0
    ended: int = 0

    def decide(self, actors: int, ended: int, heap_bytes: int) -> tuple[Freezing, Literal["freeze", "look", ""]]:
        """Return what to do now: freeze what there is, look at everything, or nothing.

        `ended` counts since the process began, `heap_bytes` is its anonymous memory.

        >>> start = Freezing().begin(heap_bytes=20_000_000)
        >>> frozen, what = start.decide(actors=1000, ended=0, heap_bytes=20_300_000)
        >>> what, frozen.decide(1050, 0, 20_400_000)[1], frozen.decide(600, 501, 20_400_000)[1]
        ('freeze', '', 'look')
        >>> frozen.decide(1000, 0, 29_000_000)[1], frozen.decide(1000, 0, 90_000_000)[1]
        ('freeze', 'look')
        """
        if (self.actors and ended - self.ended > self.actors / 2) or heap_bytes >= max(
            2 * self.looked_bytes, self.looked_bytes + MUCH_BYTES
        ):
            return Freezing(actors, heap_bytes, heap_bytes, ended), "look"
        if actors >= max(FEWEST, self.actors * GROWTH) or heap_bytes >= max(
            self.frozen_bytes * GROWTH, self.frozen_bytes + LITTLE_BYTES
        ):
            # What ended since the last look counts on: it may be among what was frozen then.
            return Freezing(actors, heap_bytes, self.looked_bytes, self.ended if self.actors else ended), "freeze"
        return self, ""

    def begin(self, heap_bytes: int) -> Freezing:
        """Return what holds when all there is has just been looked at, or frozen: `heap_bytes` of it."""
        return Freezing(self.actors, heap_bytes, heap_bytes, self.ended)
