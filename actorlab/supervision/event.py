"""Events: what happens to a supervisor, as its plan hears of it.

Pure; made by the supervisor, decided on by plan.py. Reports from below name a child and the incarnation they are
about: the number that the plan gave out with `Launch`, one for each attempt to start. Reports about an incarnation
that is no longer the child's are ignored, so that nothing is restarted twice. Commands carry a `request`, any
value; it comes back in exactly one Reply or Refuse.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..lean_dataclass import dataclass
from ..message import SHUTDOWN, ExitReason
from .supervisor_spec import Spec


class Death(NamedTuple):
    """One incarnation of one child ended by itself, or was never finished starting when its process died."""

    child: str
    incarnation: int
    reason: ExitReason


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the children of the specification, in order. The first event of a supervisor, once."""


@dataclass(frozen=True, slots=True)
class Exited:
    """Children that died together: one incident, whose restarts count once and are decided for the set.

    An actor's crash is an incident of one, a worker's death one with all children that lived there, those still
    starting included.
    """

    deaths: tuple[Death, ...]


@dataclass(frozen=True, slots=True)
class StartOk:
    """A child's `__init__` and `on_start` are done. `ref` is any value; Halt and the queries give it back."""

    child: str
    incarnation: int
    ref: Any = None


@dataclass(frozen=True, slots=True)
class StartFailed:
    """A child did not start; nothing of it is left running."""

    child: str
    incarnation: int
    why: Any


@dataclass(frozen=True, slots=True)
class StartIgnored:
    """A child asked not to be started (`Ignore`); nothing of it is left running."""

    child: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """A child that was to be halted is gone, whichever way. (An `Exited` about it says the same.)"""

    child: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Retry:
    """The time of a RetryAfter is up. `children` is what that action carried."""

    children: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ShutdownAll:
    """The supervisor is told to stop: stop all children, then exit with `reason`. Takes precedence over everything."""

    reason: ExitReason = SHUTDOWN


@dataclass(frozen=True, slots=True)
class StartChild:
    """Add a child, after all others, and start it. It is kept only if it starts (or is ignored)."""

    spec: Spec
    request: Any = None


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """Stop a child; its specification stays, unless it is temporary or the supervisor dynamic."""

    child: str
    request: Any = None


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Start a child that is down for good (terminated, cleanly ended or ignored). Counts in no window."""

    child: str
    request: Any = None


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Forget the specification of a child that is down for good."""

    child: str
    request: Any = None


@dataclass(frozen=True, slots=True)
class ReplaceSpec:
    """Give a child another specification, which holds from its next start on. (OTP does so by a code change.)"""

    child: str
    spec: Spec
    request: Any = None


Command = StartChild | TerminateChild | RestartChild | DeleteChild | ReplaceSpec
Event = Begin | Exited | StartOk | StartFailed | StartIgnored | Stopped | Retry | ShutdownAll | Command
