"""News: what reaches a supervisor beside its children's own exits, and what it keeps of each child.

Pure; used by the supervisor and the node.
"""

from __future__ import annotations

from typing import Any

from ..errors import ActorlabError, SpecError, StartError
from ..lean_dataclass import dataclass
from ..message import WorkerDied
from .action import Refuse


@dataclass(frozen=True, slots=True)
class WorkerIncident:
    """A worker died, and its place is taken again: all children that were started in `home` up to `epoch` are dead.

    The epoch numbers the processes that the worker's slot has had. `only`: none has died but these, which were shut
    down because they could not be handed over with the others (by their addresses).
    """

    home: int
    reason: WorkerDied
    epoch: int
    only: tuple[int, ...] | None = None


@dataclass(slots=True)
class ChildRecord:
    """Where a child lives: `epoch` says in which process of its home.

    `alive`: its incarnation has not ended; `kept`: its place waits for a restart.
    """

    ref: Any
    address: int
    incarnation: int
    cell_incarnation: int
    epoch: int
    alive: bool
    kept: bool


def did_not_start(child: str, why: Any) -> str:
    """Say in words that a child's start failed, as its error does.

    >>> did_not_start("ledger", StartError("ledger", "OSError: no such file"))
    'ledger did not start: OSError: no such file'
    >>> did_not_start("ledger", "its worker died")
    'ledger did not start: its worker died'
    """
    return str(why) if isinstance(why, StartError) else f"{child} did not start: {why}"


def child_failed(supervisor: str, child: str, why: Any) -> StartError:
    """Return the error of a supervisor that did not start: the way down to the child that did not, and its cause once.

    >>> str(child_failed("top", "ledger", StartError("ledger", "OSError: no such file")))
    "top: child 'ledger' did not start: OSError: no such file"
    >>> str(child_failed("root", "top", child_failed("top", "ledger", StartError("ledger", "OSError: no such file"))))
    "root: top: child 'ledger' did not start: OSError: no such file"
    """
    if not isinstance(why, StartError):
        return StartError(f"{supervisor}: child {child!r}", str(why))
    what, cause = why.args
    return StartError(f"{supervisor}: {what if ': child ' in what else f'child {child!r}'}", str(cause))


def refused(supervisor: str, answer: Refuse) -> ActorlabError:
    """Return the error of a command the plan refused."""
    why = answer.why.replace("_", " ")
    detail = answer.detail
    if answer.why == "start_failed":
        if isinstance(detail, ActorlabError):
            return detail
        return child_failed(supervisor, answer.child, detail)
    if isinstance(detail, SpecError):
        return detail
    return SpecError(f"{supervisor}: child {answer.child!r}", why + (f" ({detail})" if detail is not None else ""))
