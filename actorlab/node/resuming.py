"""Resuming: how a worker process goes on where its predecessor in the slot left off.

Edge (a file, memory); runs once in a new worker's kernel, before it is READY, instead of `take_over`. All actors are in
their places again, at the same addresses, with queue and ties; nobody is told that anything happened. Up to the unlink
nothing but this process's own memory and its own table's depths are written, so it can be done again.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..actor import HELD, LAST_KIND, Behaviour, Cell, Kernel, crashed, put_back, unpack
from ..errors import NotMovable
from ..ids import index_of
from ..transport import SLOT_WORDS
from .books import Books
from .handover import Handover, handover_path
from .inlet import Inlet
from .leaving import tell_supervisors

log = logging.getLogger("actorlab")


def resume(kernel: Kernel, inlet: Inlet, directory: Path, handover: Handover) -> None:
    """Take everything up that the predecessor handed over. In the kernel's thread, before it drains its lanes."""
    books: Any = kernel.table
    assert isinstance(books, Books)
    runtime: Any = kernel.runtime
    kernel.signals.died.update(handover.died)
    kernel.signals.number_from(handover.monitor)
    for path in directory.glob(f"lane.*.{kernel.home}"):
        inlet.reader(int(path.name.split(".")[1]))  # a mailbox may want to see what a message is
    failed: dict[int, NotMovable] = {}
    classes: dict[bytes, Behaviour] = {}
    for packed in handover.actors:
        try:
            unpack(kernel, index_of(packed.address) * SLOT_WORDS, packed, classes)
        except NotMovable as error:
            failed[packed.address] = error
    for cell in kernel.cells.values():
        books.set_depth(cell.word, cell.queued())
    # crash: resume.restored
    handover_path(directory, kernel.home).unlink()
    # From here on they are ours: killed now, this is a worker that dies with its actors.
    # crash: resume.taken
    have = {(record[1] >> 56, record[4]) for cell in kernel.cells.values() for record in _records(cell)}
    inlet.freed = True  # whoever waits for room is rung: the predecessor freed some just before its end, perhaps
    for path in sorted(directory.glob(f"lane.*.{kernel.home}")):
        sender = int(path.name.split(".")[1])
        for record in inlet.reader(sender).survivors():
            if (sender, record[4]) not in have:
                inlet.hand_on(record, sender)
    _settle_failed(kernel, failed)
    live = set(map(index_of, kernel.cells))
    for index in tuple(books.table.live()):
        if index not in live:
            books.table.release(index)
    parents = {address: kernel.cells[address].parent for address in handover.restart if address in kernel.cells}
    tell_supervisors(runtime, kernel.home, parents)
    for cell in tuple(kernel.cells.values()):
        if cell.phase != HELD:
            put_back(cell)


def _records(cell: Cell) -> list[Any]:
    """Return what waits at an actor and lies in a lane."""
    waiting = list(cell.mailbox)
    extra = cell.extra
    if extra is not None:
        waiting += [envelope for envelope, _ in extra.waiting or ()]
    return [envelope for envelope in waiting if envelope[0] > LAST_KIND]


def _settle_failed(kernel: Kernel, failed: dict[int, NotMovable]) -> None:
    """Those who cannot be had here have crashed: their supervisors decide, as ever."""
    for address, error in failed.items():
        cell = kernel.cells.get(address)
        if cell is None:
            continue
        reason = crashed(error.__cause__ or error)
        log.error("%s", error, exc_info=error)
        kernel.endings.part(cell, reason)
        if cell.parent:
            kernel.endings.hold(cell)
            kernel.runtime.signal(cell.parent, ("child_exit", cell.parent, address, cell.incarnation, reason))
        else:
            kernel.endings.finalize(cell, reason)
