"""Shared memory that is full, gone, corrupt, unsafe or used up.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from .root import ActorlabError


class SharedMemoryError(ActorlabError):
    """Something is wrong with memory shared between processes."""


class SharedMemoryFull(SharedMemoryError, OSError):
    """Not enough room in shared memory; nothing was written."""

    def __init__(self, what: str, needed_bytes: int, free_bytes: int, where: str) -> None:
        super().__init__(what, needed_bytes, free_bytes, where)
        self.needed_bytes, self.free_bytes = needed_bytes, free_bytes
        self.args = (what, needed_bytes, free_bytes, where)  # OSError rewrites args

    def __reduce__(self) -> tuple[type[SharedMemoryFull], tuple[object, ...]]:
        return type(self), self.args

    def __str__(self) -> str:
        what, needed, free, where = self.args
        return (
            f"no room for {what}: {needed:,} bytes needed, {free:,} free in {where}; nothing was written. "
            "Enlarge it (docker run --shm-size=1g), or set a directory with room (runtime_dir)"
        )


class PoolFull(SharedMemoryFull):
    """A context pool's quota does not suffice; nothing was stored. `holders`: who holds what there is."""

    def __init__(
        self, what: str, needed_bytes: int, free_bytes: int, where: str, holders: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, needed_bytes, free_bytes, where)
        self.holders = holders
        self.args = (what, needed_bytes, free_bytes, where, holders)

    def __str__(self) -> str:
        what, needed, free, where, holders = self.args
        held = f"; held: {'; '.join(holders)}" if holders else "; nobody holds any of it"
        return (
            f"no room for {what}: {needed:,} bytes needed, {free:,} free in pool {where}; nothing was stored: "
            f"drop a handle, or raise its max_bytes{held}"
        )


class SegmentGone(SharedMemoryError):
    """What a handle or a message points to is no longer there: it was dropped, or its node has ended."""

    def __init__(self, what: str, path: str) -> None:
        super().__init__(what, path)

    def __str__(self) -> str:
        what, path = self.args
        return f"{what} is gone: there is no {path} any more; whoever still maps it keeps it"


class SegmentCorrupt(SharedMemoryError):
    """A shared segment whose bytes are not what its header claims."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)

    def __str__(self) -> str:
        path, why = self.args
        return f"{path}: {why}; it was not used"


class UnsafeDirectory(SharedMemoryError):
    """A directory that somebody else owns or may write to."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)

    def __str__(self) -> str:
        path, why = self.args
        return f"{path}: {why}; refused: whoever can write there could run code as you"


class TableFull(SharedMemoryError):
    """The node table has no slot left for another actor."""

    def __init__(self, worker: int, capacity: int) -> None:
        super().__init__(worker, capacity)

    def __str__(self) -> str:
        worker, capacity = self.args
        return f"worker {worker} already hosts {capacity:,} actors: raise max_actors, or add a worker"
