"""Holding: what a pool has to know of actors: for whom something is taken, and how one is told of a new version.

Edge (asks the kernel of the calling thread, sends signals); told to the pools of this process when it joins a node.
"""

from __future__ import annotations

from typing import Any

from ..actor import ActorRef, cell_here, park_for_news, subscribe
from ..ids import show
from ..memory import NewVersion, name_holders, park_followers, subscribe_by, tell_by


def know_actors() -> None:
    """Have pools note the actor on whose behalf something is taken, tell actors by signals, and park who waits."""
    name_holders(_who, _name)
    tell_by(_tell)
    subscribe_by(subscribe)
    park_followers(park_for_news)


def _who() -> int:
    cell = cell_here()
    return cell.address if cell is not None else 0


def _name(address: int) -> str:
    cell = cell_here()
    return f"{cell.name if cell is not None else 'actor'} <{show(address)}>"


def _tell(ref: Any, message: NewVersion) -> None:
    if isinstance(ref, ActorRef):
        # As Downs come: it never waits, capacity does not count it, and a restarted actor still gets it.
        ref.runtime.signal(ref.address, ("inform", ref.address, message))
    else:
        ref.tell(message)
