"""Actions: what a plan tells its supervisor to do next, in the order given.

Pure; made by plan.py, carried out by the supervisor, which answers with events (event.py):

    Start       → one StartOk, StartFailed or StartIgnored for each child, or an Exited that includes it.
                  `in_order`: begin a child only when the one before has answered. After a StartFailed, or an
                  Exited that includes one that was starting, the rest of this Start is void: drop it, report nothing.
    Stop        → one Stopped (or Exited) for each child. One that is still starting: if it was not begun, take it
                  out of its Start; else kill it. Either way its Start goes on without it after Stopped. Should it
                  have started all the same, report StartOk, and another Stop follows that carries its ref; should
                  it have failed, StartFailed (which voids the rest as ever).
    RetryAfter  → Retry(children) when the time is up. Never needs to be cancelled: an outdated one is ignored.
    Exit        → nothing more; the supervisor is over, all its children are gone.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from ..lean_dataclass import dataclass
from ..message import ExitReason
from .child_spec import Shutdown
from .supervisor_spec import Spec


class Launch(NamedTuple):
    """One child to start as `incarnation`: one more for each attempt, from 1 in a tree that forgot nobody yet."""

    child: str
    incarnation: int
    spec: Spec


class Halt(NamedTuple):
    """One incarnation to stop. `ref` is what StartOk brought, None while it is still starting."""

    child: str
    incarnation: int
    ref: Any
    shutdown: Shutdown


@dataclass(frozen=True, slots=True)
class Start:
    """Start these, left to right. Not `in_order`: each for itself, as many at once as you like."""

    children: tuple[Launch, ...]
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop these, left to right, each when the one before is gone; `parallel`: all at once."""

    children: tuple[Halt, ...]
    parallel: bool = False


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Send yourself `Retry(children)` in `seconds`: a start failed, and the supervisor stays responsive meanwhile."""

    seconds: float
    children: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The initial start is complete: the supervisor's own start may return."""


@dataclass(frozen=True, slots=True)
class Retired:
    """A child is down and no restart is planned: settle what waits for it. Its specification stays."""

    child: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A child is down for good and forgotten, specification and all: settle what waits for it, free its name."""

    child: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The command succeeded. After a start, `ref` is the child's, or None if it asked to be ignored."""

    request: Any
    child: str
    ref: Any = None


Refusal = Literal[
    "already_started",  # detail: its ref, or None while it starts
    "already_present",  # it is down: restart_child or delete_child
    "not_found",
    "running",
    "restarting",  # or starting for the first time
    "stopping",
    "only_static",  # restart_child, delete_child: a dynamic supervisor forgets what is down
    "max_children",  # detail: the limit
    "bad_spec",  # detail: the SpecError
    "start_failed",  # detail: why, from StartFailed or the death
    "terminated",  # it was stopped before it had started
    "shutting_down",
]


@dataclass(frozen=True, slots=True)
class Refuse:
    """The command was refused or failed. The children are as they were before it."""

    request: Any
    child: str
    why: Refusal
    detail: Any = None


@dataclass(frozen=True, slots=True)
class Exit:
    """All children are gone: end with `reason`. `cause` says why, for people.

    `("shutdown", ("failed_to_start_child", name, why))` before any Ready means that the supervisor did not start.
    """

    reason: ExitReason
    cause: str


Action = Start | Stop | RetryAfter | Ready | Retired | Dropped | Reply | Refuse | Exit
