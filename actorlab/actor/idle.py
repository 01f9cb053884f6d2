"""IdleWatch: tells an actor that nothing has come for a while (a receive time-out).

Edge (a timer of the kernel's); used by actors that set `receive_timeout`. Akka's rule: it stays in effect, and tells
again after each further idle time; any message, a timer's too, begins it anew. The end of an activation is noted, not
a timer moved: the timer looks when it is due, and goes on waiting for what is left. So a busy actor pays for a clock
reading an activation, and a timer an idle time; one that sets no time-out pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..message import Timeout
from .cell import IDLE
from .special import special_of
from .timers import Chore

if TYPE_CHECKING:
    from .cell import Cell
    from .timers import Timer


class IdleWatch(Chore):
    """One actor's idle time."""

    __slots__ = ("_now", "after_s", "since", "timer")

    def __init__(self, cell: Cell, after_s: float) -> None:
        kernel = cell.kernel
        self.after_s = after_s
        self._now = kernel.timers
        self.since = kernel.timers.now()
        self.timer: Timer = kernel.lifecycle.set_timer(cell, after_s, self, None)

    def touch(self) -> None:
        """Something has been handled now."""
        self.since = self._now.now()

    def fire(self, cell: Cell) -> None:
        """The timer is due: tell the actor if it has been idle all the while, and wait again."""
        lifecycle = cell.kernel.lifecycle
        left_s = self.since + self.after_s - self._now.now()
        if cell.phase != IDLE or cell.mailbox:
            left_s = self.after_s
        elif left_s <= 0:
            self.since = self._now.now()
            lifecycle.inform(cell, Timeout(self.after_s))
            left_s = self.after_s
        self.timer = lifecycle.set_timer(cell, left_s, self, None)


def set_receive_timeout(cell: Cell, after_s: float | None) -> None:
    """Begin to watch an actor's idle time, or (None) end that. In the kernel's thread."""
    if after_s is not None and not after_s > 0:
        raise ValueError(f"receive_timeout must be more than 0 s, or None for never, not {after_s!r}")
    special = special_of(cell)
    if special.idle is not None:
        special.idle.timer.live = False
        timers = cell.more().timers
        if timers is not None:
            timers.discard(special.idle.timer)
    special.idle = IdleWatch(cell, float(after_s)) if after_s is not None else None


def receive_timeout_of(cell: Cell) -> float | None:
    """Return how long an actor may be idle before it is told, or None."""
    special = cell.extra.special if cell.extra is not None else None
    return special.idle.after_s if special is not None and special.idle is not None else None
