"""Pykka's rules: how an actor is bound to its cell, and how a `ProcessActor` fails and stops in Pykka's order.

Edge (the actor's own thread); used by the lifecycle. Private hooks of Pykka are called here, so that its log
records, its registry and its order of events are its own; a contract test pins them.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pykka

from ..ids import LOCAL_HOME
from ..message import Crashed
from .waiting import Killed

if TYPE_CHECKING:
    from .cell import Cell

_log = logging.getLogger("pykka")


class _Building(threading.local):
    cell: Cell | None = None


_building = _Building()


def make(cell: Cell, actor: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make the actor, bound to `cell`, so that `self.ref` is good from the first line of the `__init__` to come."""
    _building.cell = cell
    try:
        obj = actor.__new__(actor, *args, **kwargs)
    finally:
        _building.cell = None
    cell.object = obj
    return obj


def take_cell() -> Cell | None:
    """Return the cell the object under construction belongs to, once; None when somebody just calls the class."""
    cell, _building.cell = _building.cell, None
    return cell


def register(obj: Any, home: int) -> None:
    """Show an actor of the user's own process in Pykka's registry."""
    if home == LOCAL_HOME:
        pykka.ActorRegistry.register(obj.actor_ref)


def unregister(ref: Any, home: int) -> None:
    """Take an actor off Pykka's registry, if it is there."""
    if home == LOCAL_HOME and ref in pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.unregister(ref)


def failed(cell: Cell, obj: Any, error: BaseException) -> None:
    """Pykka's handling of a failure nobody waits for: log it, take the actor off the registry, mark it stopped."""
    cell.kernel.endings.mark_ending(cell)
    obj._handle_failure(type(error), error, error.__traceback__)


def handler_raised(cell: Cell, sink: Any, error: BaseException) -> bool:
    """Pykka's error rule: an `ask` error is an answer, a `tell` error stops the actor, a BaseException stops all."""
    obj = cell.object
    kernel = cell.kernel
    if isinstance(error, Exception):
        if sink is not None:
            _log.info("Exception returned from %s to caller:", obj, exc_info=(type(error), error, error.__traceback__))
            sink.fail(error)
            return True
        cell.more().reason = Crashed.by(error)
        failed(cell, obj, error)
        try:
            kernel.lifecycle.wait_if_async(obj.on_failure(type(error), error, error.__traceback__))
        except Exception:
            obj._handle_failure(*sys.exc_info())
    else:
        _log.debug("%r in %s. Stopping all actors.", error, obj)
        cell.more().reason = Crashed.by(error)
        run_last_hook(cell, obj)
        if sink is not None:
            sink.fail(error)
        pykka.ActorRegistry.stop_all(block=False)
    kernel.endings.bury(cell, cell.more().reason)
    return False


def run_last_hook(cell: Cell, obj: Any) -> None:
    """Pykka's stop: off the registry, marked stopped, then `on_stop`."""
    cell.kernel.endings.mark_ending(cell)
    try:
        if inspect.iscoroutinefunction(type(obj).on_stop):
            # Pykka's own would drop the coroutine
            pykka.ActorRegistry.unregister(obj.actor_ref)
            obj.actor_stopped.set()
            _log.debug("Stopped %s", obj)
            try:
                cell.kernel.lifecycle.wait_if_async(obj.on_stop())
            except Exception:
                obj._handle_failure(*sys.exc_info())
        else:
            obj._stop()
    except Killed:
        pass  # its time was up; `kill` has buried it


__all__ = ["failed", "handler_raised", "make", "register", "run_last_hook", "take_cell", "unregister"]
