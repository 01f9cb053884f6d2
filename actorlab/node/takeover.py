"""Takeover: what a worker finds in its slot when it is not the first one there, and what becomes of it.

Edge (memory); runs once in a new worker's kernel, before it is READY. The dead predecessor left its node table and
what other processes had sent. Supervised actors become husks that wait for their supervisor's verdict, their queue
with them; the others are gone and their messages dead letters. A message that was in hand is dead-lettered
`crashed_in_flight`, or queued again if its actor says `redeliver`. What the kernel itself was asked to do
and had not begun is done now. A worker killed in the middle of this leaves it to be done again: a block is freed only
when its fate is settled, an actor's slot is given up only when nothing is in its hand, and a caller who is told twice
hears once.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ..actor import CALL, OVERFLOWS, STOP, Behaviour, Cell, Kernel, Mailbox, behaviour_at
from ..errors import ActorDied
from ..ids import home_of, pack, process_of
from ..message import WorkerDied
from ..transport import (
    ATTEMPT,
    EPOCH,
    IN_HAND_LOCAL,
    IN_HAND_MASK,
    ROW_U32,
    SLOT_U8,
    SLOT_U32,
    SLOT_WORDS,
    TRIED,
    Board,
    SlotView,
    State,
)
from .books import Books
from .fate import POSITION_MASK, finish
from .inlet import Inlet

log = logging.getLogger("actorlab")


def take_over(kernel: Kernel, inlet: Inlet, board: Board, directory: Path, predecessor: WorkerDied | None) -> None:
    """Settle what a dead predecessor left in this slot."""
    books = kernel.table
    assert isinstance(books, Books)
    reason = predecessor or WorkerDied(kernel.home, "died")
    _finish_fate(kernel, inlet, books, reason)
    again = _adopt_actors(kernel, inlet, books, board, reason)
    before = {address: waited(books, cell.word) for address, cell in kernel.cells.items()}
    lost = dict.fromkeys(kernel.cells, 0)
    for path in sorted(directory.glob(f"lane.*.{kernel.home}")):
        sender = int(path.name.split(".")[1])
        reader = inlet.reader(sender)
        for record in reader.survivors():
            dest, _corr, kind, _flags, block, _length = record
            if kind <= CALL and dest in lost:
                lost[dest] += 1
            if again.get(sender << 16 | block) != reader.position(block):
                inlet.hand_on(record, sender)
    for address, cell in tuple(kernel.cells.items()):
        died_inside = before[address] - lost[address]
        if died_inside > 0:
            # Sent inside the dead worker, by reference: gone with it, known by number. Killed after this store and
            # before the depth is written: so many more have gone since, so nobody is counted twice.
            # crash: takeover.lost
            books.count_dead(cell.word, died_inside)
            # crash: takeover.written_off
            kernel.runtime.dead_letters.add(cell.name, address, f"{died_inside} messages", "worker_died")
        # crash: takeover.depth
        books.set_depth(cell.word, cell.queued())
        # crash: takeover.over


def waited(books: Books, word: int) -> int:
    """Return how many messages waited, at least: those that came after the depth was written are not known."""
    return books.depth(word) - books.gone_since(word) - bool(books.words[word] & IN_HAND_MASK)


def _adopt_actors(kernel: Kernel, inlet: Inlet, books: Books, board: Board, reason: WorkerDied) -> dict[int, int]:
    """Make husks of the supervised, release the others, and settle what was in their hands.

    Return what is to be tried again: the block, with its sender, → the message's position. It waits in its mailbox.
    """
    again: dict[int, int] = {}
    # A thousand husks are of few sorts, and each millisecond here is one in which none of them answers.
    sorts: dict[tuple[int, ...], tuple[Behaviour, Mailbox]] = {}
    wanted: dict[tuple[int, int], bool] = {}
    for index in tuple(books.table.live()):
        view: SlotView = books.table.read(index)
        address, word, handled = pack(kernel.home, index, view.generation), index * SLOT_WORDS, view.handled
        hand = 0 if view.in_hand == IN_HAND_LOCAL else view.in_hand
        position = inlet.lies_at(hand - 1) if hand else 0
        if hand and not (position and inlet.record_at(hand - 1)[0] == address):
            # Its handler was done, only the last store is missing: stored before any lane's head moves on, for later
            # nobody could tell.
            hand, handled = 0, handled + 1
            # crash: takeover.handled
            books.words[word] = handled << 24
            # crash: takeover.counted
        elif hand and inlet.record_at(hand - 1)[2] == STOP:
            # No message, and not begun with: it waits, as it would have before it was in hand and soon after.
            hand = 0
            # crash: takeover.stop
            books.words[word] = handled << 24
            # crash: takeover.stop_waits
        supervisor = view.supervisor
        owner = (supervisor, view.supervisor_epoch)
        if owner not in wanted:
            wanted[owner] = _is_wanted(kernel, view, board)
        if not wanted[owner] or view.state in (State.DEAD, State.STARTING):
            if hand:
                _drop_in_hand(kernel, inlet, hand - 1, reason)
            # Killed before this store: the slot still says what was in its hand, which is dropped, or seen to have
            # been. After it: nothing that was sent to it has been begun.
            # crash: takeover.close
            books.close_slot(word)
            # crash: takeover.closed
            continue
        sort = (view.class_id, view.redeliver, view.capacity, view.overflow, view.timeout_ms)
        if sort not in sorts:
            behaviour = behaviour_at(books.class_path(view.class_id))
            behaviour.redeliver = view.redeliver
            max_bytes = books.max_bytes(view.class_id)
            sorts[sort] = behaviour, Mailbox(view.capacity, OVERFLOWS[view.overflow], view.timeout_ms / 1000, max_bytes)
        behaviour, bounds = sorts[sort]
        kernel.lifecycle.make_husk(address, word, behaviour, bounds, supervisor, view.incarnation, handled)
        if hand:
            cell = kernel.cells[address]
            if _try_again(kernel, inlet, books, cell, hand - 1, position):
                again[hand - 1] = position
            else:
                _drop_in_hand(kernel, inlet, hand - 1, reason, cell)
    return again


def _try_again(kernel: Kernel, inlet: Inlet, books: Books, cell: Cell, hand: int, position: int) -> bool:
    """Queue what was in an actor's hand again, if the actor says so and it has not been tried too often."""
    attempt_at = cell.word // SLOT_WORDS * SLOT_U8 + ATTEMPT
    tried_at = cell.word // SLOT_WORDS * SLOT_U32 + TRIED
    tried = (position & 0xFFFFFF) << 8 | hand >> 16
    attempt = books.table.u8[attempt_at] if books.u32[tried_at] == tried else 0
    if attempt >= cell.behaviour.redeliver:
        return False
    # One more try. Killed before it is counted, the same try comes again; after that and before nothing is in hand any
    # more, it counts though it was not begun. In the other order it would be begun, and not count.
    if not attempt:
        # crash: retry.forget
        books.table.u8[attempt_at] = 0  # first: it is another message's count, which must not be taken for this one's
        # crash: retry.tried
        books.u32[tried_at] = tried
    # crash: retry.attempt
    books.table.u8[attempt_at] = attempt + 1
    # crash: retry.word
    books.words[cell.word] = cell.handled << 24
    # crash: retry.waits
    kernel.admission.open_mailbox(cell).append(inlet.record_at(hand))
    return True


