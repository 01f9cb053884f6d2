"""Streaming: the producing side of streamed replies: a generator that is run a batch at a time, as its reader asks.

Edge (runs generators in their actor's place); used by the kernel. A reader asks for batches (`pull`), each an ordinary
question in the actor's mailbox, so all that holds for calls holds for streams: one message at a time (P1; other
messages come between two batches), order, bounds, and what happens when somebody dies. Nobody asks, nothing runs: that
is the back-pressure. A batch ends after `MOST_ITEMS`, MOST_BYTES or TURN_NS, or when the generator waits: what it has
yielded by then goes out at once. Slow streams go item by item, fast ones by the hundred.

A stream ends with its generator, its incarnation, or its reader: when the reader closes it, or dies, the generator is
closed in its actor's place, behind the messages before; an async one that waits is cancelled where it waits.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Generator
from sys import getsizeof
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from ..errors import BadCall
from . import current
from .future import Future
from .special import special_of
from .work import behind, run_hook

if TYPE_CHECKING:
    from .cell import Cell
    from .scheduler import Kernel

PULL = "<stream>"
"""The name under which every actor can be asked for a batch; no method of a user's can have it."""

MOST_ITEMS = 512
MOST_BYTES = 256 * 1024
TURN_NS = 1_000_000
FAST_NS = 200_000  # a batch that took less may be larger next time
SLOW_NS = 100_000  # items that take longer each go alone
PATIENCE_S = 0.001  # how long an item may wait for one that is parked for

MORE, FINISHED, GONE, REFUSED = range(4)
"""How a batch ends: there is more; that was all (with the generator's value); no such stream here; never began."""

Key = tuple[int, int]
Opening = tuple[str, tuple[Any, ...], dict[str, Any], int]
"""Method, args, kwargs, and the address of the actor that reads (0: none does)."""
Batch = tuple[list[Any], int, Any]


