"""The words actors exchange: exit reasons, Down, Exit, Timeout, Ignore, and what topics and the registry announce.

Pure; floor 0. References in these messages are typed `Any` here because the reference lives on a higher floor;
it is always an `actorlab.ActorRef`.
"""

from __future__ import annotations

import traceback
from typing import Any

from .lean_dataclass import dataclass

NORMAL = "normal"
SHUTDOWN = "shutdown"
KILLED = "killed"
KILL = "kill"
NOPROC = "noproc"


@dataclass(frozen=True, slots=True)
class Crashed:
    """Exit reason: a handler, `__init__` or `on_start` raised. `traceback` is text, from where it happened."""

    error: str
    traceback: str = ""

    @classmethod
    def by(cls, error: BaseException) -> Crashed:
        """Return the exit reason of what raised `error`."""
        try:
            text = f"{type(error).__name__}: {error}"
        except Exception:
            text = f"{type(error).__name__} (whose str fails)"
        return cls(text, "".join(traceback.format_exception(error)))

    def __str__(self) -> str:
        return f"crashed: {self.error}"


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """Exit reason: the worker process died under the actor.

    `why` is how: `SIGKILL`, `SIGSEGV`, `exit 3`, `hung`, `oom_killed`, `recycled`. `incident` numbers worker deaths
    within a node, so that all that died together can be seen together.
    """

    worker: int
    why: str
    incident: int = 0

    def __str__(self) -> str:
        return f"worker {self.worker} died ({self.why})"


RECYCLED = "recycled"
"""Why of the WorkerDied by which an actor ended that could not go along when its worker was recycled."""


def is_planned(reason: object) -> bool:
    """Whether an actor ended because the node wanted its process to: it is restarted, and that counts in no window.

    >>> is_planned(WorkerDied(1, "recycled")), is_planned(WorkerDied(1, "SIGKILL")), is_planned("shutdown")
    (True, False, False)
    """
    return isinstance(reason, WorkerDied) and reason.why == RECYCLED


ExitReason = str | tuple[str, Any] | Crashed | WorkerDied
"""`"normal"`, `"shutdown"`, `("shutdown", anything)`, `"killed"`, `"noproc"`, Crashed, WorkerDied, or any text."""


def is_clean(reason: object) -> bool:
    """Whether a transient child that exits so is left alone: `normal`, `shutdown` and `("shutdown", …)` are.

    >>> is_clean("normal"), is_clean(("shutdown", "too cold")), is_clean("killed")
    (True, True, False)
    """
    return reason in (NORMAL, SHUTDOWN) or (isinstance(reason, tuple) and len(reason) == 2 and reason[0] == SHUTDOWN)


@dataclass(frozen=True, slots=True)
class Down:
    """What a monitor delivers, once: the watched incarnation ended, or never was (`noproc`)."""

    ref: Any
    reason: ExitReason
    monitor: int = 0


@dataclass(frozen=True, slots=True)
class Exit:
    """What a link delivers to an actor that traps exits."""

    ref: Any
    reason: ExitReason


@dataclass(frozen=True, slots=True)
class Timeout:
    """What a receive time-out delivers."""

    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Published:
    """What a topic delivers to its subscribers."""

    topic: str
    message: Any


@dataclass(frozen=True, slots=True)
class Registered:
    """What a listener to names hears: `name` stands for `ref` now, or its metadata have changed."""

    name: str
    ref: Any
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unregistered:
    """What a listener to names hears: `name` no longer stands for `ref`."""

    name: str
    ref: Any


@dataclass(frozen=True, slots=True)
class Joined:
    """What a listener to a group hears: `ref` is a member now, or its metadata have changed."""

    group: str
    ref: Any
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Left:
    """What a listener to a group hears: `ref` is no member any more; it left, or it ended for good."""

    group: str
    ref: Any


@dataclass(frozen=True, slots=True)
class Traced:
    """What a trace tells of one message: what it was, what became of it (text), and how long it took in seconds."""

    ref: Any
    what: str
    outcome: str
    seconds: float


class Ignore(Exception):
    """Raised in `__init__` or `on_start`: do not start me, and do not count it as a failure. The starter gets None."""
