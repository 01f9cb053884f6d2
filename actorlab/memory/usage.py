"""Usage: what the pools of a node hold, as anybody may read it from outside.

Pure data; made by the pool, read by whoever accounts for memory. Bytes are what the file system charges (`st_blocks`),
so that sums can be held against what the machine says.
"""

from __future__ import annotations

from ..lean_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Somebody who keeps a version from being freed. `worker` is a process slot (0: the user's), None unknown."""

    dataset: str
    version: int
    pid: int
    worker: int | None = None
    actors: tuple[str, ...] = ()
    """Who in that process holds it, where the process says so."""
    stopped: bool = False
    """Whether the process is stopped (SIGSTOP): it holds on, and does nothing."""


@dataclass(frozen=True, slots=True)
class DatasetUsage:
    """One dataset: its current version (0: none), how many versions there are, and their bytes by state."""

    name: str
    current: int
    versions: int
    live_bytes: int
    retired_bytes: int
    cold_bytes: int


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """One pool. live: can be had by name or handle; retired: dropped, but somebody still holds it; cold: compressed.

    `held_bytes` are those of live and retired that some process has mapped; `saved_bytes` what compression saves.
    """

    name: str
    backend: str
    max_bytes: int
    live_bytes: int
    retired_bytes: int
    cold_bytes: int
    held_bytes: int
    saved_bytes: int
    datasets: tuple[DatasetUsage, ...] = ()
    leases: tuple[LeaseRow, ...] = ()
