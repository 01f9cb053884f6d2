"""Stream writer: extends a stream, batch by batch; one at a time, by the kernel's word.

An edge (files, memory). Guarantees, whenever and wherever it is killed or stopped:

- A batch is there whole or not at all: its bytes are written first, then the committed word, by one store.
- The next writer goes on behind the last committed batch; a torn tail is cut. The lock ends with the process.
- No reader is ever waited for: nobody but the writer takes a lock, and waking sleepers does not wait for them.
- Pages are allocated before they are touched: a full pool is PoolFull, a full file system SharedMemoryFull, raised by
  `append`, and the stream is as it was.

Batches are numbered from 0, over all parts: `append` returns the number, `follow(from_=…)` takes it.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from ..errors import PoolFull, SegmentGone, SpecError, StreamEnded
from .futex import wake_all
from .layout import PAGE, round_up
from .segment import unlink, unlock
from .stream_layout import COMMITTED, DATA, MAX_BATCHES, MAX_PART_BYTES, pack, part_name, part_number
from .stream_lock import lock_stream
from .stream_part import Part, part_numbers
from .stream_rows import as_batch, brief, plain_schema

if TYPE_CHECKING:
    import pyarrow as pa

    Rows: TypeAlias = pa.RecordBatch | pa.Table | Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]

PART_BYTES = 16 << 20
AHEAD_BYTES = 64 << 10
MOST_AHEAD_BYTES = 4 << 20

Allocate = Callable[[int, Callable[[], None]], None]
"""`allocate(n, do)`: under the pool's lock, make sure that `n` bytes more are within its quota, then `do()`."""

_writers: weakref.WeakSet[StreamWriter] = weakref.WeakSet()
_watching: list[bool] = []


