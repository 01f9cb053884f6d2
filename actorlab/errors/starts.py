"""Actors, supervisors, workers and nodes that did not start, and specifications that make no sense.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from .root import ActorlabError


class StartError(ActorlabError):
    """An actor, supervisor, worker or node that did not start. Whatever had been started was stopped again."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)

    def __str__(self) -> str:
        what, why = self.args
        return f"{what} did not start: {why}"


class InitTimeout(StartError):
    """`__init__` and `on_start` did not finish within `init_timeout_s`."""


class WorkerStartError(StartError):
    """A worker process did not become ready."""


class WorkerLost(StartError):
    """A worker died while it was asked to start or stop something. What it had started died with it."""

    def __str__(self) -> str:
        what, why = self.args
        return f"{what}: {why} while it was at it; what it had started died with it"


class WorkerShedding(StartError):
    """A worker above its soft limit of memory takes no new actors. Nothing was started; place it elsewhere, or wait."""


class NotMovable(StartError):
    """An actor that cannot be handed to another process, so its worker is not recycled. Nothing was stopped or lost."""

    def __str__(self) -> str:
        what, why = self.args
        return (
            f"{what} cannot be moved: {why}; its worker goes on as before. "
            "Let its class define snapshot() and restore(state), or supervise it: then it is restarted instead"
        )


class WorkerStays(NotMovable):
    """A worker that is neither recycled nor drained, whoever lives there. Nothing was stopped, moved or lost."""

    def __str__(self) -> str:
        what, why = self.args
        return f"{what} stays as it is: {why}"


class AlreadyRunning(StartError):
    """A live node has that name. Nothing was started: use the running one, stop it, or choose another name."""


class SpecError(ActorlabError, ValueError):
    """A child, supervisor or mailbox specification that makes no sense. Nothing was started."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)

    def __str__(self) -> str:
        what, why = self.args
        return f"{what}: {why}"


class MissingCapability(SpecError):
    """Something was asked for by name that this system cannot give. Nothing was started or made in its stead."""


class NoSuchChild(ActorlabError):
    """A supervisor knows no child of that name."""

    def __init__(self, supervisor: str, name: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(supervisor, name, known)

    def __str__(self) -> str:
        supervisor, name, known = self.args
        return f"{supervisor} has no child {name!r}" + (f"; it has {', '.join(known)}" if known else "")
