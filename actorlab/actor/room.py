"""Room: whether a mailbox has any for one more message, and what its sender is told when it has not.

Pure (it looks at a cell); used by admission and by senders. Bounds are `Mailbox`'s: a number of messages and, where the
actor says so, their weight.
"""

from __future__ import annotations

from typing import Any

from ..errors import MailboxFull, MessageTooLarge, StartError
from .behaviour import Behaviour
from .cell import Cell
from .mailbox import Mailbox
from .weight import WeighedMailbox

BRAKE = 64
"""A sender that finds so many messages waiting goes the slow way, and gives way to others."""


def check_bounds(behaviour: Behaviour, bounds: Mailbox) -> None:
    """Raise StartError for bounds under which an actor of this class could not work as it says."""
    if behaviour.stash_capacity >= bounds.capacity:
        why = "what is put aside still counts as its sender's"
        most = f"below its mailbox's capacity ({bounds.capacity})"
        raise StartError(behaviour.label, f"its stash_capacity ({behaviour.stash_capacity}) must be {most}: {why}")
    if behaviour.priorities and bounds.max_bytes is not None:
        raise StartError(behaviour.label, "a mailbox with priorities is bounded by number: leave out max_bytes")


def brake_of(bounds: Mailbox) -> int:
    """Return how many messages may wait at an actor before a sender goes the slow way: none where they are weighed."""
    return min(BRAKE, bounds.capacity) if bounds.max_bytes is None else 0


def fits(cell: Cell, envelope: Any) -> bool:
    """Whether a mailbox that is bounded by bytes has room for `envelope`."""
    mailbox = cell.mailbox
    return not isinstance(mailbox, WeighedMailbox) or mailbox.fits(envelope)


def has_room(cell: Cell, envelope: Any) -> bool:
    """Whether a mailbox would take `envelope` now, as far as its bounds go."""
    return len(cell.mailbox) < cell.bounds.capacity and (cell.bounds.max_bytes is None or fits(cell, envelope))


def too_large(cell: Cell, envelope: Any) -> MessageTooLarge | None:
    """Return why a message will never fit a mailbox that is bounded by bytes, None if it may."""
    mailbox = cell.mailbox
    if not isinstance(mailbox, WeighedMailbox) or mailbox.weight(envelope) <= mailbox.max_bytes:
        return None
    return MessageTooLarge(cell.name, mailbox.weight(envelope), mailbox.max_bytes, "max_bytes of its mailbox")


def full_error(cell: Cell) -> MailboxFull:
    """Return what to tell a sender for whom there is no room: by number, or by bytes if that is what is full."""
    bounds = cell.bounds
    if bounds.max_bytes is not None and cell.queued() < bounds.capacity:
        return MailboxFull(cell.name, bounds.max_bytes, bounds.overflow, "bytes")
    return MailboxFull(cell.name, bounds.capacity, bounds.overflow)
