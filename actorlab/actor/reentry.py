"""Reentry: an actor that takes its next message while a handler of its waits (`reentrant = True`).

Edge (one kernel's thread); used by the scheduler for such classes, and by nobody else. Each message is handled on a
*strand*: a cell of its own for what belongs to one message (who waits for it, where it is parked), that shares the rest
with its actor. Only one strand runs at a time; they take turns where a handler waits, so state may have changed across
every wait. Steps of the actor's own (`continue_with`, a stop) have it to themselves.

A message that came by a lane is taken out of it before it is handled: killed with its worker, it is written off by
number, never handled twice; so `redeliver` is refused for such classes. Not more strands than the mailbox's capacity.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from ..errors import ActorDied
from .cell import IDLE, NO_MAIL, READY, RUNNING, Cell
from .envelope import END, LAST_KIND, STOP, WORK
from .special import special_of
from .waiting import greenlet_of, throw_out

if TYPE_CHECKING:
    from .scheduler import Kernel

ALONE = (STOP, END, WORK)
"""What an actor does by itself, without strands beside it or, for a step, with no new ones."""


class Strand(Cell):
    """One message of a reentrant actor. Its address is nobody's: who waits on a strand keeps no other from calling."""

    __slots__ = ("main",)

    main: Cell

    def __init__(self, main: Cell) -> None:
        self.main = main
        self.kernel, self.ident, self.word = main.kernel, main.ident, main.word
        self.behaviour, self.bounds, self.object = main.behaviour, main.bounds, main.object
        self.address = 0
        self.phase = RUNNING
        self.mailbox = NO_MAIL
        self.brake = self.hand = self.parent = 0
        self.sink: Any = None
        self.incarnation = main.incarnation
        self.extra = None

    @property
    def handled(self) -> int:
        """The actor's own count."""
        return self.main.handled

    @handled.setter
    def handled(self, count: int) -> None:
        self.main.handled = count


def activate(kernel: Kernel, cell: Cell, me: Any) -> None:
    """Begin with one message of a reentrant actor that is ready. In a runner, which may park with it."""
    special = special_of(cell)
    mailbox = cell.mailbox
    if not mailbox or special.starting or len(special.strands) >= cell.bounds.capacity:
        cell.phase = IDLE
        return
    envelope = mailbox.popleft()
    kind = envelope[0] if envelope[0] <= LAST_KIND else envelope[2]
    if kind in ALONE:
        if kind == STOP and special.strands:
            mailbox.appendleft(envelope)  # the messages before it are not done
            cell.phase = IDLE
            return
        cell.phase = RUNNING
        kernel.current = cell
        if (kernel.from_lane if envelope[0] > LAST_KIND else kernel.handle)(cell, envelope, me):
            kernel.settle_phase(cell)
        return
    if envelope[0] > LAST_KIND:
        envelope = kernel.handling.take_from_lane(cell, envelope)
    extra = cell.more()
    if extra.waiting:
        kernel.admission.refill(cell)
    if mailbox:
        cell.phase = READY
        kernel.runq.append(cell)  # another runner goes on, should this one park
    else:
        cell.phase = IDLE
    if envelope is None:
        _settle(kernel, cell)
        return
    strand = Strand(cell)
    special.strands.add(strand)
    kernel.current = strand
    going_on = kernel.handle(strand, envelope, me)
    if going_on or strand not in special.strands:
        done(strand)
    elif strand.extra is not None and strand.extra.task is not None:
        # messages begin in the order they came: none before this task has had its first step
        special.starting = True
        kernel.hub.loop.call_soon(_begun, kernel, cell)


def _begun(kernel: Kernel, cell: Cell) -> None:
    special_of(cell).starting = False
    if cell.mailbox:
        kernel.ready(cell)


def done(strand: Any) -> None:
    """A strand has ended: say so in the books, and let the actor begin with what it kept waiting."""
    cell = strand.main
    special_of(cell).strands.discard(strand)
    _settle(strand.kernel, cell)


def _settle(kernel: Kernel, cell: Cell) -> None:
    extra = cell.more()
    special = special_of(cell)
    if cell.object is None:
        return
    depth = len(cell.mailbox) - extra.unbounded
    if depth < cell.bounds.capacity:
        kernel.lifecycle.say_full(cell, False)
    # Killed before the word: what was handled since is written off by number. Before the depth: as many have gone.
    # crash: strand.word
    kernel.words[cell.word] = cell.handled << 24
    # crash: strand.depth
    kernel.table.set_depth(cell.word, depth + special.settled())
    # crash: strand.over
    if cell.mailbox:
        kernel.ready(cell)


def failed(strand: Any) -> Cell:
    """A strand's handler raised: it is over; return its actor, whose fate is to be decided."""
    cell: Cell = strand.main
    special_of(cell).strands.discard(strand)
    return cell


def numbers_on_strands(kernel: Kernel) -> set[int]:
    """Return the numbers of other processes' questions that have left their lanes and are under way on a strand."""
    found: set[int] = set()
    for cell in tuple(kernel.cells.values()):
        special = cell.extra.special if cell.extra is not None else None
        if special is not None:
            found.update(getattr(strand.sink, "corr", 0) for strand in tuple(special.strands))
    return found


def abandon(cell: Cell, strands: set[Any]) -> None:
    """The incarnation has ended: its handlers that wait are thrown out, their callers told. In the kernel's thread."""
    kernel = cell.kernel
    for strand in tuple(strands):
        strands.discard(strand)
        sink, strand.sink = strand.sink, None
        waiting = greenlet_of(kernel, strand)
        task = strand.extra.task if strand.extra is not None else None
        if waiting is None and task is None and not (kernel.current is strand and get_ident() == kernel.ident):
            continue  # it has ended, and is only not counted out yet
        strand.object = None
        kernel.lifecycle.count_dead(cell)
        kernel.runtime.dead_letters.add(cell.name, cell.address, "a message in hand", "crashed_in_flight")
        if sink is not None:
            sink.fail(ActorDied(cell.name, str(cell.more().reason), "unknown"))
        if task is not None:
            strand.extra.task = None
            task.cancel()
        if waiting is not None:
            throw_out(kernel, waiting)
