"""Future: an answer that is on its way; blocking, parking or awaitable, as the place it is used in needs.

Edge (threads and event loops); what `request`, `ask` and proxies return. A genuine `pykka.Future`. `get` parks a
handler's greenlet, blocks a foreign thread on a lock, and is refused where it would block an event loop of ours;
`await` never blocks any loop. Settled exactly once (P6): a later answer is counted in `late` and dropped.
"""

from __future__ import annotations

import sys
import time
from _thread import allocate_lock
from collections.abc import Callable, Generator, Iterable
from typing import Any, Self, TypeVar, cast

import pykka

from ..errors import CallCancelled, CallTimeout
from ..lean_asyncio import asyncio
from . import current
from .chain import begin_wait, end_wait
from .envelope import Chain
from .waiting import wait_for

T = TypeVar("T")

PENDING, VALUE, ERROR = 0, 1, 2

ExcInfo = tuple[Any, Any, Any]

LOOK_UP_S = 0.25
"""How often a thread that waits without end looks up."""


class Future(pykka.Future[T]):
    """An answer on its way. Any thread may settle it, any number may wait."""

    late = 0
    """How many answers in this process came after their future had been settled or given up."""
    asked = -1
    """The process that the question went to, once it is on its way there; -1: none."""
    runtime: Any = None
    """The runtime through which the question went, if there is one."""

    def __init__(self, what: str = "a future", chain: Chain = ()) -> None:
        self._get_hook = None
        self.state = PENDING
        self._outcome: Any = None
        self._traceback: Any = None
        self._sources: tuple[Any, ...] = ()
        self._waiters: list[Callable[[], object]] = []
        self.chain = chain
        self.waiting_in: Any = None  # the full mailbox at whose door its question waits
        self.to = 0  # whose answer it is, if an actor's
        self.corr = 0  # its number among the questions to other processes
        self.what = what

    def __repr__(self) -> str:
        return f"<actorlab.Future of {self.what}: {('pending', 'value', 'error')[self.state]}>"

    # -- settling: the Sink protocol ------------------------------------------------------------------------

    def reply(self, value: Any) -> None:
        """Settle with a value, unless settled."""
        self._settle(VALUE, value)

    def fail(self, error: BaseException) -> None:
        """Settle with an exception, unless settled."""
        self._settle(ERROR, error)

    def _settle(self, state: int, outcome: Any) -> bool:
        # `setdefault` is one step of the interpreter: of two threads that settle, one is first
        settling = (state, outcome)
        if self.__dict__.setdefault("_settling", settling) is not settling:
            Future.late += 1
            return False
        if state == ERROR:
            self._traceback = outcome.__traceback__
        self._outcome = outcome
        self.state = state
        waiters = self._waiters
        # A waiter appends itself, then looks at `state`; we set `state`, then pop. Each pop is atomic, so whichever
        # order the two threads take, every waiter is called once.
        while waiters:
            try:
                wake = waiters.pop()
            except IndexError:
                break
            wake()
        return True

    def on_settled(self, wake: Callable[[], object]) -> None:
        """Call `wake` (from whatever thread settles) once there is an outcome; at once if there is one."""
        self._waiters.append(wake)
        if self.state:
            try:
                self._waiters.remove(wake)
            except ValueError:
                return  # the settling thread took it
            wake()

    def forget(self, wake: Callable[[], object]) -> None:
        """Take back `on_settled`."""
        try:
            self._waiters.remove(wake)
        except ValueError:
            pass

    # -- Pykka's spelling -----------------------------------------------------------------------------------

    def set(self, value: T | None = None) -> None:
        """Settle with a value; an error if it was settled or has a hook."""
        self._must_be_free()
        if not self._settle(VALUE, value):
            raise pykka_full()

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Settle with the exception in hand, or the one given as a `sys.exc_info()` triple."""
        self._must_be_free()
        kind, error, traceback = exc_info or sys.exc_info()
        if error is None:
            error = kind() if kind is not None else RuntimeError("set_exception without an exception")
        if not self._settle(ERROR, error.with_traceback(traceback) if traceback is not None else error):
            raise pykka_full()

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Compute the value by `func(timeout)` when it is first asked for."""
        self._must_be_free()
        self._get_hook = func

    def _must_be_free(self) -> None:
        if self.state or self._get_hook is not None:
            raise pykka_full()

    def get(self, *, timeout: float | None = None) -> T:
        """Wait for the outcome, at most `timeout` seconds (None: without end); return it or raise it.

        Raises CallTimeout (a pykka.Timeout) when the time is up: the answer may still come and can be asked for again.
        """
        if not self.state:
            hook = self._get_hook
            if hook is not None:
                value = hook(timeout)
                if not self.state:
                    self._settle(VALUE, value)
            else:
                self._wait(timeout)
        if self.state == VALUE:
            return cast("T", self._outcome)
        # each time from where it was raised: asking again must not make the traceback longer
        raise self._outcome.with_traceback(self._traceback)

    def cancel(self) -> bool:
        """Give up: settle with CallCancelled, and take the question back. Return False if it was settled already.

        A message that has not begun will not be handled (a dead letter `cancelled`), in whatever process it waits; a
        handler that has begun goes on, and its answer is late. Whoever else waits for this future is told too.
        """
        if not self._settle(ERROR, CallCancelled(self.what)):
            return False
        if self.to and self.runtime is not None:
            self.runtime.take_back(self, self.to)
        for source in self._sources:
            source.cancel()
        return True

    def abandon(self) -> None:
        """The actor that waited for an answer is gone: unless others wait too, it is cancelled."""
        if self.to and not self._waiters:
            self.cancel()

    def let_go(self) -> None:
        """A task that awaited it was cancelled: once nobody holds it any more, its question is taken back.

        Whoever still holds it may ask again.
        """
        if self.to and self.runtime is not None and not self.state:
            self.runtime.loosen(self, self.to)

    @property
    def settles_by_itself(self) -> bool:
        """Whether it gets an outcome without anybody asking: not so when a hook computes it."""
        return self._get_hook is None or bool(self.state)

    def outcome(self) -> tuple[int, Any]:
        """Return (PENDING | VALUE | ERROR, value or exception) without waiting."""
        return self.state, self._outcome

    def _wait(self, timeout: float | None) -> None:
        kernel = current.kernel_here()
        if kernel is not None:
            wait_for(kernel, self, timeout)
            return
        cell = current.cell_here()
        if cell is None or not self.to:
            self._block(timeout)
            return
        waits = begin_wait(cell, self)
        try:
            self._block(timeout)
        finally:
            end_wait(waits, self)

    def _block(self, timeout: float | None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        if self.corr:
            runtime = current.runtime_here()
            if runtime is not None and runtime.wait_in_foreign_thread(self, timeout):
                return
        lock = allocate_lock()
        lock.acquire()
        self.on_settled(lock.release)
        while not lock.acquire(timeout=LOOK_UP_S if end is None else max(0.0, min(LOOK_UP_S, end - time.monotonic()))):
            # The system may hand a signal to another thread; then nothing interrupts this wait, and a Ctrl-C would
            # be heard when it ends. Between two waits the main thread hears it.
            if end is not None and time.monotonic() >= end:
                self.forget(lock.release)
                if not self.state:
                    raise CallTimeout(self.what, timeout or 0.0)
                return

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait without blocking any event loop."""
        if not self.state:
            if self._get_hook is None:
                yield from self._settled_in(asyncio.get_running_loop())
            elif self._sources:
                for source in self._sources:
                    try:
                        yield from source.__await__()
                    except Exception:
                        pass  # `get` raises it
            else:
                # somebody's hook may block, and nothing says how: it gets a thread, the loop goes on
                return (yield from asyncio.get_running_loop().run_in_executor(None, self.get).__await__())
        return self.get(timeout=0)

    def _settled_in(self, loop: asyncio.AbstractEventLoop) -> Generator[Any, Any, None]:
        done = loop.create_future()

        def settled() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(settled)
            except RuntimeError:
                pass  # that loop has been closed meanwhile

        cell = current.waiting_here() if self.to else None
        waits = begin_wait(cell, self) if cell is not None else None
        self.on_settled(wake)
        try:
            yield from done.__await__()
        except (asyncio.CancelledError, GeneratorExit):
            self.let_go()
            raise
        finally:
            self.forget(wake)
            if waits is not None:
                end_wait(waits, self)

    # -- made of others -------------------------------------------------------------------------------------

    def _made_of(self, *sources: pykka.Future[Any]) -> Self:
        """Note what its hook will ask, so that `await` waits for these and then need not block."""
        if all(isinstance(source, Future) for source in sources):
            self._sources = sources
        return self

    def filter(self, func: Callable[[Any], bool]) -> Any:
        """Return a future of the items for which `func` is true."""
        return cast("Future[Any]", super().filter(func))._made_of(self)  # type: ignore[misc]

    def map(self, func: Callable[[Any], Any]) -> Any:
        """Return a future of `func(outcome)`."""
        return cast("Future[Any]", super().map(func))._made_of(self)

    def reduce(self, func: Callable[[Any, Any], Any], *args: Any) -> Any:
        """Return a future of the items, reduced by `func` as `functools.reduce` does."""
        return cast("Future[Any]", super().reduce(func, *args))._made_of(self)  # type: ignore[misc]

    def join(self, *futures: pykka.Future[Any]) -> Future[Iterable[Any]]:
        """Return a future of the list of all outcomes, under one deadline for them together."""
        joined: Future[Iterable[Any]] = Future("joined futures")

        def gather(timeout: float | None) -> list[Any]:
            end = None if timeout is None else time.monotonic() + timeout
            return [f.get(timeout=None if end is None else max(0.0, end - time.monotonic())) for f in (self, *futures)]

        joined.set_get_hook(gather)
        return joined._made_of(self, *futures)


def pykka_full() -> Exception:
    """The error of a future that is set twice: Pykka's is queue.Full, kept so that its users' handlers work."""
    import queue

    return queue.Full("the future has been set already")
