"""Stream: what is appended, as its readers have it; a few dozen bytes that any process of the node can follow.

An edge (files, memory). A reader takes no lock and keeps no writer waiting, stopped or not; batches are zero-copy and
read-only, and stay valid when their part is dropped or the node has ended. What a reader that has fallen behind keeps
from being freed is the part it has mapped, and those of the batches that it still uses.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SegmentGone, SpecError
from ..lean_dataclass import dataclass
from .follower import Follower
from .handle import DATA
from .stream_layout import STREAMS
from .stream_part import Part, part_numbers, stream_bytes

if TYPE_CHECKING:
    import pyarrow as pa

_subscribing: list[Callable[[AppendStream, Any, Any, Any], None]] = []


def subscribe_by(how: Callable[[AppendStream, Any, Any, Any], None]) -> None:
    """Say how in this process an actor is told: `how(stream, ref, from_, gaps)`."""
    _subscribing[:] = [how]


Begin = int | Literal["start", "end"]
"""Where to begin: a batch's number, from the oldest that is kept, or with the next; -n: n batches before the end."""


@dataclass(frozen=True, slots=True)
class AppendStream:
    """An append stream of a pool, whether or not somebody writes it now."""

    pool: str
    name: str

    def __reduce__(self) -> tuple[type[AppendStream], tuple[Any, ...]]:
        return AppendStream, (self.pool, self.name)

    def __str__(self) -> str:
        return f"stream {self.name!r} of pool {os.path.basename(self.pool)}"

    @property
    def folder(self) -> str:
        """Its directory."""
        return os.path.join(self.pool, DATA, STREAMS, self.name)

    @property
    def first(self) -> int:
        """The number of the oldest batch that is kept. Raises SegmentGone when there is no such stream."""
        return self._look(oldest=True)[0]

    @property
    def end(self) -> int:
        """One more than the number of the newest batch. Raises SegmentGone when there is no such stream."""
        return self._look(oldest=False)[1]

    @property
    def bytes(self) -> int:
        """What the file system charges for all its parts."""
        return stream_bytes(self.folder)

    def follow(
        self,
        from_: Begin = "start",
        *,
        gaps: Literal["raise", "skip"] = "raise",
        idle_s: float | None = None,
    ) -> Follower:
        """Return the batches from there on, as they come: an iterator, and an async iterator.

        It ends when the stream was finished, or when nothing has come for `idle_s` (None: waits for ever). In a handler
        a wait parks; in an async handler write `async for`. When the reader's next batch was dropped before it came to
        it, StreamGap is raised once, and it goes on with the oldest; gaps="skip" only counts them (`missed`).
        """
        if gaps not in ("raise", "skip"):
            raise SpecError("gaps", f"must be 'raise' or 'skip', not {gaps!r}")
        exact = isinstance(from_, int) and from_ >= 0
        return Follower(
            self.folder, str(self), self._begin(from_), exact=exact, skip=gaps == "skip", idle_s=idle_s
        )

    def subscribe(
        self, ref: Any, from_: Begin = "end", *, gaps: Literal["raise", "skip"] = "raise"
    ) -> None:
        """Have an actor told as it grows, from there on: an `Appended` at a time, which gives the batches.

        Until this incarnation of it ends. In an actor: `stream.subscribe(self.ref)`. Blocks or parks.
        """
        if not _subscribing:
            raise ValueError("nobody can be told here: this process is no node's")
        _subscribing[0](self, ref, from_, gaps)

    def table(self, from_: Begin = "start") -> pa.Table:
        """Return what is there now as one table, zero-copy; an empty table without columns if nothing ever was."""
        import pyarrow as pa

        follower = self.follow(from_, gaps="skip")
        batches = []
        while (batch := follower.take()) is not None:
            batches.append(batch)
        schema = follower.schema
        follower.close()
        return pa.Table.from_batches(batches, schema=schema if schema is not None else pa.schema([]))

    def last(self) -> pa.RecordBatch | None:
        """Return the newest batch, None if there is none: what a stream of configurations says now."""
        end = self.end
        while True:
            follower = self.follow(max(self.first, end - 1), gaps="skip")
            batch = follower.take()
            follower.close()
            newer = self.end
            if batch is not None or newer == end:
                return batch
            end = newer

    def _begin(self, from_: Begin) -> int:
        if from_ == "start":
            return self.first
        first, end = self.first, self.end
        if from_ == "end":
            return end
        if type(from_) is not int or from_ > end:
            raise SpecError("from_", f"must be 'start', 'end' or a number up to {end:,}, not {from_!r}")
        return from_ if from_ >= 0 else max(first, end + from_)

    def _look(self, *, oldest: bool) -> tuple[int, int]:
        """Return the number of the first batch and the end of the oldest or newest part."""
        while True:
            try:
                numbers = part_numbers(self.folder)
            except FileNotFoundError:
                numbers = []
            if not numbers:
                raise SegmentGone(str(self), self.folder)
            try:
                part = Part.open(self.folder, numbers[0 if oldest else -1])
            except FileNotFoundError:
                continue  # dropped since the listing
            bounds = part.first, part.first + part.commit().batches
            part.close()
            return bounds
