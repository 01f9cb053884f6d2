"""Gathering: several futures waited for as one, under one deadline.

Edge (waits as `Future` does); what `al.gather` and `al.select` return is a Future, so the deadline is the one of
whoever waits: `al.gather(a, b).get(timeout=1.0)`, or `await` under `asyncio.timeout`. Nothing is asked twice and no
thread is made: each source wakes the whole as it settles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Lock
from typing import Any, TypeVar

from . import current
from .chain import begin_wait, end_wait
from .future import ERROR, VALUE, Future

T = TypeVar("T")


class Several(Future[T]):
    """A future that others make: given up, they are given up too."""

    def __init__(self, what: str, futures: Sequence[Future[Any]]) -> None:
        super().__init__(what)
        self._sources = tuple(futures)
        self._wakes: list[tuple[Future[Any], Callable[[], object]]] = []

    def _listen(self, tell: Callable[[Future[Any]], object]) -> None:
        """Have `tell(source)` called as each source settles, until we have an outcome: a source may outlive us."""
        for source in self._sources:
            if self.state:
                break

            def wake(source: Future[Any] = source) -> None:
                tell(source)

            self._wakes.append((source, wake))
            source.on_settled(wake)
        if self.state:
            self._forget_sources()

    def _forget_sources(self) -> None:
        while self._wakes:
            try:
                source, wake = self._wakes.pop()
            except IndexError:
                return  # another thread forgot the last
            source.forget(wake)

    def _settle(self, state: int, outcome: Any) -> bool:
        settled = super()._settle(state, outcome)
        self._forget_sources()
        return settled

    def cancel(self) -> bool:
        """Give up on all that have no outcome yet: what has not begun is taken back."""
        given_up = not self.state and super().cancel()
        for source in self._sources:
            if not source.state:
                source.cancel()
        return given_up

    def abandon(self) -> None:
        """The actor that waited is gone: unless others wait too, all are cancelled."""
        if not self._waiters:
            self.cancel()

    def let_go(self) -> None:
        """The task that awaited all of them was cancelled, and so are they, as with asyncio's own."""
        self.cancel()


class Gathered(Several[list[Any]]):
    """A future of the outcomes of others, in their order."""

    def __init__(self, futures: Sequence[Future[Any]], *, keep_errors: bool) -> None:
        super().__init__(f"{len(futures)} gathered futures", futures)
        self._keep_errors = keep_errors
        self._missing = len(futures)
        self._count = Lock()
        if not futures:
            self._settle(VALUE, [])
        self._listen(self._one_more)

    def _one_more(self, future: Future[Any]) -> None:
        state, outcome = future.outcome()
        if state == ERROR and not self._keep_errors:
            if not self.state:
                self._settle(ERROR, outcome)
            return
        with self._count:
            self._missing -= 1
            last = not self._missing
        if last and not self.state:
            self._settle(VALUE, [source.outcome()[1] for source in self._sources])

    def _wait(self, timeout: float | None) -> None:
        cell = current.cell_here()
        if cell is None:
            super()._wait(timeout)
            return
        with ExitStack() as begun:
            for source in self._sources:
                if source.to and not source.state:
                    begun.callback(end_wait, begin_wait(cell, source), source)  # refused if it would wait for itself
            super()._wait(timeout)


class Selected(Several[Future[Any]]):
    """A future of the first among others to have an outcome, whatever it is."""

    def __init__(self, futures: Sequence[Future[Any]]) -> None:
        super().__init__(f"the first of {len(futures)} futures", futures)
        self._listen(self._first)

    def _first(self, future: Future[Any]) -> None:
        if not self.state:
            self._settle(VALUE, future)


def gather(*futures: Future[Any], keep_errors: bool = False) -> Future[list[Any]]:
    """Return a future of the outcomes of `futures`, in their order: `al.gather(a, b).get(timeout=1.0)`.

    The first exception is its outcome at once (the others go on; `cancel` takes them back), or, with `keep_errors`,
    stands in the list. Raises TypeError for what is no future of actorlab's, or one that is computed when asked for.
    """
    return Gathered(_checked("gather", futures), keep_errors=keep_errors)


def select(*futures: Future[T]) -> Future[Future[T]]:
    """Return a future of the first of `futures` that has an outcome: `al.select(a, b).get(timeout=1.0).get()`.

    Of several that have one already, the first. The others go on: `select(…).cancel()` takes them back. Raises
    ValueError for none at all, TypeError as `gather` does.
    """
    if not futures:
        raise ValueError("select() of no futures would never have an outcome: give it one at least")
    return Selected(_checked("select", futures))


def _checked(name: str, futures: Sequence[Any]) -> Sequence[Future[Any]]:
    for position, future in enumerate(futures):
        if not isinstance(future, Future):
            if isinstance(future, (list, tuple)):
                raise TypeError(f"{name}(*futures) takes futures one by one: write {name}(*…) for a list")
            raise TypeError(f"{name}(): argument {position} is no future of actorlab's but {type(future).__name__}")
        if not future.settles_by_itself:
            raise TypeError(
                f"{name}(): argument {position} is computed when asked for: give its sources"
            )
    return futures
