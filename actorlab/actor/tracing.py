"""Tracing: what an actor handles, told as it happens, without the actor's or its senders' doing anything for it.

Edge (tells an actor, or logs); used by inspection. A traced actor has a behaviour of its own, whose methods tell what
became of them; so one that is not traced pays nothing. A trace ends with the incarnation.
"""

from __future__ import annotations

import copy
import logging
import time
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from ..errors import CallError
from ..message import Traced
from .behaviour import forwarder
from .envelope import describe_call, shorten

if TYPE_CHECKING:
    from .cell import Cell

log = logging.getLogger("actorlab.trace")


def trace(cell: Cell, on: bool, to: Any) -> None:
    """Begin to tell `to` (a reference; None: the log) what an actor handles, or end that. Between two messages."""
    actor = cell.object
    original = type(actor).__dict__.get("behaviour_cache", cell.behaviour)
    cell.behaviour = original
    vars(actor).pop("on_receive", None)
    if not on:
        return
    teller = Teller(cell, to)
    behaviour = copy.copy(original)
    behaviour.public = {
        name: method if name.startswith("<") else forwarder(method, teller, name)
        for name, method in original.public.items()
    }
    cell.behaviour = behaviour
    receive = actor.on_receive

    def on_receive(message: Any) -> Any:
        begun = shorten(message), time.perf_counter()
        try:
            result = receive(message)
        except BaseException as error:
            teller.raised(begun, error)
            raise
        return teller.returned(begun, result)

    vars(actor)["on_receive"] = on_receive


class Teller:
    """Runs a handler, and tells what became of it."""

    __slots__ = ("_name", "_ref", "_to")

    def __init__(self, cell: Cell, to: Any) -> None:
        self._ref = cell.kernel.runtime.ref_at(cell.address, cell.behaviour.path)
        self._name = cell.name
        self._to = to

    def begin(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, float]:
        """A method begins; return what to say of it at its end."""
        return describe_call(name, args, kwargs), time.perf_counter()

    def raised(self, begun: tuple[str, float], error: BaseException) -> None:
        """It has ended with an exception."""
        self._tell(*begun, f"raised {type(error).__name__}: {error}")

    def returned(self, begun: tuple[str, float], result: Any) -> Any:
        """It has ended with a result; return what to give instead: of a coroutine, one that tells of its end."""
        if result.__class__ is CoroutineType:
            return self._around_task(begun, result)
        self._tell(*begun, f"returned {shorten(result)}")
        return result

    async def _around_task(self, begun: tuple[str, float], coroutine: Any) -> Any:
        try:
            result = await coroutine
        except BaseException as error:
            self.raised(begun, error)
            raise
        self._tell(*begun, f"returned {shorten(result)}")
        return result

    def _tell(self, what: str, started: float, outcome: str) -> None:
        event = Traced(self._ref, what, outcome, time.perf_counter() - started)
        if self._to is None:
            log.info("%s: %s %s after %.6f s", self._name, what, outcome, event.seconds)
            return
        try:
            self._to.tell(event)
        except CallError:
            pass  # whoever wanted to know has ended, or takes no more
