"""Takeover: what a worker finds in its slot when it is not the first one there, and what becomes of it.

Edge (memory); runs once in a new worker's kernel, before it is READY. The dead predecessor left its node table and
what other processes had sent. Supervised actors become husks that wait for their supervisor's verdict, their queue
with them; the others are gone and their messages dead letters. A message that was in hand is dead-lettered
`crashed_in_flight`, or queued again if its actor says `redeliver`. What the kernel itself was asked to do
and had not begun is done now. A worker killed in the middle of this leaves it to be done again: a block is freed only
when its fate is settled, and a caller who is told twice hears once.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..actor import BURST, CALL, OVERFLOWS, STOP, Behaviour, Kernel, Mailbox, behaviour_at
from ..errors import ActorDied
from ..ids import home_of, pack, process_of
from ..message import WorkerDied
from ..transport import (
    ATTEMPT,
    EPOCH,
    IN_HAND_LOCAL,
    ROW_U32,
    SLOT_U8,
    SLOT_U32,
    SLOT_WORDS,
    TRIED,
    Board,
    LaneView,
    Record,
    SlotView,
    Spill,
    State,
    spill_name_in,
)
from .books import Books
from .inlet import SPILLED, Inlet

log = logging.getLogger("actorlab")


def take_over(kernel: Kernel, inlet: Inlet, board: Board, directory: Path, predecessor: WorkerDied | None) -> None:
    """Settle what a dead predecessor left in this slot."""
    books = kernel.table
    assert isinstance(books, Books)
    reason = predecessor or WorkerDied(kernel.home, "died")
    in_hand = _adopt_actors(kernel, books, board)
    at_work = set(in_hand.values())
    lost = dict.fromkeys(kernel.cells, 0)
    for path in sorted(directory.glob(f"lane.*.{kernel.home}")):
        sender = int(path.name.split(".")[1])
        head = inlet.reader(sender).head
        for record in inlet.reader(sender).survivors():
            _settle(kernel, inlet, sender, head, record, in_hand, reason, lost)
    for address in in_hand.values():
        cell = kernel.cells.get(address)
        if cell is not None:
            # Its block is free, so its handler was done; only the last store is missing.
            cell.handled += 1
            books.words[cell.word] = cell.handled << 24
    for address, cell in tuple(kernel.cells.items()):
        # The depth is written when an activation ends: of one that was cut short, up to BURST may have been handled.
        died_inside = books.depth(cell.word) - lost[address] - (BURST if address in at_work else 0)
        if died_inside > 0:
            # sent inside the dead worker, by reference: gone with it, known by number
            books.count_dead(cell.word, died_inside)
            kernel.runtime.dead_letters.add(cell.name, address, f"{died_inside} messages", "worker_died")
        books.set_depth(cell.word, len(cell.mailbox))


def sweep_large_messages(spill: Spill, directory: Path, slot: int) -> int:
    """Remove the files of large messages that a dead process of this slot wrote and did not send; return how many.

    What it did send is referred to by its lanes, and is its reader's. It is dead, so nothing is added meanwhile.
    """
    if not spill.left_behind():
        return 0
    referenced: set[str] = set()
    for path in directory.glob(f"lane.{slot}.*"):
        with LaneView(path) as lane:
            referenced.update(map(spill_name_in, lane.payloads(SPILLED)))
    return spill.sweep(referenced)


def _adopt_actors(kernel: Kernel, books: Books, board: Board) -> dict[int, int]:
    """Make husks of the supervised, release the others; return what was in hand: code → the actor's address."""
    in_hand: dict[int, int] = {}
    # A thousand husks are of few sorts, and each millisecond here is one in which none of them answers.
    sorts: dict[tuple[int, ...], tuple[Behaviour, Mailbox]] = {}
    wanted: dict[tuple[int, int], bool] = {}
    for index in tuple(books.table.live()):
        view: SlotView = books.table.read(index)
        address = pack(kernel.home, index, view.generation)
        if view.in_hand and view.in_hand != IN_HAND_LOCAL:
            in_hand[view.in_hand] = address
        supervisor = view.supervisor
        owner = (supervisor, view.supervisor_epoch)
        if owner not in wanted:
            wanted[owner] = _is_wanted(kernel, view, board)
        if not wanted[owner] or view.state in (State.DEAD, State.STARTING):
            books.table.release(index)
            continue
        sort = (view.class_id, view.redeliver, view.capacity, view.overflow, view.timeout_ms)
        if sort not in sorts:
            behaviour = behaviour_at(books.class_path(view.class_id))
            behaviour.redeliver = view.redeliver
            sorts[sort] = behaviour, Mailbox(view.capacity, OVERFLOWS[view.overflow], view.timeout_ms / 1000)
        behaviour, bounds = sorts[sort]
        kernel.lifecycle.make_husk(
            address, index * SLOT_WORDS, behaviour, bounds, supervisor, view.incarnation, view.handled
        )
    return in_hand


def _is_wanted(kernel: Kernel, view: SlotView, board: Board) -> bool:
    """Whether somebody may restart the actor: its supervisor lives, in another process, the one that started it.

    One that died and was not yet replaced looks alive: of its death the controller tells us again.
    """
    supervisor = view.supervisor
    if not supervisor or home_of(supervisor) == kernel.home:
        return False
    epoch: int = board.u32[process_of(home_of(supervisor)) * ROW_U32 + EPOCH]
    return view.supervisor_epoch == epoch and kernel.runtime.is_alive(supervisor)


def _settle(
    kernel: Kernel,
    inlet: Inlet,
    sender: int,
    head: int,
    record: Record,
    in_hand: dict[int, int],
    reason: WorkerDied,
    lost: dict[int, int],
) -> None:
    dest, corr, kind, _flags, block, _length = record
    hand = (corr >> 56 << 16 | block) + 1
    position = inlet.reader(sender).position(block)
    # From `head` on nobody had drained it: the block was freed just before the end, and has been filled again.
    if kind > STOP or in_hand.get(hand) != dest or position >= head:
        if kind <= CALL and dest in lost:
            lost[dest] += 1
        inlet.hand_on(record, sender)  # an answer's number is the asker's: only the lane says who sent it
        return
    del in_hand[hand]
    cell = kernel.cells.get(dest)
    books: Any = kernel.table
    if cell is not None:
        attempt_at = cell.word // SLOT_WORDS * SLOT_U8 + ATTEMPT
        tried_at = cell.word // SLOT_WORDS * SLOT_U32 + TRIED
        tried = (position & 0xFFFFFF) << 8 | sender
        attempt = books.table.u8[attempt_at] if books.u32[tried_at] == tried else 0
        if attempt < cell.behaviour.redeliver:
            # One more try. Killed before the count, the same try comes again.
            books.u32[tried_at] = tried
            books.table.u8[attempt_at] = attempt + 1
            books.words[cell.word] = cell.handled << 24
            kernel.admission.open_mailbox(cell).appendleft(record)
            return
        books.count_dead(cell.word)
        books.words[cell.word] = cell.handled << 24
    why = "poison" if cell is not None and cell.behaviour.redeliver else "crashed_in_flight"
    inlet.drop(record, why, ActorDied(kernel.runtime.ref(dest).label, str(reason), "unknown"))
