"""Handling: one message of any kind, from its envelope to its answer; those still in a lane are unpickled here.

Edge (runs users' code, in the actor's greenlet or thread); used by the scheduler and by blocking actors' threads. The
scheduler has its own short way for the plainest messages between actors of one kernel; everything else comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from ..transport import BLOCK_SHIFT, FREE, MESSAGE_HEADER_BYTES, ONE_BLOCK_BYTES, RETURNED, WANT, loads
from .cell import DEAD, PARKED, Cell
from .chain import LocalCall
from .envelope import ASK, CALL, CAST, END, INFO, INIT, JOB, LAST_KIND, STOP, TELL, WORK
from .pykka_messages import PYKKA_MESSAGES, answer_pykka
from .threads import claim_hand
from .waiting import Killed, undirect
from .work import do_work

if TYPE_CHECKING:
    from .runtime import Inlet
    from .scheduler import Kernel

TASK_OF: ContextVar[tuple[Cell, Any] | tuple[None, None]] = ContextVar("actorlab_task_of", default=(None, None))
"""The actor on whose behalf an asyncio task runs, and the coroutine of the handler that made it."""

Handler = Callable[[Cell, Any, Any], bool]
"""Handle an envelope of a cell in a greenlet; return whether the actor may go on with the next one."""


class Handling:
    """Handles the messages of one kernel's actors."""

    def __init__(self, kernel: Kernel, lanes: Inlet | None) -> None:
        self._kernel = kernel
        self._lanes = lanes
        self.from_lane: Handler = _no_lanes if lanes is None else _lane_handler(self, kernel, lanes)

    def handle(self, cell: Cell, envelope: Any, me: Any) -> bool:
        """Handle one message; return whether the actor may go on with the next one."""
        kind = envelope[0]
        if kind > LAST_KIND:
            return self.from_lane(cell, envelope, me)
        kernel = self._kernel
        sink = envelope[-1] if kind == CALL or kind == ASK else None
        cell.sink = sink
        try:
            if kind == CALL or kind == CAST:
                result = cell.behaviour.public[envelope[1]](cell.object, *envelope[2], **envelope[3])
            elif kind == INIT:
                cell.sink = envelope[2]
                return kernel.lifecycle.init(cell, envelope[1], envelope[2])
            elif kind == STOP or kind == END:
                cell.more().unbounded -= 1
                kernel.endings.end(cell, envelope)
                return False
            elif kind == JOB:
                return _do_job(cell, envelope[1], envelope[2])
            elif kind == WORK:
                going_on = do_work(kernel, cell, envelope, me)
                if me.gr_context is not None:
                    me.gr_context = None
                return going_on
            else:
                if kind == INFO:
                    extra = cell.more()
                    extra.unbounded -= 1
                message = envelope[1]
                if message.__class__ in PYKKA_MESSAGES:
                    result = answer_pykka(cell.object, message)
                else:
                    result = cell.object.on_receive(message)
            if result.__class__ is CoroutineType:
                if cell.behaviour.blocking:
                    result = kernel.lifecycle.wait_if_async(result)
                else:
                    self.start_task(cell, result, sink, envelope)
                    return False
            if cell.behaviour.blocking and not claim_hand():
                raise Killed
        except BaseException as error:
            cell.sink = None
            survived = kernel.lifecycle.failed(cell, envelope, sink, error)
            if me.gr_context is not None:
                me.gr_context = None
            return survived
        cell.handled += 1
        cell.sink = None
        if me.gr_context is not None:
            me.gr_context = None
        if sink is not None:
            sink.reply(result)
        return True

    def open_from_lane(self, cell: Cell, record: Any, me: Any) -> bool:
        """Handle a lane's message of the rarer sorts: a stop, a large one, one that cannot be unpickled."""
        lanes = self._lanes
        assert lanes is not None
        envelope = lanes.open(cell, record)
        if envelope is None:
            if not cell.behaviour.blocking or claim_hand():
                self.settle_hand(cell, failed=False)
            return True
        going_on = self.handle(cell, envelope, me)
        if going_on:
            self.release_hand(cell)
        return going_on

    def release_hand(self, cell: Cell) -> None:
        """The message in hand is done: free its block, if it came by a lane, then say so in the table."""
        hand = cell.hand
        if hand:
            cell.hand = 0
            assert self._lanes is not None
            # Killed before its block is free: in hand, fate unknown. Between the two: done, as its block says. In the
            # other order it would be neither in hand nor gone from its lane, and be handled again (P4).
            # crash: hand.done
            self._lanes.free(hand - 1)
            # crash: hand.freed
            self._kernel.words[cell.word] = cell.handled << 24
            # crash: hand.over

    def record_in_hand(self, cell: Cell) -> Any:
        """Return the lane's record of the message in hand."""
        assert self._lanes is not None
        return self._lanes.record_at(cell.hand - 1)

    def take_from_lane(self, cell: Cell, record: Any) -> Any:
        """Take a message out of its lane before it is handled; return its envelope, None if it cannot be unpickled.

        Killed while it is unpickled, it is the message in hand; killed after its block is free, it is gone, not queued.
        """
        assert self._lanes is not None
        cell.hand = (record[1] >> 56 << 16 | record[4]) + 1
        # crash: taken.mark
        self._kernel.words[cell.word] = cell.handled << 24 | cell.hand
        # crash: taken.marked
        envelope = self._lanes.open(cell, record)
        if envelope is None:
            self.settle_hand(cell, failed=False)
            return None
        hand, cell.hand = cell.hand, 0
        # The other way round than in `release_hand`, for nobody has begun with it: killed between the two, it waits.
        # crash: taken.opened
        self._kernel.words[cell.word] = cell.handled << 24
        # crash: taken.free
        self._lanes.free(hand - 1)
        # crash: taken.freed
        return envelope

    def peek(self, record: Any) -> Any:
        """Return the body of a message that stays in its lane; raise what unpickling it raises."""
        assert self._lanes is not None
        return self._lanes.peek(record)

    def settle_hand(self, cell: Cell, *, failed: bool) -> None:
        """The message in hand failed, or is a dead letter: count it and free its block as one (see `fate`)."""
        hand, cell.hand = cell.hand, 0
        if hand:
            assert self._lanes is not None
            self._lanes.settle(cell, hand, failed, in_hand=True)
        elif failed:
            self._kernel.table.count_failed(cell.word)
        else:
            self._kernel.lifecycle.count_dead(cell)

    def drop(self, record: Any, reason: str, error: BaseException | None, cell: Cell | None = None) -> None:
        """Dead-letter a message that lies in a lane, in the books of `cell`; without an error, nobody is told."""
        assert self._lanes is not None
        self._lanes.drop(record, reason, error, cell)

    def weigh(self, record: Any) -> int:
        """Return the bytes of a message that lies in a lane, or in a file of its own."""
        assert self._lanes is not None
        return self._lanes.weigh(record)

    def free(self, hand: int) -> None:
        """Give back the block of a message that was in hand."""
        assert self._lanes is not None
        self._lanes.free(hand - 1)

    def start_task(self, cell: Cell, coroutine: Any, sink: Any, envelope: Any) -> None:
        """Run an async handler as a task of the loop; the actor takes its next message when it is done."""
        kernel = self._kernel
        cell.phase = PARKED
        kernel.current = None
        context = Context()
        context.run(TASK_OF.set, (cell, coroutine))
        if sink.__class__ is LocalCall and sink.direct:
            undirect(kernel, cell)
        task = kernel.hub.loop.create_task(coroutine, context=context)
        cell.more().task = task
        task.add_done_callback(lambda task: kernel.lifecycle.task_done(cell, task, sink, envelope))