class StreamWriter:
    """The one writer of a stream. Use it with `with`, or `close` it: the stream stays, for readers and the next writer.

    `position` is the number of the next batch, `schema` what batches must have (None until the first tells).
    """

    def __init__(
        self,
        folder: str,
        what: str,
        allocate: Allocate,
        *,
        schema: pa.Schema | None = None,
        part_bytes: int = PART_BYTES,
        max_bytes: int | None = None,
    ) -> None:
        """Take up the stream in `folder`, making it if need be.

        A part takes `part_bytes` (a batch that needs more gets a larger one); with `max_bytes`, the oldest parts go
        when all together would be more. Raises StreamBusy, StreamEnded, PoolFull, SegmentCorrupt, and SpecError for
        limits or a schema that do not fit.
        """
        if not 2 * PAGE <= part_bytes <= MAX_PART_BYTES:
            raise SpecError("part_bytes", f"must be from {2 * PAGE:,} to {MAX_PART_BYTES:,}, not {part_bytes:,}")
        if max_bytes is not None and max_bytes < 2 * part_bytes:
            text = f"must be at least two parts ({2 * part_bytes:,}), not {max_bytes:,}: whole parts are dropped"
            raise SpecError("max_bytes", text)
        self.what = what
        self._folder, self._allocate = folder, allocate
        self._part_bytes, self._max_bytes = round_up(part_bytes, PAGE), max_bytes
        self._order = threading.Lock()
        self._part: Part | None = None
        self._position = 0
        self._lock_fd = lock_stream(folder, what)
        try:
            _writers.add(self)
            if not _watching:
                _watching.append(True)
                os.register_at_fork(after_in_child=_close_in_child)
            self._take_up()
            known = self._known_schema()
            if known is not None and schema is not None and not known.equals(plain_schema(schema)):
                raise SpecError(f"schema of {what}", f"is {brief(known)}, not {brief(schema)}")
            self.schema: pa.Schema | None = known if known is not None or schema is None else plain_schema(schema)
        except BaseException:
            self.close()
            raise

    def _take_up(self) -> None:
        """Find the last part, as whoever wrote it left it, and make it as it should be."""
        for name in os.listdir(self._folder):
            if part_number(name) is None:
                unlink(os.path.join(self._folder, name))  # a part that was not yet one when its writer was killed
        numbers = part_numbers(self._folder)
        if not numbers:
            self._part = self._new_part(1, 0, self._part_bytes)
            self._allocated = PAGE
            return
        part = self._part = Part.open(self._folder, numbers[-1], writable=True)
        if part.commit().closed:
            raise StreamEnded(self.what, part.first + part.commit().batches)
        part.trim()
        self._position = part.first + part.commit().batches
        self._allocated = round_up(DATA + part.commit().length, PAGE)
        if len(numbers) > 1:  # killed between the new part and the old one's last word: say it now
            before = Part.open(self._folder, numbers[-2], writable=True)
            self._close_part(before)

    # -- appending --------------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The number that the next batch will have. From any thread, while another appends too."""
        self._mine()
        return self._position

    def append(self, rows: Rows) -> int:
        """Commit a batch and return its number: a record batch, a table, a list of rows (dicts), a dict of columns.

        One batch, whole or not at all, however many chunks a table has. Blocks for the copying. Columns with
        dictionaries are stored as plain values. Raises PoolFull or SharedMemoryFull (nothing was appended), SpecError
        when the schema is another, SegmentGone when the stream was removed meanwhile.
        """
        with self._order:
            part = self._mine()
            batch = as_batch(rows, self.schema, self.what)
            self._see_that_it_is_there(part)
            try:
                return self._append(part, batch)
            except FileNotFoundError:  # removed since
                raise SegmentGone(self.what, self._folder) from None

    def _append(self, part: Part, batch: pa.RecordBatch) -> int:
        commit = part.commit()
        pieces = [batch.serialize()] if commit.length else [batch.schema.serialize(), batch.serialize()]
        needed = sum(piece.size for piece in pieces)
        if DATA + commit.length + needed > part.capacity or commit.batches >= MAX_BATCHES:
            pieces = [batch.schema.serialize(), pieces[-1]]
            needed = sum(piece.size for piece in pieces)
            if self._max_bytes is not None and DATA + needed > self._max_bytes:
                raise PoolFull(f"a batch for {self.what}", DATA + needed, self._max_bytes, self._folder)
            part = self._roll_over(needed)
            commit = part.commit()
        at = DATA + commit.length
        self._make_room(part, at + needed)
        buf = part.segment.buf
        for piece in pieces:
            # crash: append.piece
            buf[at : at + piece.size] = memoryview(piece).cast("B")
            at += piece.size
            # Killed anywhere before the store: bytes behind the end that nobody reads; the next writer cuts them.
            # crash: append.bytes
        part.words[0] = pack(at - DATA, commit.batches + 1)
        # Killed after it: the batch is there; who sleeps finds it when he looks by himself, within half a second.
        # crash: append.committed
        _wake(part)
        number = part.first + commit.batches
        self._position, self.schema = number + 1, batch.schema
        if not commit.batches:
            self._retain(part)
        return number

    def _see_that_it_is_there(self, part: Part) -> None:
        """Raise SegmentGone if the stream was removed: what has its name now may be another's."""
        if os.fstat(self._lock_fd).st_nlink == 0 or not os.path.exists(part.path):
            raise SegmentGone(self.what, self._folder)

    def _mine(self) -> Part:
        if self._part is None:
            raise ValueError(f"this writer of {self.what} is closed")
        return self._part

    def _make_room(self, part: Part, end: int) -> None:
        """Put pages behind the part up to `end`, and some more, so that not every batch has to ask."""
        if end <= self._allocated:
            return
        ahead = min(max(self._allocated, AHEAD_BYTES), MOST_AHEAD_BYTES)
        exact = round_up(end, PAGE)
        try:
            self._allocate_to(part, min(max(exact, self._allocated + ahead), part.capacity))
        except PoolFull:
            self._allocate_to(part, exact)

    def _allocate_to(self, part: Part, end: int) -> None:
        def allocate() -> None:
            # Killed before or after: pages behind the end that count, until the next writer cuts them off.
            part.segment.allocate(self._allocated, end - self._allocated)

        self._allocate(end - self._allocated, allocate)
        # crash: append.allocated
        self._allocated = end

    # -- parts ------------------------------------------------------------------------------------------------------

    def _new_part(self, number: int, first: int, capacity: int) -> Part:
        made: list[Part] = []
        self._allocate(PAGE, lambda: made.append(Part.create(self._folder, number, first, capacity, self.what)))
        return made[0]

    def _roll_over(self, needed: int) -> Part:
        """Go on in a new part with room for `needed` bytes."""
        old = self._mine()
        end = old.first + old.commit().batches
        new = self._new_part(old.number + 1, end, max(self._part_bytes, round_up(DATA + needed, PAGE)))
        # Killed here: the new part is empty, the old one not closed; readers wait there until the next writer does it.
        # crash: roll.created
        self._part, self._allocated = new, PAGE
        self._close_part(old)
        return new

    def _close_part(self, part: Part) -> None:
        commit = part.commit()
        part.trim()
        # crash: roll.close
        part.words[0] = pack(commit.length, commit.batches, closed=True)
        # Killed after it: readers go on to the next part by themselves.
        # crash: roll.closed
        _wake(part)
        part.close()

    def _retain(self, newest: Part) -> None:
        """Drop the oldest parts as long as all together, the newest full, would be more than `max_bytes`.

        Only when the newest has a batch, and with it the schema: the stream never forgets what it holds.
        """
        if self._max_bytes is None:
            return
        sizes = {}
        for number in part_numbers(self._folder)[:-1]:
            sizes[number] = os.stat(os.path.join(self._folder, part_name(number))).st_blocks * 512
        total = sum(sizes.values()) + newest.capacity
        for number in sizes:
            if total <= self._max_bytes:
                return
            # Killed between two: fewer are dropped than could be; whoever rolls over next drops them.
            # crash: retain.drop
            unlink(os.path.join(self._folder, part_name(number)))
            # crash: retain.dropped
            total -= sizes[number]

    def drop_before(self, number: int) -> int:
        """Drop the parts that lie wholly before batch `number`; return how many. The newest with a batch stays.

        Raises SegmentGone when the stream was removed meanwhile.
        """
        with self._order:
            self._see_that_it_is_there(part := self._mine())
            dropped = 0
            numbers = part_numbers(self._folder)
            if not part.commit().batches:
                numbers = numbers[:-1]
            for each, following in pairwise(numbers):
                after = Part.open(self._folder, following)
                first = after.first
                after.close()
                if first > number:
                    break
                # crash: drop.part
                dropped += unlink(os.path.join(self._folder, part_name(each)))
                # crash: drop.done
            return dropped

    def _known_schema(self) -> pa.Schema | None:
        """Return what the batches before have; None for a stream without one."""
        import pyarrow as pa

        for number in reversed(part_numbers(self._folder)):
            part = Part.open(self._folder, number)
            schema = None
            if part.commit().length:
                schema = pa.ipc.read_schema(pa.BufferReader(pa.py_buffer(part.segment.mmap).slice(DATA)))
            part.close()
            if schema is not None:
                return schema
        return None

    # -- ending -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """End the stream for good: who follows it comes to an end, and nobody can append any more."""
        with self._order:
            part = self._mine()
            self._part = None
            self._close_part(part)
        self.close()

    def close(self) -> None:
        """Give the stream back, for another writer to go on. Idempotent."""
        with self._order:
            part, self._part = self._part, None
            if part is not None:
                if not part.commit().closed:
                    part.trim()
                part.close()
            fd, self._lock_fd = self._lock_fd, -1
            if fd >= 0:
                unlock(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_lock_fd", -1) >= 0:
            self.close()

    def close_in_child(self) -> None:
        """In a forked child: the lock is the parent's, and its copy here would keep it."""
        fd, self._lock_fd = self._lock_fd, -1
        self._part = None
        self._order = threading.Lock()
        if fd >= 0:
            os.close(fd)  # never unlocked: that would unlock the parent's


def _close_in_child() -> None:
    for writer in list(_writers):
        writer.close_in_child()


def _wake(part: Part) -> None:
    wake_all(ctypes.addressof(ctypes.c_char.from_buffer(part.segment.mmap, COMMITTED)))
