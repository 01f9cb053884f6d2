"""Admission: the door of every mailbox of a kernel, where bounds are judged.

Edge (one kernel's thread, but for `send_from_outside`); used by references, the kernel and the worker. The
receiver's kernel is the only judge, so depth never exceeds capacity (P3). What waits for room waits *outside*, in
order of arrival, unaccepted; whoever waits there for longer than its deadline is told MailboxFull and gone.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied, CallTimeout, MailboxFull
from . import current
from .backlog import Backlog
from .cancelling import leave, pick_out, take_back
from .cell import DEAD, IDLE, NO_MAIL, PARKED, Cell
from .chain import LocalCall
from .envelope import ASK, CALL, END, INFO, INIT, LAST_KIND, STOP, WORK, describe, is_unbounded
from .future import Future
from .mailbox import Mailbox
from .priority import PriorityMail
from .room import BRAKE, brake_of, fits, full_error, has_room, too_large
from .waiting import give_way
from .weight import WeighedMailbox, weigh_local

if TYPE_CHECKING:
    from .scheduler import Kernel

class Waiter:
    """Somebody at the door of a full mailbox. Claimed once: by admission, by refusal or by the deadline."""

    __slots__ = ("_claim", "future", "wheel")

    def __init__(self, what: str) -> None:
        self.future: Future[None] = Future(what)
        self._claim = [None]
        self.wheel: Any = None

    @property
    def is_claimed(self) -> bool:
        """Whether somebody has decided."""
        return not self._claim

    def claim(self) -> bool:
        """Whether the caller is the first to decide. From any thread (a pop is atomic)."""
        try:
            self._claim.pop()
        except IndexError:
            return False
        return True


class Overdue:
    """A question's deadline at a door."""

    __slots__ = ("_admission", "_cell", "_sink", "wheel")

    def __init__(self, admission: Admission, cell: Cell, sink: Any) -> None:
        self._admission = admission
        self._cell = cell
        self._sink = sink
        self.wheel: Any = None

    def expire(self) -> None:
        """The time is up: MailboxFull, unless it was let in meanwhile."""
        if self._sink.waiting_in is self._cell:
            self._admission.leave_door(self._cell, self._sink)


def _may_be_dropped(envelope: Any) -> bool:
    return (envelope[0] <= CALL or envelope[0] > LAST_KIND) and not is_unbounded(envelope)


