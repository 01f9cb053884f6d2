"""Limits: how much memory of its own a worker may take, and what is done about one that takes more.

Pure; part of a node's options. What counts is a process's share of anonymous memory (see `footprint`): what its
actors allocate; pools, lanes and everything else in shared memory is not among it.
"""

from __future__ import annotations

from typing import Literal, get_args

from ..errors import SpecError
from ..lean_dataclass import dataclass

OnSoft = Literal["warn", "shed", "recycle"]

REARM = 0.9
"""Below this share of the soft limit a worker is well again; between the two nothing changes, so nothing flutters."""


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Limits of a worker's memory, in bytes; None: there is none. Looked at every heartbeat.

    Above `soft_bytes` the node says so (`worker_memory_high`), and with `on_soft="shed"` the worker sheds load until
    it is below nine tenths of it: messages from other processes to its actors are refused at the door (`MailboxFull`
    with reason "memory"; a tell becomes a dead letter `shed`), it takes no new actors (`WorkerShedding`), and
    placement "any" goes elsewhere. What waits is handled, restarts, signals and answers pass. With `"recycle"` a fresh
    process takes its place and its actors over (see RecycleOptions), which leaves behind what they leaked. Above
    `hard_bytes` it is killed: one incident, whose reason is `memory_limit`.
    """

    soft_bytes: int | None = None
    hard_bytes: int | None = None
    on_soft: OnSoft = "warn"

    def __post_init__(self) -> None:
        for option in ("soft_bytes", "hard_bytes"):
            value = getattr(self, option)
            if value is not None and (type(value) is not int or not 1 << 20 <= value < 1 << 60):
                raise SpecError(f"memory.{option}", f"must be a whole number of bytes from 1 MiB on, not {value!r}")
        if self.on_soft not in get_args(OnSoft):
            raise SpecError("memory.on_soft", f"must be one of {', '.join(get_args(OnSoft))}, not {self.on_soft!r}")
        if self.soft_bytes is None and self.on_soft != "warn":
            raise SpecError("memory.on_soft", f"is {self.on_soft!r}, but there is no soft_bytes to exceed")
        if self.soft_bytes is not None and self.hard_bytes is not None and self.soft_bytes >= self.hard_bytes:
            raise SpecError(
                "memory.soft_bytes",
                f"must be below hard_bytes ({self.hard_bytes:,}), not {self.soft_bytes:,}: it would never be heeded",
            )

    @property
    def least(self) -> int | None:
        """The lower of the limits that there are."""
        return min((limit for limit in (self.soft_bytes, self.hard_bytes) if limit is not None), default=None)
