"""Append streams that are being written, have ended, or have gone on without a reader.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from .shared_memory import SharedMemoryError


class StreamBusy(SharedMemoryError):
    """Somebody writes the stream: one writer at a time. `pid`: who, None if the kernel does not say."""

    def __init__(self, stream: str, pid: int | None) -> None:
        super().__init__(stream, pid)
        self.pid = pid

    def __str__(self) -> str:
        stream, pid = self.args
        who = f"process {pid}" if pid is not None else "another process"
        return f"{stream} is being written by {who}: one writer at a time; nothing was changed"


class StreamEnded(SharedMemoryError):
    """The stream was finished by its writer: nothing more can be appended."""

    def __init__(self, stream: str, end: int) -> None:
        super().__init__(stream, end)

    def __str__(self) -> str:
        stream, end = self.args
        return f"{stream} was finished after {end:,} batches: begin another under a new name"


class StreamGap(SharedMemoryError):
    """What the reader would read next is no longer kept; it goes on at `first`."""

    def __init__(self, stream: str, wanted: int, first: int) -> None:
        super().__init__(stream, wanted, first)
        self.wanted, self.first = wanted, first

    def __str__(self) -> str:
        stream, wanted, first = self.args
        return (
            f"{stream} no longer keeps batch {wanted:,}: {first - wanted:,} were missed, the next one is {first:,}; "
            "read faster, keep more (max_bytes), or follow with gaps='skip'"
        )