class Outflow:
    """One generator under way, at its producer."""

    __slots__ = ("_address", "_kernel", "_key", "_most", "_watch", "busy", "closing", "error", "items",
                 "line", "source", "task", "to_close")  # fmt: skip

    def __init__(self, cell: Cell, key: Key, reader: int) -> None:
        self.source: Any = None  # until its method has made it
        self.items: list[Any] = []  # yielded, and not yet sent
        self.error: BaseException | None = None  # raised behind items that had to go first
        self.task: asyncio.Task[Any] | None = None  # of the batch under way, if the generator is async
        self.closing = False
        self.to_close = False  # as soon as the batch under way is done
        self.busy = True  # being opened; a reentrant actor may be asked for the next batch before one is done
        self.line: deque[Future[None]] = deque()
        self._most = 1
        self._kernel = cell.kernel
        self._address = cell.main.address
        self._key = key
        self._watch = 0
        if reader:
            self._kernel.do(self._watch_reader, reader)

    def _watch_reader(self, reader: int) -> None:
        gone: Future[Any] = Future("the end of a stream's reader")
        self._watch = self._kernel.signals.watch_from_outside(reader, gone)
        gone.on_settled(lambda: close_stream(self._kernel, self._address, self._key))

    def ended(self) -> None:
        """There will be no more: stop watching the reader."""
        if self._watch:
            self._kernel.do(self._kernel.signals.unwatch, self._watch)
            self._watch = 0

    def gate(self) -> Future[None]:
        """Return what settles when the batch under way is done."""
        gate: Future[None] = Future("a stream's turn")
        self.line.append(gate)
        return gate

    def leave(self) -> None:
        """The batch is done: let in the next, or close the generator if its reader has gone meanwhile."""
        self.busy = False
        if self.to_close:
            self.to_close = False
            _close_behind(self._kernel, self._address, self._key)
        while self.line:
            self.line.popleft().reply(None)

    def take(self) -> list[Any]:
        """Return what is to be sent now."""
        items, self.items = self.items, []
        return items

    def next_most(self, taken: int, elapsed_ns: int) -> None:
        """Adapt the size of batches to the pace of the generator."""
        if elapsed_ns > SLOW_NS * max(1, taken):
            self._most = 1
        elif taken >= self._most and elapsed_ns < FAST_NS:
            self._most = min(MOST_ITEMS, self._most * 4)

    def produce(self, cell: Cell, sink: Any) -> Batch:
        """Run a plain generator for a batch."""
        if self.error is not None:
            raise self.error
        kernel = self._kernel
        # A generator that parks keeps the thread from us; the kernel sends for it what has been waiting since.
        early = _Early(self, sink) if self._most > 1 and not cell.behaviour.blocking else None
        if early is not None:
            kernel.deadlines.add(early, PATIENCE_S)
        most, size, taken = self._most, 0, 0
        started = perf_counter_ns()
        until = started + TURN_NS
        ended, value = MORE, None
        step = self.source.__next__
        try:
            while True:
                item = step()
                self.items.append(item)
                taken += 1
                size += getsizeof(item)
                if taken >= most or size > MOST_BYTES or perf_counter_ns() > until or (early and early.fired):
                    break
        except StopIteration as stop:
            ended, value = FINISHED, stop.value
        except Exception as error:
            if not self.items and (early is None or not early.fired):
                raise
            self.error = error
        finally:
            if early is not None and early.wheel is not None:
                early.wheel.pop(early, None)
        if early is not None and early.fired:
            return self._left_over(ended, value)
        self.next_most(taken, perf_counter_ns() - started)
        return self.take(), ended, value

    def _left_over(self, ended: int, value: Any) -> Batch:
        """This batch's answer has gone: what came since waits for the next one, and so does the end."""
        if ended == FINISHED:
            self.source = _over(value)
        return [], MORE, None

    async def produce_async(self, sink: Any) -> Batch:
        """Run an async generator for a batch; its items go out as soon as it waits."""
        if self.error is not None:
            raise self.error
        if self.items:
            return self.take(), MORE, None
        self.task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        flush: asyncio.Handle | None = None
        early = _Early(self, sink)
        most, size, taken = self._most, 0, 0
        started = perf_counter_ns()
        until = started + TURN_NS
        ended = MORE
        step = self.source.__anext__
        try:
            while True:
                item = await step()
                self.items.append(item)
                taken += 1
                size += getsizeof(item)
                if early.fired or taken >= most or size > MOST_BYTES or perf_counter_ns() > until:
                    break
                if flush is None:
                    flush = loop.call_soon(early.expire)
        except StopAsyncIteration:
            ended = FINISHED
        except asyncio.CancelledError:
            if not self.closing:
                raise
            ended = FINISHED
        except Exception as error:
            if not self.items and not early.fired:
                raise
            self.error = error
        finally:
            self.task = None
            if flush is not None:
                flush.cancel()
        if early.fired:
            if ended == FINISHED:
                self.source = _Nothing()
            return [], MORE, None
        self.next_most(taken, perf_counter_ns() - started)
        return self.take(), ended, None


class _Early:
    """A batch that is answered before its turn is over, because the generator waits."""

    __slots__ = ("_flow", "_sink", "fired", "wheel")

    def __init__(self, flow: Outflow, sink: Any) -> None:
        self._flow = flow
        self._sink = sink
        self.fired = False
        self.wheel: Any = None

    def expire(self) -> None:
        """Send what there is."""
        if self._flow.items and not self.fired and self._sink is not None:
            self.fired = True
            self._sink.reply((self._flow.take(), MORE, None))


def _over(value: Any) -> Generator[Any, None, Any]:
    """A generator that has nothing left but its value."""
    yield from ()
    return value


class _Nothing:
    """An async generator that is over."""

    async def __anext__(self) -> Any:
        raise StopAsyncIteration


