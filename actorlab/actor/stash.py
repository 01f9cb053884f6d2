"""Stash: messages that an actor puts aside until it is ready for them.

Edge (the actor's own greenlet, task or thread); used by actors that say `stash_capacity`. `stash()` ends the handler:
the message counts as waiting again, not as handled. `unstash()` puts everything aside back before what waits, in order.

A message of another process stays in its lane meanwhile, so a stash follows promise 4: an actor's crash hands it to the
next incarnation, before the queue; a worker's crash keeps what came from other processes. It also stays among the
sender's messages that are not done with, so a stash must hold fewer than the mailbox: else one sender could fill it and
never get the message through that empties it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import StashFull
from .chain import LocalCall
from .envelope import ASK, CALL, CAST, INFO, LAST_KIND, TELL
from .special import special_of
from .waiting import undirect
from .work import ahead

if TYPE_CHECKING:
    from .cell import Cell

MESSAGES = (TELL, CAST, ASK, CALL, INFO)


class Stashed(BaseException):
    """Ends a handler whose message was put aside. Not an Exception, so that handlers do not catch it by accident."""

    def __str__(self) -> str:
        return "stash() is for the handlers of messages"


def stash(cell: Cell) -> NoReturn:
    """Put the message in hand aside and end its handler. Raises StashFull: then the handler may go on."""
    special = special_of(cell.main)
    capacity = cell.behaviour.stash_capacity
    if len(special.aside) + len(special.back) >= capacity:
        raise StashFull(cell.main.name, capacity)
    raise Stashed


def put_aside(cell: Cell, envelope: Any, sink: Any) -> bool:
    """A handler ended by Stashed: keep its message. Return False for what is no message."""
    if envelope[0] not in MESSAGES:
        return False
    kernel = cell.kernel
    if cell.hand:
        # Killed before the store, it is the message in hand; after it, one of those that wait in the lane.
        envelope = kernel.handling.record_in_hand(cell)
        cell.hand = 0
        # crash: aside.word
        kernel.words[cell.word] = cell.handled << 24
        # crash: aside.waits
    special = special_of(cell)
    with cell.main.mail_lock():
        special.aside.append(envelope)
    if sink.__class__ is LocalCall and sink.direct:
        cell.sink = sink
        undirect(kernel, cell)  # its caller lent us the thread, and waits like anybody else from here on
    cell.sink = None
    return True


def unstash(cell: Cell) -> int:
    """Put everything aside back before what waits, in order; return how many. From the actor's own place."""
    special = special_of(cell)
    with cell.main.mail_lock():  # the kernel may take one back that is cancelled
        number = len(special.aside)
        special.back.extend(special.aside)
        special.aside.clear()
    for _ in range(number):
        ahead(cell, _next, "a message from the stash")
    return number


def hand_over(cell: Cell) -> None:
    """The incarnation has ended: its stash is the first thing the next one gets. In the kernel's thread."""
    special = special_of(cell)
    # whatever was put aside again while its like came back is the older
    kept = [envelope for envelope in (*special.aside, *special.back) if envelope[0] != INFO]
    special.aside.clear()
    special.back.clear()
    special.back.extend(kept)
    for _ in kept:
        ahead(cell, _next, "a message from the stash")


def _next(cell: Cell, me: Any) -> bool:
    """Handle the next message that comes out of the stash."""
    back = special_of(cell).back
    with cell.main.mail_lock():
        if not back:
            return True  # taken back meanwhile
        envelope = back.popleft()
    kernel = cell.kernel
    if envelope[0] > LAST_KIND:
        return kernel.from_lane(cell, envelope, me)
    if envelope[0] == INFO:
        cell.more().unbounded += 1  # handling it counts it out again
    return kernel.handle(cell, envelope, me)
