"""Signs: how a process of the node comes to know its own vital signs, and writes them down where anybody may read them.

Edge (the garbage collector's callbacks, this process's memory, shared memory); one in the user's process and one in
every worker. Messages pay nothing for it: pauses are counted in the collector's callback, all else when the heart
beats. Every figure is written by one thread at a time (see vitals).

The census is what the marginal cost of an actor is worked out from: how much anonymous memory the process has, at how
many actors of which class. It is taken when an actor is about to be built and there are more than ever before, by so
and so many, because only then they live in memory that the process did not have before; one that takes the place of
an ended actor costs nothing new. The first row has no actors; what a class's import costs is not in the later ones.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Mapping
from itertools import compress
from pathlib import Path
from typing import Any

from ..memory import has, own_private_bytes
from ..transport import CLASS_ID, CLASSES_A_SAMPLE, DEPTH, SLOT_U32, Sample, Vitals
from .books import Books
from .forks import let_go_in_children
from .freezing import Freeze, Freezing

SETTLED = 1.05
"""How much more than at the last census is worth another, when the number of actors has stopped growing."""
_SAY_EVERY_S = 1.0


def vitals_path(directory: Path, slot: int) -> Path:
    """Return the vitals page of a process slot."""
    return directory / f"vitals.{slot}"


def next_census(actors: int) -> int:
    """Return at how many actors to take the census again: after each of the first eight, a quarter more, twice as many.

    >>> next_census(0), next_census(8), next_census(4000), next_census(5000)
    (1, 10, 5000, 10000)
    """
    if actors < 8:
        return actors + 1
    return actors * 2 if actors > 4096 else actors + actors // 4


class Signs:
    """The vital signs of this process."""

    def __init__(self, directory: Path, slot: int, epoch: int, books: Books | None, freeze: Freeze = "never") -> None:
        """Take the slot's page. `books` are those of the actors that the census counts."""
        self._vitals = Vitals.occupy(vitals_path(directory, slot), epoch)
        self._books = books
        self._freeze = freeze
        self._freezing = Freezing().begin(own_private_bytes() or 0)
        self._freezes = 0
        self._collecting_since = 0
        self._before = self._counted = 0
        self._said: tuple[Any, ...] = ()
        self._says_memory = not has("proc")  # else whoever wants to know looks for himself
        self._said_memory_at = -_SAY_EVERY_S
        self._private_bytes: int | None = None
        self._counting = threading.Lock()  # the heart and the loop both take the census
        let_go_in_children(self)
        gc.callbacks.append(self._on_collection)
        if books is not None:
            self.take_census()
            books.take_census = self.take_census

    def _on_collection(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter_ns()
        elif self._collecting_since:
            self._vitals.count_pause(time.perf_counter_ns() - self._collecting_since, info["generation"] == 2)

    def beat(self) -> None:
        """The heart beats: say so, and take the census if the number of actors has settled."""
        vitals = self._vitals
        vitals.beat(time.monotonic_ns())
        thresholds = gc.get_threshold()
        if self._books is not None:
            actors = self._actors()
            if actors == self._before and actors > self._counted * SETTLED:
                self.take_census()
            self._before = actors
        if self._said != (thresholds, self._freezes):
            self._said = thresholds, self._freezes
            vitals.say_gc(gc.get_freeze_count(), thresholds)

    def turned(self) -> None:
        """The loop gives a sign of life; there it may freeze what there is, or look at all of it."""
        self._vitals.turned(time.monotonic_ns())
        freezes = self._books is not None and self._freeze == "growth"
        if not (freezes or self._says_memory):
            return
        try:
            size = self._say_memory() if self._says_memory else own_private_bytes()
        except OSError:
            return  # no descriptor left to look with: at the next beat, then
        if freezes and size is not None:
            self._freeze_or_look(size)

    def _say_memory(self) -> int | None:
        """Let others see how much memory is ours, where only we are told; now and then, for it takes ms to find out."""
        now = time.monotonic()
        if now - self._said_memory_at >= _SAY_EVERY_S:
            self._said_memory_at = now
            self._private_bytes = own_private_bytes()
            self._vitals.say_private(self._private_bytes or 0)
        return self._private_bytes

    def take_census(self) -> None:
        """Write down how much memory there is, and how many actors of which class. 20 µs and 30 ns an actor."""
        if not self._counting.acquire(blocking=False):
            return
        try:
            self._count()
        except OSError:
            pass  # no descriptor left to look with: the next growth is soon enough
        finally:
            self._counting.release()

    def _count(self) -> None:
        assert self._books is not None
        table = self._books.table
        states = table.states()
        counted = Counter(compress(table.u32[CLASS_ID : len(states) * SLOT_U32 : SLOT_U32], states))
        depth = sum(compress(table.u32[DEPTH : len(states) * SLOT_U32 : SLOT_U32], states))
        actors = counted.total()
        self._counted = max(self._counted, actors)
        self._books.census_at = next_census(actors)
        counts = tuple(counted.most_common(CLASSES_A_SAMPLE))
        size = own_private_bytes()
        if size is not None:
            self._vitals.add_sample(Sample(size, actors, depth, counts))

    def _actors(self) -> int:
        assert self._books is not None
        return self._books.table.used

    def _freeze_or_look(self, heap_bytes: int) -> None:
        assert self._books is not None
        self._freezing, what = self._freezing.decide(self._actors(), self._books.ended, heap_bytes)
        if what:
            if what == "look":
                gc.unfreeze()
            gc.collect(2 if what == "look" else 1)
            gc.freeze()
            self._freezes += 1

    def close_in_child(self) -> None:
        """In a forked child: its collections are not ours, and the page is our parent's."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    def close(self) -> None:
        """Count no more; the page stays. Idempotent."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)
            self._vitals.close()