def pull(_actor: Any, key: Key, opening: Opening | None) -> Any:
    """Answer a reader with the next batch of its stream, beginning it if this is the first: in the actor's place."""
    cell = current.cell_here()
    assert cell is not None
    streams = special_of(cell).streams
    flow = streams.get(key)
    while flow is not None and flow.busy and not hasattr(flow.source, "__anext__"):
        flow.gate().get()
        flow = streams.get(key)
    if flow is None:
        if opening is None:
            return [], GONE, None
        # Known before it is opened, which may take long: its reader may ask for the next batch meanwhile, or close it.
        flow = streams[key] = Outflow(cell, key, opening[3])
        try:
            flow.source = _open(cell, opening)
        except BaseException:
            _end(streams, key)
            raise
        finally:
            flow.leave()
        if isinstance(flow.source, BadCall):
            _end(streams, key)
            return [], REFUSED, flow.source
    if hasattr(flow.source, "__anext__"):
        return _produce_async(streams, key, flow, cell.sink)
    flow.busy = True
    try:
        if flow.items and flow.error is None:
            return flow.take(), MORE, None
        batch = flow.produce(cell, cell.sink)
    except BaseException:
        _end(streams, key)
        raise
    finally:
        flow.leave()
    if batch[1] != MORE:
        _end(streams, key)
    return batch


async def _produce_async(streams: dict[Key, Outflow], key: Key, flow: Outflow, sink: Any) -> Batch:
    while flow.busy:
        await flow.gate()
    if key not in streams:
        return [], GONE, None
    flow.busy = True
    try:
        batch = await flow.produce_async(sink)
    except BaseException:
        _end(streams, key)
        raise
    finally:
        flow.leave()
    if batch[1] != MORE:
        _end(streams, key)
    return batch


def _end(streams: dict[Key, Outflow], key: Key) -> None:
    flow = streams.pop(key, None)
    if flow is not None:
        flow.ended()


def _open(cell: Cell, opening: Opening) -> Any:
    """Return the generator that a method makes, or what is wrong with asking for it."""
    name, args, kwargs, _reader = opening
    function = cell.behaviour.public.get(name)
    if function is None:
        return BadCall(cell.name, f"no public method {name!r}")
    try:
        inspect.signature(function).bind(cell.object, *args, **kwargs)
    except TypeError as error:
        return BadCall(cell.name, f"{name}(): {error}")
    except ValueError:
        pass  # nothing is known of its arguments
    source = function(cell.object, *args, **kwargs)
    if not hasattr(source, "__next__") and not hasattr(source, "__anext__"):
        if inspect.iscoroutine(source):
            source.close()
        return BadCall(cell.name, f"{name}() is no generator (it gives {type(source).__name__}): use ref.call.{name}()")
    return source


def close_stream(kernel: Kernel, address: int, key: Key) -> None:
    """A stream's reader is gone: close the generator in its actor's place. In the kernel's thread."""
    cell = kernel.cells.get(address)
    special = cell.extra.special if cell is not None and cell.extra is not None else None
    flow = special.streams.get(key) if special is not None else None
    if cell is None or flow is None or flow.closing:
        return
    flow.closing = True
    if flow.task is not None:
        flow.task.cancel()  # its turn ends with this; then it is closed
    _close_behind(kernel, address, key)


def _close_behind(kernel: Kernel, address: int, key: Key) -> None:
    cell = kernel.cells.get(address)
    if cell is not None:
        behind(kernel, cell, _closing(key), "the end of a stream")


def _closing(key: Key) -> Any:
    def step(cell: Cell, _me: Any) -> bool:
        streams = special_of(cell).streams
        flow = streams.get(key)
        if flow is None:
            return True
        if flow.busy:
            flow.to_close = True  # a reentrant actor's other handler is in it, and waits
            return True
        _end(streams, key)
        if flow.error is not None:
            raise flow.error  # nobody was told: it is a handler's that nobody waits for
        return run_hook(cell, _close(flow.source), "the end of a stream")

    return step


def _close(source: Any) -> Any:
    """Close a generator; of an async one, return the coroutine that does: its own `aclose()` is awaitable, but none."""
    if hasattr(source, "aclose"):
        return _aclose(source)
    if hasattr(source, "close"):
        source.close()
    return None


async def _aclose(source: Any) -> None:
    await source.aclose()