def _do_job(cell: Cell, function: Callable[[], Any], sink: Any) -> bool:
    try:
        result = function()
    except BaseException as error:
        sink.fail(error)
    else:
        sink.reply(result)
    cell.phase = DEAD
    return False


def _no_lanes(cell: Cell, record: Any, me: Any) -> bool:
    raise RuntimeError(f"a message from a lane for {cell.name}, in a process without lanes")


def _lane_handler(handling: Handling, kernel: Kernel, lanes: Inlet) -> Handler:
    """Return the handler of messages that lie in a lane: a closure, for it runs once for each of them."""
    words, readers = kernel.words, lanes.readers
    lifecycle, open_from_lane, question = kernel.lifecycle, handling.open_from_lane, lanes.question
    one_block, shift, header_bytes, want = ONE_BLOCK_BYTES, BLOCK_SHIFT, MESSAGE_HEADER_BYTES, WANT
    free, returned = FREE, RETURNED  # what has several blocks is freed by its sender

    def from_lane(cell: Cell, record: Any, me: Any) -> bool:
        # Noted as in hand, unpickled, handled, its block given back. Killed before the first store: it is still queued
        # for the next incarnation. Between the stores: it is the message in hand. After its block is free and before
        # the last store: in hand, fate unknown; it is never handled twice.
        _dest, corr, kind, flags, block, length = record
        sender = corr >> 56
        cell.hand = hand = (sender << 16 | block) + 1
        # crash: begin.mark
        words[cell.word] = cell.handled << 24 | hand
        # crash: begin.marked
        if flags or kind > CALL:
            return open_from_lane(cell, record, me)
        reader = readers[sender]
        at = reader.data + (block << shift) + header_bytes
        try:
            body = loads(reader.mapped[at : at + length])
        except BaseException:
            return open_from_lane(cell, record, me)  # which fails again, and says so to whom it concerns
        sink = None
        try:
            if kind == TELL:
                if body.__class__ in PYKKA_MESSAGES:
                    result = answer_pykka(cell.object, body)
                else:
                    result = cell.object.on_receive(body)
            elif kind == CALL:
                name, args, kwargs, chain = body
                cell.sink = sink = question(corr, chain)
                result = cell.behaviour.public[name](cell.object, *args, **kwargs)
            elif kind == CAST:
                name, args, kwargs = body
                result = cell.behaviour.public[name](cell.object, *args, **kwargs)
            else:
                body, chain = body
                cell.sink = sink = question(corr, chain)
                if body.__class__ in PYKKA_MESSAGES:
                    result = answer_pykka(cell.object, body)
                else:
                    result = cell.object.on_receive(body)
            if result.__class__ is CoroutineType:
                if cell.behaviour.blocking:
                    result = lifecycle.wait_if_async(result)
                else:
                    handling.start_task(cell, result, sink, _envelope(kind, body, sink))
                    return False
            if cell.behaviour.blocking and not claim_hand():
                raise Killed
        except BaseException as error:
            cell.sink = None
            survived = lifecycle.failed(cell, _envelope(kind, body, sink), sink, error)
            if me.gr_context is not None:
                me.gr_context = None
            return survived
        cell.handled = handled = cell.handled + 1
        if me.gr_context is not None:
            me.gr_context = None
        if sink is not None:
            cell.sink = None
            sink.reply(result)
        if cell.hand:
            cell.hand = 0
            # crash: done.free
            reader.status[block] = free if length <= one_block else returned
            # Before the word: in the other order a message would be neither in hand nor gone, and be handled twice.
            # crash: done.freed
            lanes.freed = True
            if reader.buf[want]:
                lanes.room_for(sender)
            words[cell.word] = handled << 24
            # crash: done.over
        return True

    return from_lane


def _envelope(kind: int, body: Any, sink: Any) -> tuple[Any, ...]:
    if kind == TELL:
        return (TELL, body)
    if kind == ASK:
        return (ASK, body, sink)
    return (kind, *body[:3]) if sink is None else (kind, *body[:3], sink)
