"""News: what reaches a supervisor beside its children's own exits, and what it keeps of each child.

Pure; used by the supervisor and the node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ActorlabError, SpecError, StartError
from ..message import WorkerDied
from .action import Refuse


@dataclass(frozen=True, slots=True)
class WorkerIncident:
    """A worker died, and its place is taken again: all children that were started in `home` up to `epoch` are dead.

    The epoch numbers the processes that the worker's slot has had.
    """

    home: int
    reason: WorkerDied
    epoch: int


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


def refused(supervisor: str, answer: Refuse) -> ActorlabError:
    """Return the error of a command the plan refused."""
    why = answer.why.replace("_", " ")
    detail = answer.detail
    if answer.why == "start_failed":
        if isinstance(detail, ActorlabError):
            return detail
        return StartError(f"{supervisor}: child {answer.child!r}", str(detail))
    if isinstance(detail, SpecError):
        return detail
    return SpecError(f"{supervisor}: child {answer.child!r}", why + (f" ({detail})" if detail is not None else ""))
