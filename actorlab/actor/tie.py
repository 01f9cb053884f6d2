"""Ties: an actor that ends at once, whatever it does, when another ends other than normally.

Edge (a monitor of the kernel's); used by tasks. A link asks its actor to end before the next message; one whose only
message is a long function needs more than asking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..message import NORMAL
from . import current
from .future import Future
from .special import special_of

if TYPE_CHECKING:
    from .ref import ActorRef


def tie_to(owner: ActorRef[Any]) -> None:
    """Kill the actor whose handler calls this when `owner` ends, unless by `normal`. Not for blocking actors."""
    cell = current.cell_here()
    assert cell is not None and not cell.behaviour.blocking
    cell = cell.main
    kernel = cell.kernel
    actor = cell.object
    gone: Future[Any] = Future("the end of an owner")
    special_of(cell).watches.append(kernel.signals.watch_from_outside(owner.address, gone))

    def ended() -> None:
        if cell.object is actor and gone.outcome()[1].reason != NORMAL:
            kernel.do(kernel.endings.kill, cell)

    gone.on_settled(ended)
