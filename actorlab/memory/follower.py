"""Follower: a reader's place in a stream, and how it waits for more.

An edge (memory; blocks, parks or awaits). Used by one reader at a time. `position` is the number of the next batch; a
reader that notes it can go on there later, in another process too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ..errors import SegmentCorrupt, SegmentGone, StreamGap
from ..lean_asyncio import asyncio
from .news import here, sleep_until_changed
from .stream_layout import DATA, unpack
from .stream_part import Part, part_numbers

if TYPE_CHECKING:
    import pyarrow as pa

Wait = Callable[["Follower", float | None], bool | None]

_parkers: list[Wait] = []


def park_followers(wait: Wait) -> None:
    """Say how a wait is done in this process where a thread must not block: None, if it is a thread that may."""
    _parkers[:] = [wait]


class Follower:
    """Batches of a stream, one after another. See `Stream.follow`."""

    def __init__(self, folder: str, what: str, position: int, *, exact: bool, skip: bool, idle_s: float | None) -> None:
        """Begin at batch `position`; if that was dropped, there is a gap, unless it need not be `exact`."""
        self.what, self.position = what, position
        self.missed = 0
        """How many batches were dropped before they could be read."""
        self.ended = False
        """Whether the stream was finished and all of it has been read."""
        self.schema: pa.Schema | None = None
        self.folder, self._skip, self._idle_s = folder, skip, idle_s
        self._part: Part | None = None
        self._reader: Any = None
        self._index = 0  # of the next batch within the part
        self._gap: StreamGap | None = None
        self._enter(self._part_of(position))
        if not exact:
            self._gap, self.missed = None, 0

    # -- without waiting --------------------------------------------------------------------------------------------

    def take(self) -> pa.RecordBatch | None:
        """Return the next batch if it is there, else None. Never waits. Raises StreamGap, SegmentCorrupt."""
        while not self.ended:
            if self._gap is not None:
                gap, self._gap = self._gap, None
                raise gap
            part = self._mine()
            length, batches, closed = unpack(part.word())
            if self._index < batches:
                if not part.is_whole(length):
                    self._map_again()
                elif (batch := self._read()) is not None:
                    return batch
            elif closed:
                self._go_on(part.number + 1)
            else:
                break
        return None

    def _read(self) -> pa.RecordBatch | None:
        """Read one committed batch; None if it only lies on the way to `position`."""
        import pyarrow as pa

        part, reader = self._mine(), self._reader
        try:
            if not self._index:
                self.schema = pa.ipc.read_schema(pa.ipc.read_message(reader))
            message = pa.ipc.read_message(reader)
            wanted = part.first + self._index >= self.position
            batch = pa.ipc.read_record_batch(message, self.schema) if wanted else None
        except (pa.ArrowException, OSError, EOFError) as error:
            at = part.first + self._index
            raise SegmentCorrupt(part.path, f"is no Arrow stream at batch {at} ({error})") from error
        self._index += 1
        if wanted:
            self.position += 1
        return batch

    # -- parts ------------------------------------------------------------------------------------------------------

    def _mine(self) -> Part:
        if self._part is None:
            raise ValueError(f"this follower of {self.what} is closed")
        return self._part

    def _part_of(self, position: int) -> int:
        """Return the number of the part that holds, or will hold, the batch `position`; else of the oldest."""
        numbers = self._numbers()
        found = numbers[0]
        for number in reversed(numbers):
            try:
                part = Part.open(self.folder, number)
            except FileNotFoundError:
                break
            first = part.first
            part.close()
            if first <= position:
                return number
        return found

    def _numbers(self) -> list[int]:
        try:
            numbers = part_numbers(self.folder)
        except FileNotFoundError:
            numbers = []
        if not numbers:
            raise SegmentGone(self.what, self.folder)
        return numbers

    def _enter(self, number: int) -> None:
        """Read on in that part, or, if it was dropped, in the oldest that is there."""
        import pyarrow as pa

        while True:
            try:
                part = Part.open(self.folder, number)
                break
            except FileNotFoundError:
                later = [each for each in self._numbers() if each > number]
                if not later:
                    raise SegmentGone(self.what, self.folder) from None
                number = later[0]
        before, self._part, self._index = self._part, part, 0
        if before is not None:
            before.close()
        self._reader = pa.BufferReader(pa.py_buffer(part.segment.mmap).slice(DATA))
        if part.first > self.position:
            wanted, self.position = self.position, part.first
            self.missed += part.first - wanted
            if not self._skip:
                self._gap = StreamGap(self.what, wanted, part.first)

    def _go_on(self, number: int) -> None:
        """The part is closed and read: go on to the next, or come to the end."""
        numbers = self._numbers()
        if numbers[-1] < number:
            self.ended = True
        else:
            self._enter(number)

    def _map_again(self) -> None:
        """The mapping is short: it was made while a writer cut a tail. Make it anew, in the same place."""
        at, index, part = self._reader.tell(), self._index, self._mine()
        self._enter(part.number)
        if self._mine().number == part.number:
            self._reader.seek(at)
            self._index = index

    def close(self) -> None:
        """Let go of the part; batches that are used stay valid. Idempotent."""
        self._reader = None
        part, self._part = self._part, None
        if part is not None:
            part.close()

    def __del__(self) -> None:
        if getattr(self, "_part", None) is not None:
            self.close()

    # -- waiting ----------------------------------------------------------------------------------------------------

    def has_news(self) -> bool:
        """Whether `take` would do more than to return None. From any thread."""
        if self.ended:
            return False
        part = self._mine()
        try:
            _, batches, closed = unpack(part.word())
        except ValueError:
            return True  # its reader left this part just now
        return self._index < batches or closed or self._gap is not None

    def on_news(self, hear: Callable[[], object]) -> Callable[[], object]:
        """Call `hear` once, from some thread, when there is more than has been read; return how to take that back."""
        forget = here.listen(self.folder, self._mine().number, self._index, hear)
        if (self.has_news() or self.is_gone()) and forget():  # it came between the reader's look and now
            hear()
        return forget

    def is_gone(self) -> bool:
        """Whether the stream, or its whole pool, was removed before it was finished: nothing more will come."""
        part = self._mine()
        return not part.is_there() and not part.commit().closed

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until `take` would find something, at most `timeout_s`; return whether it would.

        Parks a handler, blocks a thread; BlockingCall in an async handler. Raises SegmentGone when the stream is gone.
        """
        if self.has_news() or self.ended:
            return not self.ended
        if self.is_gone():
            raise SegmentGone(self.what, self.folder)
        for park in _parkers:
            answer = park(self, timeout_s)
            if answer is not None:
                return answer
        end = None if timeout_s is None else time.monotonic() + timeout_s
        part = self._mine()
        while not self.has_news():
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            sleep_until_changed(part, self._index, left)
            if self.is_gone() and not self.has_news():
                raise SegmentGone(self.what, self.folder)
        return True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pa.RecordBatch:
        while (batch := self.take()) is None:
            if self.ended or not self.wait(self._idle_s):
                raise StopIteration
        return batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        while (batch := self.take()) is None:
            if self.ended or not await self.wait_async(self._idle_s):
                raise StopAsyncIteration
        return batch

    async def wait_async(self, timeout_s: float | None = None) -> bool:
        """`wait` that blocks no event loop."""
        if self.has_news() or self.ended:
            return not self.ended
        if self.is_gone():
            raise SegmentGone(self.what, self.folder)
        loop = asyncio.get_running_loop()
        news: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not news.done():
                news.set_result(None)

        def hear() -> None:
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                pass  # that loop has been closed meanwhile

        forget = self.on_news(hear)
        try:
            await asyncio.wait_for(news, timeout_s)
            return True
        except TimeoutError:
            return False
        finally:
            forget()
