"""MemoryWatch: what the controller does about workers that take more memory than they may.

Edge (/proc, control messages); the patrol's, in the controller's thread. Each worker is looked at every heartbeat:
20 µs while it is below its limits. Without /proc it goes by what workers say of themselves every second, so one that
hangs is taken for as large as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import MissingCapability
from ..memory import has, own_private_bytes
from .footprint import anonymous_bytes, said_bytes
from .limits import REARM, MemoryLimits
from .runtime import ProcessRuntime
from .signs import vitals_path

_DOES = {"warn": "nothing is done about it", "shed": "it sheds load", "recycle": "it is recycled"}
MEMORY_LIMIT = "memory_limit"
"""The reason of a worker that was killed for its memory."""


def check_can_watch(limits: MemoryLimits) -> None:
    """Raise MissingCapability for limits that nobody could see exceeded."""
    if limits.least is not None and own_private_bytes() is None:
        option = "memory.soft_bytes" if limits.soft_bytes is not None else "memory.hard_bytes"
        text = f"{limits.least:,} cannot be kept to here: this system does not tell a process its private memory; "
        raise MissingCapability(option, f"{text}leave it out")


class MemoryWatch:
    """Holds workers to their limits; `kill(worker, cause)` is the patrol's, `recycle(worker)` the recycler's."""

    def __init__(
        self, limits: MemoryLimits, runtime: ProcessRuntime, directory: Path, kill: Callable[[int, str], None],
        recycle: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._directory = directory
        self._limits = limits
        self._runtime = runtime
        self._kill = kill
        self._recycle = recycle
        self._high: dict[int, int] = {}  # worker → the process in it that is above the soft limit

    def look(self, worker: int, pid: int) -> None:
        """See how much memory a worker takes, and do what its limits ask for."""
        limits = self._limits
        least = limits.least
        if least is None:
            return
        if has("proc"):
            size = anonymous_bytes(pid, int(least * REARM))
        else:
            size = said_bytes(vitals_path(self._directory, worker))
        if size is None:
            return
        if limits.hard_bytes is not None and size > limits.hard_bytes:
            text = f"worker {worker} has {size:,} bytes of its own, more than {limits.hard_bytes:,}: it is killed"
            self._say("worker_memory_limit", text, worker, size, limits.hard_bytes)
            self._kill(worker, MEMORY_LIMIT)
        elif limits.soft_bytes is not None:
            if size > limits.soft_bytes:
                self._too_much(worker, pid, size, limits.soft_bytes)
            elif self._high.get(worker) == pid and size < limits.soft_bytes * REARM:
                self._well_again(worker, size, limits.soft_bytes)

    def _too_much(self, worker: int, pid: int, size: int, limit: int) -> None:
        if self._limits.on_soft == "recycle":
            self._recycle(worker)  # as often as it takes: it may have been refused
        if self._high.get(worker) == pid:
            return  # said, and being dealt with
        self._high[worker] = pid
        does = _DOES[self._limits.on_soft]
        text = f"worker {worker} has {size:,} bytes of its own, more than {limit:,}: {does}"
        if self._limits.on_soft == "shed":
            self._runtime.tell_kernel(worker, "shed", limit)
        self._say("worker_memory_high", text, worker, size, limit)

    def _well_again(self, worker: int, size: int, limit: int) -> None:
        del self._high[worker]
        text = f"worker {worker} has {size:,} bytes of its own again, of {limit:,}"
        if self._limits.on_soft == "shed":
            self._runtime.tell_kernel(worker, "shed", 0)
        self._say("worker_memory_normal", text, worker, size, limit)

    def _say(self, kind: str, text: str, worker: int, size: int, limit: int) -> None:
        fields: dict[str, Any] = {"worker": worker, "anonymous_bytes": size, "limit_bytes": limit}
        if kind == "worker_memory_normal":
            self._runtime.happened(kind, text, fields)
        else:
            self._runtime.report(logging.WARNING, kind, text, fields)
