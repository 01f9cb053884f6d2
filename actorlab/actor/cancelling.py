"""Cancelling: a question that nobody waits for any more is taken out of where it waits to be handled.

Edge (one kernel's thread); used by whoever gives up: a deadline, `future.cancel()`, a task that is cancelled, a handler
that is thrown out. What has begun is left to end, and its answer is late. What is taken out becomes a dead letter
(`cancelled`), so the books balance (P5); a message that the cancellation does not find had begun, or was refused.
"""

from __future__ import annotations

import weakref
from _thread import get_ident
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .cell import DEAD, HELD, PARKED, Cell
from .envelope import ASK, CALL, LAST_KIND, Chain, describe
from .priority import PriorityMail, change_each, first_out

if TYPE_CHECKING:
    from .scheduler import Kernel

CANCELLED = "cancelled"

IsIt = Callable[[Any], bool]


def take_back(kernel: Kernel, address: int, question: Any) -> bool:
    """Take back a question of this process's to an actor of `kernel`; return whether it had not begun.

    In the kernel's thread: at once; from another thread it is left to that, and False.
    """
    if get_ident() != kernel.ident:
        kernel.post(take_back, kernel, address, question)
        return False

    return _take_out(kernel, address, lambda envelope: _asks(envelope, question))


def take_back_remote(kernel: Kernel, address: int, corr: int) -> bool:
    """Take back a question that came by a lane, by its number. In the kernel's thread."""
    return _take_out(kernel, address, lambda envelope: envelope[0] > LAST_KIND and envelope[1] == corr)


class Loose:
    """The sink of a question whose future is held by its askers alone: when they let go of it, it is taken back."""

    __slots__ = ("__weakref__", "_address", "_future", "_kernel", "asked", "corr", "waiting_in", "what")

    def __init__(self, future: Any, kernel: Kernel, address: int) -> None:
        self._kernel = kernel
        self._address = address
        self.asked, self.corr, self.what = future.asked, future.corr, future.what
        self.waiting_in = future.waiting_in
        self._future = weakref.ref(future, self._dropped)

    def held(self) -> Any:
        """Return the future, or None."""
        return self._future()

    @property
    def chain(self) -> Chain:
        """Who waits for it."""
        future = self._future()
        return () if future is None else future.chain

    @property
    def state(self) -> int:
        """Whether it has an outcome, or needs none any more."""
        future = self._future()
        return 2 if future is None else int(future.state)

    def reply(self, value: Any) -> None:
        """Settle the future, if there still is one."""
        future = self._future()
        if future is not None:
            future.reply(value)

    def fail(self, error: BaseException) -> None:
        """Settle the future, if there still is one."""
        future = self._future()
        if future is not None:
            future.fail(error)

    def _dropped(self, _future: object) -> None:
        # from wherever the last reference went, perhaps in the middle of a collection: only a note for the kernel
        kernel = self._kernel
        kernel.post(kernel.runtime.take_back, self, self._address)


def loosen(kernel: Kernel, address: int, future: Any) -> None:
    """Take back a question of this process's as soon as nobody holds its future any more. From any thread."""
    if get_ident() != kernel.ident:
        kernel.post(loosen, kernel, address, Loose(future, kernel, address))
        return
    loose = future if isinstance(future, Loose) else Loose(future, kernel, address)
    cell = kernel.cells.get(address)
    if cell is None or (cell.behaviour.blocking and cell.phase == PARKED):
        return
    held = loose.held()
    mailbox = cell.mailbox

    def ask_loosely(envelope: Any) -> Any:
        return _asked_by(loose, envelope) if _asks(envelope, held) else envelope

    if isinstance(mailbox, PriorityMail):
        mailbox.change(ask_loosely)
    else:
        change_each(mailbox, ask_loosely)


def pick_out(cell: Cell, is_it: IsIt) -> Any:
    """Take the first envelope that `is_it` out of a mailbox and return it, or None. The others stay where they are.

    Envelopes are not compared: what is in them is the users', and so is what `==` does. In the kernel's thread.
    """
    mailbox = cell.mailbox
    with cell.mail_lock():
        if isinstance(mailbox, PriorityMail):
            return mailbox.pick_out(is_it)
        return first_out(mailbox, is_it)


def leave(cell: Cell, item: Any) -> None:
    """Take one of those that wait outside away from the door."""
    waiting = cell.more().waiting
    assert waiting is not None
    kept = [other for other in waiting if other is not item]
    waiting.clear()
    waiting.extend(kept)
    if not waiting:
        cell.kernel.admission.open_door(cell)


def _asked_by(loose: Loose, envelope: Any) -> Any:
    if hasattr(envelope[-1], "origin"):
        envelope[-1].origin = loose
        return envelope
    return (*envelope[:-1], loose)


def _asks(envelope: Any, question: Any) -> bool:
    return (envelope[0] == CALL or envelope[0] == ASK) and (
        envelope[-1] is question or getattr(envelope[-1], "origin", None) is question
    )


def _take_out(kernel: Kernel, address: int, is_it: IsIt) -> bool:
    cell = kernel.cells.get(address)
    if cell is None or cell.phase == DEAD:
        return False
    return _from_mailbox(kernel, cell, is_it) or _from_door(cell, is_it) or _from_stash(cell, is_it)


def _from_stash(cell: Cell, is_it: IsIt) -> bool:
    special = cell.extra.special if cell.extra is not None else None
    if special is None:
        return False
    with cell.mail_lock():
        found = first_out(special.aside, is_it) or first_out(special.back, is_it)
    if found is not None:
        write_off(cell, found)
    return found is not None


def _from_mailbox(kernel: Kernel, cell: Cell, is_it: IsIt) -> bool:
    if cell.behaviour.blocking and cell.phase == PARKED:
        # Its thread takes messages meanwhile; what came by reference it passes over, for its asker has an outcome.
        found = pick_out(cell, lambda envelope: envelope[0] > LAST_KIND and is_it(envelope))
    else:
        found = pick_out(cell, is_it)
    if found is None:
        return False
    write_off(cell, found)
    extra = cell.extra
    if extra is not None and extra.waiting:
        kernel.admission.refill(cell)
    depth = cell.queued()
    if depth < cell.bounds.capacity:
        kernel.lifecycle.say_full(cell, False)
    if cell.phase in (HELD, PARKED):
        kernel.table.set_depth(cell.word, depth)  # else the end of its activation says it
    return True


def _from_door(cell: Cell, is_it: IsIt) -> bool:
    waiting = cell.extra.waiting if cell.extra is not None else None
    for item in waiting or ():
        if is_it(item[0]):
            leave(cell, item)
            write_off(cell, item[0])
            return True
    return False


def write_off(cell: Cell, envelope: Any) -> None:
    """A message that waited will not be handled, because its asker gave up: a dead letter that nobody is told of."""
    kernel = cell.kernel
    if envelope[0] > LAST_KIND:
        kernel.handling.drop(envelope, CANCELLED, None, cell)
    else:
        kernel.lifecycle.count_dead(cell)
        kernel.runtime.dead_letters.add(cell.name, cell.address, describe(envelope), CANCELLED)
