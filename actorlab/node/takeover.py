"""Takeover: what a worker finds in its slot when it is not the first one there, and what becomes of it.

Edge (memory); runs once in a new worker's kernel, before it is READY. The dead predecessor left its node table and
what other processes had sent. Supervised actors become husks that wait for their supervisor's verdict, their queue
with them; the others are gone and their messages dead letters. A message that was in hand is dead-lettered
`crashed_in_flight`, or queued again if its actor says `redeliver`. Questions to the kernel itself fail: nobody knows
how far they got. A worker killed in the middle of this leaves it to be done again: a block is freed only when its
fate is settled, and a caller who is told twice hears once.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..actor import CALL, CONTROL, OVERFLOWS, STOP, Kernel, Mailbox, behaviour_at
from ..errors import ActorDied, StartError
from ..ids import pack
from ..message import WorkerDied
from ..transport import IN_HAND_LOCAL, SLOT_U8, SLOT_WORDS, Flag, Record, SlotView, State
from .answers import RemoteAsk
from .books import Books
from .inlet import NUMBER, Inlet

log = logging.getLogger("actorlab")

ATTEMPT_AT = 47


def take_over(kernel: Kernel, inlet: Inlet, directory: Path, predecessor: WorkerDied | None) -> None:
    """Settle what a dead predecessor left in this slot."""
    books = kernel.table
    assert isinstance(books, Books)
    reason = predecessor or WorkerDied(kernel.home, "died")
    in_hand = _adopt_actors(kernel, books)
    lost = dict.fromkeys(kernel.cells, 0)
    for path in sorted(directory.glob(f"lane.*.{kernel.home}")):
        sender = int(path.name.split(".")[1])
        for record in inlet.reader(sender).survivors():
            _settle(kernel, inlet, record, in_hand, reason, lost)
    for address, cell in tuple(kernel.cells.items()):
        view = books.table.read(cell.word // SLOT_WORDS)
        died_inside = view.depth - lost[address]
        if died_inside > 0:
            # sent inside the dead worker, by reference: gone with it, known by number
            books.count_dead(cell.word, died_inside)
            kernel.runtime.dead_letters.add(cell.name, address, f"{died_inside} messages", "worker_died")
        books.set_depth(cell.word, len(cell.mailbox))


def _adopt_actors(kernel: Kernel, books: Books) -> dict[int, int]:
    """Make husks of the supervised, release the others; return what was in hand: code → the actor's address."""
    in_hand: dict[int, int] = {}
    for index in tuple(books.table.live()):
        view: SlotView = books.table.read(index)
        address = pack(kernel.home, index, view.generation)
        if view.in_hand and view.in_hand != IN_HAND_LOCAL:
            in_hand[view.in_hand] = address
        supervisor = view.supervisor
        decided_elsewhere = supervisor and supervisor >> 56 != kernel.home and view.flags & Flag.SUPERVISED
        if not decided_elsewhere or view.state in (State.DEAD, State.STARTING):
            books.table.release(index)
            continue
        bounds = Mailbox(view.capacity, OVERFLOWS[view.overflow], view.timeout_ms / 1000)
        behaviour = behaviour_at(books.class_path(view.class_id))
        behaviour.redeliver = view.redeliver
        kernel.lifecycle.make_husk(
            address, index * SLOT_WORDS, behaviour, bounds, supervisor, view.incarnation, view.handled
        )
    return in_hand


def _settle(
    kernel: Kernel, inlet: Inlet, record: Record, in_hand: dict[int, int], reason: WorkerDied, lost: dict[int, int]
) -> None:
    dest, corr, kind, _flags, block, _length = record
    if kind == CONTROL and corr & NUMBER:
        inlet.free(corr >> 56 << 16 | block)
        RemoteAsk(kernel.runtime, corr, ()).fail(StartError(f"worker {kernel.home}", str(reason)))  # type: ignore[arg-type]
        return
    hand = (corr >> 56 << 16 | block) + 1
    if kind > STOP or in_hand.get(hand) != dest:
        if kind <= CALL and dest in lost:
            lost[dest] += 1
        inlet.hand_on(record)
        return
    cell = kernel.cells.get(dest)
    books: Any = kernel.table
    if cell is not None:
        at = cell.word // SLOT_WORDS * SLOT_U8 + ATTEMPT_AT
        attempt = books.table.u8[at]
        if attempt < cell.behaviour.redeliver:
            # one more try; killed before the count, the same try comes again
            books.table.u8[at] = attempt + 1
            kernel.admission.open_mailbox(cell).appendleft(record)
            return
        books.table.u8[at] = 0
        books.count_dead(cell.word)
        books.words[cell.word] = cell.handled << 24
    why = "poison" if cell is not None and cell.behaviour.redeliver else "crashed_in_flight"
    inlet.drop(record, why, ActorDied(kernel.runtime.ref(dest).label, str(reason), "unknown"))
