"""Stream: the reading side of streamed replies: `for part in ref.stream.read(h)`, or `async for`.

Edge (asks an actor); what `ref.stream` returns. AHEAD batches are asked for at a time, so that the producer works on
one while the reader consumes another; it never runs further ahead. Each wait for an item has the deadline of
`ref.within`, 5 s unless told. An error of the generator, or the death of its actor, is raised behind the items before.

A stream that is closed, dropped, or whose reader dies, closes the generator: whoever leaves a loop need do nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ..errors import ActorDied, CallTimeout
from . import current, outbound
from .future import Future
from .streaming import FINISHED, GONE, PULL, REFUSED, Key

if TYPE_CHECKING:
    from .ref import ActorRef

T = TypeVar("T")

AHEAD = 2

_numbers = count(1)


class Pull(Future[Any]):
    """The answer to one request for a batch. A producer may answer early, and again in the ordinary way: one counts."""

    def _settle(self, state: int, outcome: Any) -> bool:
        return not self.state and super()._settle(state, outcome)


class Stream(Generic[T]):
    """The items that a generator of an actor yields, in order. Iterate once; one thread or task at a time."""

    def __init__(
        self, ref: ActorRef[Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None
    ) -> None:
        self._ref = ref
        self._what = f"an item of {name}() of {ref.path}"
        self._timeout_s = timeout_s
        self._key: Key = os.getpid(), next(_numbers)
        self._batch: Iterator[T] = iter(())
        self._pulls: deque[Pull] = deque()
        self.is_finished = False
        self.value: Any = None
        """What a plain generator returned, once it is finished."""
        cell = current.cell_here()
        self._ask((name, args, kwargs, cell.main.address if cell is not None else 0))
        while len(self._pulls) < AHEAD:
            self._ask(None)

    def _ask(self, opening: Any) -> None:
        pull = Pull(self._what)
        outbound.request(self._ref, PULL, (self._key, opening), {}, pull)
        self._pulls.append(pull)

    def _open_batch(self, answer: Any) -> None:
        """A batch has come: ask for the one after the next, then hand out this one."""
        items, ended, value = answer
        self._pulls.popleft()
        if ended == FINISHED:
            self._finish()
            self.value = value
        elif ended == GONE:
            self._finish()
            raise ActorDied(str(self._ref), "its incarnation ended, and the generator with it", "handled")
        elif ended == REFUSED:
            self._finish()
            raise value
        else:
            self._ask(None)
        self._batch = iter(items)

    def _finish(self) -> None:
        """There will be no more; whatever else was asked for need not be answered."""
        self.is_finished = True
        pulls, self._pulls = self._pulls, deque()
        for pull in pulls:
            pull.cancel()

    def _next_batch(self) -> bool:
        """Wait for a batch; False when that was all."""
        if self.is_finished:
            return False
        try:
            answer = self._pulls[0].get(timeout=self._timeout_s)
        except CallTimeout:
            if not self._pulls[0].state:
                raise CallTimeout(self._what, self._timeout_s or 0.0) from None  # it may be asked for again
            self.close()
            raise
        except Exception:
            self.close()
            raise
        self._open_batch(answer)
        return True

    # -- plain code -------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        try:
            while True:
                yield from self._batch
                if not self._next_batch():
                    return
        finally:
            self.close()

    def __next__(self) -> T:
        while True:
            for item in self._batch:
                return item
            if not self._next_batch():
                raise StopIteration

    # -- async code -------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._batch:
                return item
            if self.is_finished:
                raise StopAsyncIteration
            try:
                async with asyncio.timeout(self._timeout_s) as limit:
                    answer = await self._pulls[0]
            except Exception as error:
                if limit.expired():
                    raise CallTimeout(self._what, self._timeout_s or 0.0) from None  # it may be asked for again
                self.close()
                raise error
            self._open_batch(answer)

    # -- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Have no more: what was asked for is taken back, and the generator is closed in its actor's place."""
        if not self.is_finished:
            self.is_finished = True
            self._leave()

    def _leave(self) -> None:
        # From anywhere, a collection included: only a note for a kernel, which sends what there is to send.
        runtime, address, key, pulls = self._ref.runtime, self._ref.address, self._key, self._pulls
        kernel = next(iter(runtime.kernels.values()), None)
        if kernel is not None:
            kernel.post(_leave, runtime, address, key, pulls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "is_finished", True):
            self.close()


def _leave(runtime: Any, address: int, key: Key, pulls: deque[Pull]) -> None:
    for pull in pulls:
        pull.cancel()
    runtime.signal(address, ("stream_close", address, key))


class Streams:
    """`ref.stream`: methods that are generators, and give a Stream."""

    _ref: ActorRef[Any]
    _timeout_s: float | None

    def __init__(self, ref: ActorRef[Any], timeout_s: float | None) -> None:
        self.__dict__["_ref"] = ref
        self.__dict__["_timeout_s"] = timeout_s

    def __getattr__(self, name: str) -> Callable[..., Stream[Any]]:
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private: public methods can be called")
        ref, timeout_s = self._ref, self._timeout_s

        def read(*args: Any, **kwargs: Any) -> Stream[Any]:
            return Stream(ref, name, args, kwargs, timeout_s)

        return read
