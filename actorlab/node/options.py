"""Node options: everything about a node that is decided before it starts.

Pure; used by the node, which obeys them, and by config, which reads them from a file. A value that makes no
sense is a SpecError that names the option; nothing is clamped or corrected in silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from math import isfinite
from typing import Literal, get_args

from ..actor import DEFAULT_MAILBOX, Mailbox
from ..errors import SpecError
from ..ids import MAX_INDEX, MAX_WORKERS
from ..lean_dataclass import dataclass
from ..memory import PoolSettings, has, require
from ..registry import BACKENDS, is_backend
from ..transport import MAX_BLOCKS, MIN_BLOCKS, MIN_SLAB_BYTES
from .freezing import Freeze
from .limits import MemoryLimits
from .recycle_options import RecycleOptions
from .surroundings import WorkerOptions

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
StartMethod = Literal["auto", "forkserver", "fork", "spawn"]

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MODULE_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def usable_cpus() -> int:
    """Return how many CPUs this process may use, at most MAX_WORKERS: the default number of workers."""
    usable = len(os.sched_getaffinity(0)) if has("affinity") else os.cpu_count() or 1
    return min(usable, MAX_WORKERS)


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """How names are kept: `shared` is read from shared memory by every process, `local` serves one process only.

    `module:attribute` is a backend of somebody else's (`registry.BackendKind`).
    """

    backend: str = "shared"
    partitions: int = 8
    index: tuple[str, ...] = ("capabilities", "class", "tier")
    """The keys of names' metadata by which actors can be selected."""

    def __post_init__(self) -> None:
        if not isinstance(self.index, tuple) or not all(isinstance(field, str) and field for field in self.index):
            raise SpecError("registry.index", f"must be keys of metadata such as 'tier', not {self.index!r}")
        if not is_backend(self.backend):
            among = ", ".join(BACKENDS)
            raise SpecError("registry.backend", f"must be one of {among}, or module:attribute, not {self.backend!r}")
        _whole("registry.partitions", self.partitions, 1, 256)


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """Options of a node. Times are seconds, sizes bytes.

    `workers` 0 is an embedded node: every actor in this process. `spares` are processes started ahead, so that a
    dead worker's place is taken at once. `start_method` is how workers are made: "forkserver", from a fresh process
    that has imported everything once; "spawn", each a fresh process; "fork", as "forkserver", but that process is a
    fork of this one, which must have no other thread; "auto", the first of these that the system has. `mailbox` holds
    for every actor that does not say otherwise. `preload` are modules imported once, before workers are forked; with
    `preload_tree` those of the tree's actors are too, if they let themselves (a module that opens a connection when it
    is imported would share it among the workers).
    `gc_thresholds` and `gc_freeze` set the garbage collector of the workers (see freezing), not of the user's process.
    `memory` are limits of each worker's own memory, `recycle` says when a fresh process takes a worker's place,
    `worker` what each worker is given of its machine.
    `slab_bytes` bounds the memory that each process keeps for its large messages under way; 0: each has a file.
    `pools` are settings of context pools by name, for when one is made.
    """

    name: str | None = None
    workers: int = field(default_factory=usable_cpus)
    spares: int = 0
    start_method: StartMethod = "auto"
    mailbox: Mailbox = DEFAULT_MAILBOX
    registry: RegistryOptions = field(default_factory=RegistryOptions)
    memory: MemoryLimits = field(default_factory=MemoryLimits)
    recycle: RecycleOptions = field(default_factory=RecycleOptions)
    worker: WorkerOptions = field(default_factory=WorkerOptions)
    strict_messages: bool = False
    preload: tuple[str, ...] = ()
    preload_tree: bool = True
    runtime_dir: str | None = None
    lane_blocks: int = 4096
    max_actors: int = 131_072
    max_message_bytes: int = 64 << 20
    slab_bytes: int = 256 << 20
    call_timeout_s: float = 5.0
    start_timeout_s: float = 10.0
    stop_timeout_s: float = 10.0
    heartbeat_s: float = 0.25
    hang_timeout_s: float = 10.0
    hold_warning_s: float = 0.5
    gc_thresholds: tuple[int, int, int] = (10_000, 10, 100)
    gc_freeze: Freeze = "growth"
    pools: Mapping[str, PoolSettings] = field(default_factory=dict)
    log_level: LogLevel = "INFO"

    def __post_init__(self) -> None:
        if self.name is not None and not (isinstance(self.name, str) and NODE_NAME.fullmatch(self.name)):
            raise SpecError(
                "name",
                f"must be 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit, not {self.name!r}",
            )
        _whole("workers", self.workers, 0, MAX_WORKERS)
        _whole("spares", self.spares, 0, 16)
        _among("start_method", self.start_method, get_args(StartMethod))
        if self.start_method in ("fork", "forkserver"):
            require("forkserver", "start_method", self.start_method, "use 'auto' or 'spawn'")
        _whole("lane_blocks", self.lane_blocks, MIN_BLOCKS, MAX_BLOCKS)
        if self.lane_blocks & (self.lane_blocks - 1):
            raise SpecError("lane_blocks", f"must be a power of two, not {self.lane_blocks}")
        _whole("max_actors", self.max_actors, 1, MAX_INDEX)
        _whole("max_message_bytes", self.max_message_bytes, 1024, 1 << 40)
        if self.slab_bytes != 0:
            _whole("slab_bytes", self.slab_bytes, MIN_SLAB_BYTES, 1 << 40)
        for option in ("call_timeout_s", "start_timeout_s", "stop_timeout_s", "hang_timeout_s", "hold_warning_s"):
            _time(option, getattr(self, option))
        _time("heartbeat_s", self.heartbeat_s)
        if self.hang_timeout_s < 3 * self.heartbeat_s:
            raise SpecError(
                "hang_timeout_s",
                f"must be at least three heartbeats ({3 * self.heartbeat_s:g} s), not {self.hang_timeout_s:g} s: "
                "one late tick would kill a healthy worker",
            )
        if len(self.gc_thresholds) != 3:
            raise SpecError("gc_thresholds", f"must be three whole numbers, not {self.gc_thresholds!r}")
        for threshold in self.gc_thresholds:
            _whole("gc_thresholds", threshold, 0, 2**31 - 1)
        _among("gc_freeze", self.gc_freeze, get_args(Freeze))
        if not isinstance(self.preload_tree, bool):
            raise SpecError("preload_tree", f"must be true or false, not {self.preload_tree!r}")
        for module in self.preload:
            if not MODULE_NAME.fullmatch(module):
                raise SpecError("preload", f"must hold module names such as 'numpy', not {module!r}")
        if self.runtime_dir is not None and not os.path.isabs(self.runtime_dir):
            raise SpecError("runtime_dir", f"must be an absolute path, not {self.runtime_dir!r}")
        for pool in self.pools:
            if not NODE_NAME.fullmatch(pool):
                raise SpecError("pools", f"must be named as files can be, not {pool!r}")
        _among("log_level", self.log_level, get_args(LogLevel))


def _whole(option: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise SpecError(option, f"must be a whole number from {low:,} to {high:,}, not {value!r}")


def _time(option: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 < value < 1e9 or not isfinite(value):  # type: ignore[operator, arg-type]
        raise SpecError(option, f"must be a time above 0 in seconds, not {value!r}")


def _among(option: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(option, f"must be one of {', '.join(allowed)}, not {value!r}")