class Admission:
    """The doors of one kernel's mailboxes."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._backlog = Backlog(kernel)
        self.shedding = 0  # the soft limit of memory, while this worker is above it: nothing comes in from outside

    def open_mailbox(self, cell: Cell) -> deque[Any]:
        """Return the cell's mailbox, building it if it has none; the oldest empty ones are dropped for it."""
        mailbox = cell.mailbox
        if mailbox is NO_MAIL:
            mailbox = cell.mailbox = self._new_mailbox(cell, cell.bounds)
            cell.brake = 0 if self.shedding else brake_of(cell.bounds)
            warm = self._kernel.warm
            warm.append(cell)
            if len(warm) > 4096:
                old = warm.popleft()
                if old.phase == IDLE and not old.mailbox:
                    old.mailbox = NO_MAIL
                    old.brake = 0
                elif old.phase != DEAD:
                    warm.append(old)
        return mailbox

    def _new_mailbox(self, cell: Cell, bounds: Mailbox) -> deque[Any]:
        if cell.behaviour.priorities:
            return PriorityMail(cell.behaviour.priorities, self._kernel.handling.peek)
        return deque() if bounds.max_bytes is None else WeighedMailbox(bounds.max_bytes, self._weigh)

    def _weigh(self, envelope: Any) -> int:
        return weigh_local(envelope) if envelope[0] <= LAST_KIND else self._kernel.handling.weigh(envelope)

    def set_bounds(self, cell: Cell, bounds: Mailbox) -> None:
        """The next incarnation may have other bounds than the last; what waits stays, even if it is too much."""
        cell.bounds = bounds
        plain = bounds.max_bytes is None and not cell.behaviour.priorities and type(cell.mailbox) is deque
        if cell.mailbox is not NO_MAIL and not plain:
            kept, cell.mailbox = cell.mailbox, self._new_mailbox(cell, bounds)
            cell.mailbox.extend(kept)
        closed = self.shedding or cell.mailbox is NO_MAIL or cell.more().waiting
        cell.brake = 0 if closed else brake_of(bounds)

    def admit(self, cell: Cell, envelope: Any, waiter: Waiter | None) -> bool:
        """Take `envelope` in, or deal with it as the mailbox says. Return whether it was accepted now.

        A refusal reaches the sink (MailboxFull, ActorDied) or the dead letters. With `block` it stays outside.
        """
        if cell.phase == DEAD:
            self.refuse(cell, envelope, waiter, ActorDied(cell.name, str(cell.more().reason), "never"), "no_actor")
            return False
        mailbox = self.open_mailbox(cell)
        extra = cell.extra
        capacity, weighed = cell.bounds.capacity, cell.bounds.max_bytes is not None
        depth = len(mailbox) if extra is None else len(mailbox) - extra.unbounded
        if weighed and extra is not None and extra.waiting:
            self.refill(cell)  # whoever gave up had perhaps more to bring
            depth = len(mailbox) - extra.unbounded
            self._kernel.ready(cell)
        if depth < capacity and (extra is None or not extra.waiting) and (not weighed or fits(cell, envelope)):
            if waiter is not None and not waiter.claim():
                return False  # it gave up before we came to look, and was told so
            mailbox.append(envelope)
            if depth + 1 == capacity:
                self._kernel.lifecycle.say_full(cell, True)
            self._kernel.ready(cell)
            if waiter is not None:
                waiter.future.reply(None)
            return True
        overflow = cell.bounds.overflow
        if weighed and (heavy := too_large(cell, envelope)) is not None:
            self.refuse(cell, envelope, waiter, heavy, "too_large")
            return False
        if overflow == "block":
            extra = cell.more()
            if extra.waiting is None:
                extra.waiting = deque()
            extra.waiting.append((envelope, waiter))
            cell.brake = 0  # no fast path past those who wait
            if envelope[0] == CALL or envelope[0] == ASK:
                envelope[-1].waiting_in = cell
            return False
        full = full_error(cell)
        if overflow == "drop_old":
            if depth >= capacity:
                self._drop_oldest(cell, full)
            while weighed and not fits(cell, envelope) and self._drop_oldest(cell, full):
                pass
            mailbox.append(envelope)
            if waiter is not None and waiter.claim():
                waiter.future.reply(None)
            return True
        self.refuse(cell, envelope, waiter, full, "dropped" if overflow == "drop_new" else "mailbox_full")
        return False

    def publish_depths(self) -> None:
        """Say how many wait at actors whose handlers wait; for the others, the end of an activation says it."""
        table = self._kernel.table
        for cell in self._kernel.warm:
            if cell.phase == PARKED:
                gone = table.gone(cell.word)
                table.set_depth(cell.word, cell.queued(), gone)
        self._backlog.publish()

    def admit_stop(self, cell: Cell, record: Any) -> None:
        """Let a stop that came by a lane in: capacity does not bound it, but what waits outside came before it."""
        if cell.phase == DEAD:
            self.refuse(cell, record, None, ActorDied(cell.name, str(cell.more().reason), "never"), "no_actor")
        elif cell.extra is not None and cell.extra.waiting:
            cell.extra.waiting.append((record, None))
        else:
            self.open_mailbox(cell).append(record)
            cell.more().unbounded += 1
            self._kernel.ready(cell)

    def refill(self, cell: Cell) -> None:
        """There is room again: let in who waits outside, in order."""
        extra = cell.extra
        assert extra is not None and extra.waiting is not None
        waiting, mailbox, capacity = extra.waiting, cell.mailbox, cell.bounds.capacity
        weighed = cell.bounds.max_bytes is not None
        while waiting:
            envelope, waiter = waiting[0]
            full = len(mailbox) - extra.unbounded >= capacity or (weighed and not fits(cell, envelope))
            if full and (waiter is None or not waiter.is_claimed):  # else it gave up
                break
            waiting.popleft()
            if waiter is not None and not waiter.claim():
                continue
            mailbox.append(envelope)
            if is_unbounded(envelope):
                extra.unbounded += 1
            if envelope[0] == CALL or envelope[0] == ASK:
                envelope[-1].waiting_in = None
            if waiter is not None:
                waiter.future.reply(None)
        if not waiting:
            self.open_door(cell)

    def open_door(self, cell: Cell) -> None:
        """Nobody waits outside any more: the fast paths may be used again."""
        cell.more().waiting = None
        if cell.mailbox is not NO_MAIL and not self.shedding:
            cell.brake = brake_of(cell.bounds)

    def shed(self, soft_bytes: int) -> None:
        """Refuse what comes from other processes, until told 0: with their brakes on, all doors are passed slowly."""
        self.shedding = soft_bytes
        for cell in self._kernel.cells.values():
            if soft_bytes or cell.mailbox is NO_MAIL or (cell.extra is not None and cell.extra.waiting):
                cell.brake = 0
            else:
                cell.brake = brake_of(cell.bounds)

    def send(self, cell: Cell, envelope: Any) -> None:
        """Send from this kernel's own thread: parks the handler for room, or raises MailboxFull."""
        kernel = self._kernel
        if cell.phase == DEAD:
            raise ActorDied(kernel.runtime.ref(cell.address).label, "noproc", "never")
        mailbox = self.open_mailbox(cell)
        bounds = cell.bounds
        extra = cell.extra
        n = len(mailbox) if extra is None else len(mailbox) - extra.unbounded
        weighed = bounds.max_bytes is not None
        if weighed and (heavy := too_large(cell, envelope)) is not None:
            raise heavy
        if n < bounds.capacity and (extra is None or not extra.waiting) and (not weighed or fits(cell, envelope)):
            mailbox.append(envelope)
            if n + 1 == bounds.capacity:
                kernel.lifecycle.say_full(cell, True)
            kernel.ready(cell)
            if n >= BRAKE:
                give_way(kernel)
            return
        if bounds.overflow == "reject" or (bounds.overflow == "block" and cell is kernel.current):
            raise full_error(cell)
        if bounds.overflow != "block":
            self.admit(cell, envelope, None)
            return
        if not kernel.in_handler():
            if envelope[0] == CALL or envelope[0] == ASK:
                self.admit_question(cell, envelope)
                return
            raise full_error(cell)
        waiter = Waiter(f"room in the mailbox of {cell.name}")
        self.admit(cell, envelope, waiter)
        self.wait_at_door(cell, waiter)

    def wait_at_door(self, cell: Cell, waiter: Waiter, timeout_s: float | None = None) -> None:
        """Wait until admitted, at most as long as the mailbox says (and `timeout_s`), then MailboxFull."""
        limit_s = cell.bounds.timeout_s
        try:
            waiter.future.get(timeout=limit_s if timeout_s is None else min(limit_s, timeout_s))
        except CallTimeout:
            if waiter.claim():
                raise full_error(cell) from None
            waiter.future.get(timeout=30.0)  # decided this very moment

    def send_from_outside(self, cell: Cell, envelope: Any, timeout_s: float | None = None) -> None:
        """Send from another thread of this process: through the kernel's inbox, waiting for its verdict if need be."""
        kernel = self._kernel
        if cell.phase == DEAD:
            raise ActorDied(kernel.runtime.ref(cell.address).label, "noproc", "never")
        bounds = cell.bounds
        if bounds.overflow == "block" and current.cell_here() is cell and not has_room(cell, envelope):
            raise full_error(cell)  # nobody else would make room
        nearly_full = bounds.max_bytes is not None or len(cell.mailbox) + len(kernel.inbox) + 1 >= bounds.capacity
        if not nearly_full or bounds.overflow.startswith("drop"):
            kernel.post(self.admit, cell, envelope, None)
            return
        if timeout_s is None and envelope[0] in (CALL, ASK) and _get_running_loop() is not None:
            kernel.post(self.admit_question, cell, envelope)  # the user's event loop must not wait here
            return
        waiter = Waiter(f"room in the mailbox of {cell.name}")
        kernel.post(self.admit, cell, envelope, waiter)
        self.wait_at_door(cell, waiter, timeout_s)

    def admit_question(self, cell: Cell, envelope: Any) -> None:
        """`admit` for a question nobody waits to send: its future is told when the door's time is up."""
        self.admit(cell, envelope, None)
        if envelope[-1].waiting_in is cell:
            self._kernel.deadlines.add(Overdue(self, cell, envelope[-1]), cell.bounds.timeout_s)

    def leave_door(self, cell: Cell, sink: Any) -> bool:
        """Take a question away from the door and tell its asker; return whether it was still there."""
        waiting = cell.extra.waiting if cell.extra is not None else None
        for item in waiting or ():
            if item[0][-1] is sink:
                leave(cell, item)
                sink.fail(full_error(cell))
                return True
        return False

    def give_up(self, sink: LocalCall) -> None:
        """A call's deadline passed: MailboxFull if it still waits at a door, else CallTimeout."""
        cell = sink.waiting_in
        if cell is not None and self.leave_door(cell, sink):
            return
        until, sink.until = sink.until, None
        if until is not None:
            if until < inf:
                deadlines = self._kernel.deadlines
                deadlines.add(sink, max(0.0, until - deadlines.now()))  # let in meanwhile: the rest of its own time
            return
        waits_for = sink.caller.more().waits_for
        waited = waits_for >> 56 == self._kernel.home and take_back(self._kernel, waits_for, sink)
        sink.fail(CallTimeout(sink.what, sink.timeout_s or 0.0, "never" if waited else "unknown"))

    # -- refusing ---------------------------------------------------------------------------------------------

    def _drop_oldest(self, cell: Cell, full: MailboxFull) -> bool:
        """Make room by the oldest message, if there is one; signals stay. A blocking actor's thread may take it first.
        """
        mailbox = cell.mailbox
        if isinstance(mailbox, PriorityMail):
            try:
                self.refuse(cell, mailbox.pop_least(), None, full, "dropped")
            except IndexError:
                return False
            return True
        envelope = pick_out(cell, _may_be_dropped)
        if envelope is None:
            return False
        self.refuse(cell, envelope, None, full, "dropped")
        return True

    def refuse(self, cell: Cell, envelope: Any, waiter: Waiter | None, error: BaseException, reason: str) -> None:
        """Do not take `envelope`: tell whoever waits for it, and record a dead letter."""
        kernel = self._kernel
        kind = envelope[0]
        if kind == STOP:
            if envelope[2] is not None:
                envelope[2].reply(None)
            return
        if kind == INIT:
            envelope[2].fail(error)
            return
        if kind == INFO or kind == END:
            return  # signals are nobody's letters
        if kind == WORK:
            if envelope[3] is not None:
                envelope[3].fail(error)
            return
        if kind > LAST_KIND:
            kernel.handling.drop(envelope, reason, error, None if is_unbounded(envelope) else cell)
            return
        kernel.lifecycle.count_dead(cell)
        if waiter is None or kind == CALL or kind == ASK:  # else its sender is told, and that is all
            # First, for whoever is told may look at the letters.
            kernel.runtime.dead_letters.add(cell.name, cell.address, describe(envelope), reason)
        if waiter is not None and waiter.claim():
            waiter.future.fail(error)
        if kind == CALL or kind == ASK:
            envelope[-1].fail(error)

    def clear(self, cell: Cell, reason: str, error: BaseException) -> None:
        """Nobody will handle what waits inside and outside: dead letters, and the callers are told."""
        mailbox = cell.mailbox
        while mailbox:
            try:
                envelope = mailbox.popleft()
            except IndexError:
                break  # an abandoned blocking thread took it
            self.refuse(cell, envelope, None, error, reason)
        extra = cell.extra
        if extra is not None:
            extra.unbounded = 0
            for envelope in extra.special.take_stash() if extra.special is not None else ():
                self.refuse(cell, envelope, None, error, reason)
        if extra is not None and extra.waiting:
            waiting = extra.waiting
            self.open_door(cell)
            for envelope, waiter in waiting:
                if waiter is None or waiter.claim():
                    if waiter is not None:
                        waiter.future.fail(error)
                    self.refuse(cell, envelope, None, error, reason)
