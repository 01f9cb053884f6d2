"""Node options: everything about a node that is decided before it starts.

Pure; used by the node, which obeys them, and by config, which reads them from a file. A value that makes no
sense is a SpecError that names the option; nothing is clamped or corrected in silence.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, get_args

from ..actor import DEFAULT_MAILBOX, Mailbox
from ..errors import SpecError
from ..ids import MAX_INDEX, MAX_WORKERS
from ..transport import MAX_BLOCKS, MIN_BLOCKS

RegistryBackend = Literal["shared", "local"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MODULE_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def usable_cpus() -> int:
    """Return how many CPUs this process may use, at most MAX_WORKERS: the default number of workers."""
    return min(len(os.sched_getaffinity(0)), MAX_WORKERS)


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """How names are kept: `shared` is read from shared memory by every process, `local` serves one process only."""

    backend: RegistryBackend = "shared"
    partitions: int = 8

    def __post_init__(self) -> None:
        _among("registry.backend", self.backend, get_args(RegistryBackend))
        _whole("registry.partitions", self.partitions, 1, 256)


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """Options of a node. Times are seconds, sizes bytes.

    `workers` 0 is an embedded node: every actor in this process. `spares` are processes started ahead, so that a
    dead worker's place is taken at once. `mailbox` holds for every actor that does not say otherwise. `preload` are
    modules imported once, before workers are forked; with `preload_tree` those of the tree's actors are too, if they
    let themselves (a module that opens a connection when it is imported would share it among the workers).
    """

    name: str | None = None
    workers: int = field(default_factory=usable_cpus)
    spares: int = 0
    mailbox: Mailbox = DEFAULT_MAILBOX
    registry: RegistryOptions = field(default_factory=RegistryOptions)
    strict_messages: bool = False
    preload: tuple[str, ...] = ()
    preload_tree: bool = True
    runtime_dir: str | None = None
    lane_blocks: int = 4096
    max_actors: int = 131_072
    max_message_bytes: int = 64 << 20
    call_timeout_s: float = 5.0
    start_timeout_s: float = 10.0
    stop_timeout_s: float = 10.0
    heartbeat_s: float = 0.25
    hang_timeout_s: float = 10.0
    hold_warning_s: float = 0.5
    gc_thresholds: tuple[int, int, int] = (50_000, 20, 100)
    log_level: LogLevel = "INFO"

    def __post_init__(self) -> None:
        if self.name is not None and not (isinstance(self.name, str) and NODE_NAME.fullmatch(self.name)):
            raise SpecError(
                "name",
                f"must be 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit, not {self.name!r}",
            )
        _whole("workers", self.workers, 0, MAX_WORKERS)
        _whole("spares", self.spares, 0, 16)
        _whole("lane_blocks", self.lane_blocks, MIN_BLOCKS, MAX_BLOCKS)
        if self.lane_blocks & (self.lane_blocks - 1):
            raise SpecError("lane_blocks", f"must be a power of two, not {self.lane_blocks}")
        _whole("max_actors", self.max_actors, 1, MAX_INDEX)
        _whole("max_message_bytes", self.max_message_bytes, 1024, 1 << 40)
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
        if not isinstance(self.preload_tree, bool):
            raise SpecError("preload_tree", f"must be true or false, not {self.preload_tree!r}")
        for module in self.preload:
            if not MODULE_NAME.fullmatch(module):
                raise SpecError("preload", f"must hold module names such as 'numpy', not {module!r}")
        if self.runtime_dir is not None and not os.path.isabs(self.runtime_dir):
            raise SpecError("runtime_dir", f"must be an absolute path, not {self.runtime_dir!r}")
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