def _drop_in_hand(kernel: Kernel, inlet: Inlet, hand: int, reason: WorkerDied, cell: Cell | None = None) -> None:
    """What was in hand is a dead letter, in the books of `cell` if somebody comes after it."""
    record = inlet.record_at(hand)
    why = "poison" if cell is not None and cell.behaviour.redeliver else "crashed_in_flight"
    inlet.drop(record, why, _died_in_flight(kernel, record[0], reason), cell, True)


def _died_in_flight(kernel: Kernel, address: int, reason: WorkerDied) -> ActorDied:
    return ActorDied(kernel.runtime.ref(address).label, str(reason), "unknown")


def _is_wanted(kernel: Kernel, view: SlotView, board: Board) -> bool:
    """Whether somebody may restart the actor: its supervisor lives, in another process, the one that started it.

    One that died and was not yet replaced looks alive: of its death the controller tells us again.
    """
    supervisor = view.supervisor
    if not supervisor or home_of(supervisor) == kernel.home:
        return False
    epoch: int = board.u32[process_of(home_of(supervisor)) * ROW_U32 + EPOCH]
    return view.supervisor_epoch == epoch and kernel.runtime.is_alive(supervisor)


def _finish_fate(kernel: Kernel, inlet: Inlet, books: Books, reason: WorkerDied) -> None:
    """Do what the predecessor was about to do with a message that it had not handled."""

    def still_there(hand: int, position: int) -> bool:
        now = inlet.lies_at(hand)
        return now > 0 and now & POSITION_MASK == position

    def free(hand: int) -> None:
        record = inlet.record_at(hand)
        # told already, perhaps: then it hears once
        inlet.disappoint(record, _died_in_flight(kernel, record[0], reason))
        inlet.free(hand)

    finish(books.table, still_there, free)
