"""Draining: the inner loop of an inlet, from a lane's records to mailboxes and to those who wait for answers.

Edge (memory); made by the inlet, once its kernel is known. One closure, for it runs once an arrival and looking up
thirty attributes costs as much as the rest of it. The two commonest messages are dealt with here: one for an actor of
this kernel whose mailbox has room, and an answer that lies in its lane whole; everything else is the inlet's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..actor import CALL, READY, REPLY, Cell, Kernel
from ..errors import SharedMemoryError
from ..transport import (
    BLOCK_SHIFT,
    FREE,
    MESSAGE_HEADER_BYTES,
    ONE_BLOCK_BYTES,
    RETURNED,
    WANT,
    LaneReader,
    Record,
    loads,
)

if TYPE_CHECKING:
    from .inlet import Inlet
    from .runtime import ProcessRuntime

log = logging.getLogger("actorlab")

MOST_AT_ONCE = 256
NO_CELLS: dict[int, Cell] = {}


def drainer(inlet: Inlet, runtime: ProcessRuntime, kernel: Kernel, *, alone: bool) -> Callable[[bool, bool], bool]:
    """Return `inlet.poll`. Not `alone`: two threads drain, and what is for a kernel must go through its inbox."""
    outlet = runtime.outlet
    assert outlet is not None
    acquire, release = inlet.token.acquire, inlet.token.release
    readers, open_lane, unfinished, wanted = inlet.readers, inlet.reader, inlet.unfinished, inlet.wanted
    take, room = inlet.watch.take, inlet.watch.room
    dispatch, room_for, ring_wanted, put_off = inlet.dispatch, inlet.room_for, inlet.ring_wanted, inlet.put_off
    outbox, flush, room_in, pending = outlet.outbox, outlet.flush, runtime.sending.room_in, runtime.pending
    cells: dict[int, Cell] = kernel.cells if alone else NO_CELLS
    runq: Any = kernel.runq
    most, shift, header_bytes, one_block, want = (
        MOST_AT_ONCE, BLOCK_SHIFT, MESSAGE_HEADER_BYTES, ONE_BLOCK_BYTES, WANT,
    )  # fmt: skip

    def poll(wait: bool, busy: bool) -> bool:
        if not acquire(wait):
            return False
        found = False
        senders: Any = ()
        rest: Iterator[Record] = iter(())
        try:
            senders = take(busy)
            if unfinished:
                senders = unfinished.union(senders)
                unfinished.clear()
            while room:
                room_in(room.pop())
            for sender in senders:
                try:
                    reader: LaneReader = readers.get(sender) or open_lane(sender)
                except (OSError, SharedMemoryError) as error:
                    put_off(sender, error)
                    continue
                records = reader.drain(most)
                if not records:
                    continue
                found = inlet.freed = True
                if len(records) == most:
                    unfinished.add(sender)
                rest = iter(records)
                for record in rest:
                    dest, corr, kind, flags, block, length = record
                    if kind <= CALL:
                        cell = cells.get(dest)
                        if cell is not None and cell.brake:
                            mailbox = cell.mailbox
                            if len(mailbox) + 1 < cell.bounds.capacity:
                                mailbox.append(record)
                                if not cell.phase:  # IDLE
                                    cell.phase = READY
                                    runq.append(cell)
                                continue
                    elif kind == REPLY and not flags:
                        question = pending.pop(corr, None)
                        if question is not None:
                            at = reader.data + (block << shift) + header_bytes
                            try:
                                value = loads(reader.mapped[at : at + length])
                            except Exception:
                                pending[corr] = question  # `dispatch` fails likewise, and tells the caller
                            except BaseException:
                                pending[corr] = question
                                rest = chain((record,), rest)
                                raise
                            else:
                                # Killed before this: the answer lies there for a question that died with us, and is
                                # a late reply to who comes after. After it: gone, as who asked.
                                # crash: answer.free
                                reader.status[block] = FREE if length <= one_block else RETURNED
                                # crash: answer.freed
                                if reader.buf[want]:
                                    room_for(sender)
                                question.reply(value)
                                continue
                    try:
                        dispatch(record, reader, sender)
                    except Exception:
                        # ours, or out of memory: the messages behind it must not go with it
                        log.exception("a message from process %d is lost", sender)
        except BaseException:
            # Ctrl-C in a thread of the user's that helps: what it took from the lanes is others' business
            for record in rest:
                dispatch(record, reader, sender)
            unfinished.update(senders)
            raise
        finally:
            release()
        if wanted:
            ring_wanted()
        if outbox:
            flush()
        return found

    return poll
