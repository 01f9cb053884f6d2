"""TaskStream: the results of one function over many items, a bounded number of them under way.

Edge (asks actors); what `TaskSupervisor.stream` returns. Its actors do one item after another; one whose item took too
long is killed and replaced. At most `max_concurrency` items are under way, and as many again wait for their turn to be
yielded, so an endless or slow reader holds up the items, not the memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from ..actor import ERROR, Actor, ActorRef, Future, request_with
from ..errors import CallTimeout
from ..supervision import child
from .starting import Starting
from .task_actor import StreamTaskActor, is_async


class _Item:
    """One item under way, or done and not yet yielded."""

    __slots__ = ("answer", "ends", "ref")

    def __init__(self, answer: Future[Any], ref: ActorRef[Any], ends: float | None) -> None:
        self.answer = answer
        self.ref = ref
        self.ends = ends


class TaskStream:
    """Iterate once, in plain code or async; one thread or task at a time."""

    def __init__(
        self,
        supervisor: ActorRef[Any],
        function: Callable[[Any], Any],
        items: Iterator[Any],
        max_concurrency: int,
        ordered: bool,
        timeout_s: float | None,
        yields_errors: bool,
        owner: Actor | None,
    ) -> None:
        self._supervisor = supervisor
        self._function = function
        self._method = "run" if is_async(function) else "run_plain"
        self._items = items
        self._most = max_concurrency
        self._ordered = ordered
        self._timeout_s = timeout_s
        self._yields_errors = yields_errors
        self._owner = owner
        self._all: list[ActorRef[Any]] = []
        self._idle: list[ActorRef[Any]] = []
        self._running: list[_Item] = []
        self._kept: deque[_Item] = deque()  # in the order in which they are to be yielded
        self._no_more_items = False
        self._is_closed = False

    # -- items ------------------------------------------------------------------------------------------------------

    def _lacks(self) -> int:
        """Return how many more actors could be at work."""
        if self._no_more_items or len(self._kept) >= 2 * self._most:
            return 0
        return max(0, self._most - len(self._running) - len(self._idle))

    def _starting(self, number: int) -> Starting[list[ActorRef[Any]]]:
        specs = [child(StreamTaskActor, restart="temporary", shutdown=1.0) for _ in range(number)]
        return Starting(self._supervisor.request.start_children(specs))

    def _joined(self, refs: list[ActorRef[Any]]) -> None:
        for ref in refs:
            if self._owner is not None:
                self._owner.link(ref)
                ref.cast.tie(self._owner.ref)
            self._all.append(ref)
            self._idle.append(ref)

    def _begin(self) -> None:
        """Give items to the actors that are idle."""
        while self._idle and not self._no_more_items and len(self._kept) < 2 * self._most:
            try:
                item = next(self._items)
            except StopIteration:
                self._no_more_items = True
                return
            ref = self._idle.pop()
            answer: Future[Any] = Future(f"{getattr(self._function, '__qualname__', self._function)}({item!r:.40})")
            request_with(answer, ref, self._method, (self._function, item))
            one = _Item(answer, ref, None if self._timeout_s is None else time.monotonic() + self._timeout_s)
            self._running.append(one)
            self._kept.append(one)

    def _settle(self) -> None:
        """Take note of what has ended, and end what took too long."""
        now = time.monotonic()
        for one in tuple(self._running):
            if not one.answer.state and one.ends is not None and now >= one.ends:
                one.answer.fail(CallTimeout(one.answer.what, self._timeout_s or 0.0))
                self._kill(one.ref)
                self._running.remove(one)
            elif one.answer.state:
                self._running.remove(one)
                if one.ref.is_alive():
                    self._idle.append(one.ref)
                else:
                    self._all.remove(one.ref)

    def _kill(self, ref: ActorRef[Any]) -> None:
        self._all.remove(ref)
        if self._owner is not None:
            self._owner.unlink(ref)
        ref.exit("kill")

    def _ready(self) -> _Item | None:
        """Take what is to be yielded next, if it is there."""
        for one in self._kept:
            if one.answer.state:
                self._kept.remove(one)
                return one
            if self._ordered:
                return None
        return None

    def _result(self, one: _Item) -> Any:
        state, outcome = one.answer.outcome()
        if state != ERROR:
            return outcome
        if self._yields_errors and isinstance(outcome, Exception):
            return outcome
        self.close()
        raise outcome

    def _patience(self) -> float | None:
        ends = [one.ends for one in self._running if one.ends is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    # -- iterating ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        try:
            while not self._is_closed:
                number = self._lacks()
                if number:
                    self._joined(self._starting(number).get())
                self._begin()
                one = self._ready()
                if one is not None:
                    yield self._result(one)
                elif not self._kept:
                    return
                else:
                    try:
                        _first(self._running).get(timeout=self._patience())
                    except CallTimeout:
                        pass
                self._settle()
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            while not self._is_closed:
                number = self._lacks()
                if number:
                    self._joined(await self._starting(number))
                self._begin()
                one = self._ready()
                if one is not None:
                    yield self._result(one)
                elif not self._kept:
                    return
                else:
                    try:
                        async with asyncio.timeout(self._patience()):
                            await _first(self._running)
                    except TimeoutError:
                        pass
                self._settle()
        finally:
            self.close()

    def close(self) -> None:
        """End all that is under way; idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        for one in self._running:
            one.answer.cancel()
            self._kill(one.ref)
        for ref in self._all:
            ref.stop(block=False)
        self._all.clear()
        self._idle.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _first(running: list[_Item]) -> Future[None]:
    """Return what settles with one of them. Who gives up waiting for it does not give up on them."""
    first: Future[None] = Future("an item that is done")

    def wake() -> None:
        if not first.state:
            first.reply(None)

    for one in running:
        one.answer.on_settled(wake)
    return first
