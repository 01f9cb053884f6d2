"""A lane's sending end: find free blocks, fill them, publish.

An edge (memory). Used by the process that sends; lane.py says what a lane is and what holds when a process is killed.
Never waits: no room is an answer (-1), and what to do about it is the caller's business.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Final, Protocol

from .lane import LaneEnd
from .lane_layout import (
    BLOCK_SHIFT,
    FREE,
    HEADER,
    HEADER_AND_PAYLOAD,
    IS_MESSAGE,
    LENGTH,
    LENGTH_AT,
    MAX_PAYLOAD_BYTES,
    MAX_SPAN,
    MESSAGE_HEADER_BYTES,
    ONE_BLOCK_BYTES,
    POSITION,
    REST,
    RETURNED,
    SENT_BYTES,
    SINGLE,
    SPAN,
    TAIL,
    WAITS,
    WANT,
    span_of,
)

_REFILL = 128
_RESTS = bytes([REST]) * MAX_SPAN
_IS_FREE = bytes(status == FREE for status in range(256))
_IS_DONE = bytes(status in (FREE, RETURNED) for status in range(256))
_BUSY: Final[list[int]] = []  # stands in for the free list while a send is under way
_ALWAYS_UP = b"\1"


class Sink(Protocol):
    """What a writer counts a destination's messages in: `out` are those the receiver has not freed, as far as known."""

    out: int


class TrySend(Protocol):
    """How `LaneWriter.try_send` is called."""

    def __call__(self, dest: int, corr: int, kind: int, flags: int, payload: bytes, sink: Sink | None = None, /) -> int:
        """Publish a message and return its (first) block, or -1 when there is no room. Never waits.

        `payload` has at most MAX_PAYLOAD_BYTES, else ValueError. `sink.out` goes up by one, and down by one when the
        block is used again or by `recount`. Before the receiver is told, the lock's release stands as a fence (see
        the module). Called from a signal handler that interrupts a send of the same thread, it returns -1.
        """


class LaneWriter(LaneEnd):
    """The sender's end. Its threads may all send; only one process at a time may have one.

    Opening it repairs what a killed predecessor left half sent. Use it in one process only: after a fork open another.
    """

    __slots__ = (
        "_acquire", "_common", "_free", "_lock", "_news", "_news_at", "_owners", "_release", "_sent_bytes", "_tail",
        "_wake", "try_send",
    )  # fmt: skip

    try_send: TrySend

    def __init__(
        self,
        path: str | os.PathLike[str],
        reserve: int = 0,
        news: Sequence[int] = _ALWAYS_UP,
        news_at: int = 0,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        """Open the lane. The last `reserve` blocks are for `try_urgent`: however much waits for one slow or dead actor,
        what its receiver takes out at once, the order to restart it for one, still gets through.

        After each send, `wake` is called if `news[news_at]` is 0: the receiver has not been told yet (see board.py).
        """
        super().__init__(path, writable=True)
        self._common = self.blocks - reserve
        self._news, self._news_at, self._wake = news, news_at, wake
        # reentrant, because an interrupt (Ctrl-C) may come between its acquisition and the next line
        self._lock = threading.RLock()
        self._acquire, self._release = self._lock.acquire, self._lock.release
        self._owners: list[Sink | None] = [None] * self.blocks
        self._sent_bytes = self.words[SENT_BYTES]
        self._free: list[int] = []
        self._tail = 0
        self._recover()
        self.try_send = _sender(self)

    def try_send_span(self, dest: int, corr: int, kind: int, flags: int, payload: bytes, sink: Sink | None) -> int:
        """Publish a message of several blocks in a row; `try_send` comes here by itself."""
        return self._send_span(dest, corr, kind, flags, payload, sink, 0, self._common)

    def try_urgent(self, dest: int, corr: int, kind: int, flags: int, payload: bytes) -> int:
        """Publish a message in the reserve, for it has no room elsewhere; its receiver must take it out at once."""
        return self._send_span(dest, corr, kind, flags, payload, None, self._common, self.blocks)

    def _send_span(
        self, dest: int, corr: int, kind: int, flags: int, payload: bytes, sink: Sink | None, first: int, end: int
    ) -> int:
        length = len(payload)
        if length > MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"{length} bytes of payload are above a lane's {MAX_PAYLOAD_BYTES}: spill them to a segment"
            )
        span = span_of(length)
        try:
            self._acquire()
            free, self._free = self._free, _BUSY
            block = self._find_run(span, first, end) if free is not _BUSY else -1
            if block < 0:
                self._free = free
                self._release()
                return -1
            position = self._tail
            if sink is not None:
                sink.out += 1
            owners = self._owners
            past = block + span
            if owners[block:past].count(None) != span:
                for taken in range(block, past):
                    previous = owners[taken]
                    if previous is not None:
                        previous.out -= 1
                        owners[taken] = None
            owners[block] = sink
            offset = self.data + (block << BLOCK_SHIFT)
            # crash: span.data
            HEADER.pack_into(self.mapped, offset, position, dest, corr, kind, flags, block, length)
            start = offset + MESSAGE_HEADER_BYTES
            # crash: span.payload
            self.mapped[start : start + length] = payload
            # crash: span.rest
            # Killed among these bytes: some REST that no SPAN covers; the next sender frees them.
            self.status[block + 1 : past] = _RESTS[: span - 1]
            # crash: span.first
            self.status[block] = SPAN
            # crash: span.ring
            self.ring[position & self.mask] = offset
            # crash: span.tail
            self.words[TAIL] = self._tail = position + 1
            # crash: span.published
            self._sent_bytes += length
            self._free = []  # the list may hold blocks of this run; what is left of it is found again
            self._release()
            if not self._news[self._news_at]:
                self._wake()
        except BaseException:
            self.abandon(sink)
            raise
        return block

    def want_room(self, length: int = 0) -> bool:
        """Ask to be rung when blocks come free. True: a payload of `length` bytes fits now, so do not wait.

        The mark is set before the look, with a fence between; the receiver frees before it looks for the mark
        (`take_want`). So either we see the room, or it sees the mark. It clears the mark: ask again each time.
        """
        with self._lock:
            # crash: want.mark
            self.buf[WANT] = 1
        # Killed here: the receiver clears it and rings a bell that nobody waits for.
        # crash: want.marked
        with self._lock:  # acquired anew: the fence
            free, self._free = self._free, _BUSY
            try:
                return free is not _BUSY and self._find_run(span_of(length), 0, self._common) >= 0
            finally:
                self._free = free

    def is_crowded(self) -> bool:
        """Whether less than half of the blocks is free: then messages of several had better go another way."""
        statuses = self._statuses()
        # Low blocks are taken first: while few are in use it is seen at once that the upper half is free.
        if statuses.endswith(bytes(self.blocks // 2)) or statuses.count(FREE) >= self.blocks // 2:
            return False
        with self._lock:
            free, self._free = self._free, _BUSY
            try:
                return free is _BUSY or self._reclaim().count(FREE) < self.blocks // 2
            finally:
                self._free = free

    def recount(self) -> None:
        """Bring the `out` of every sink up to date: about 0.1 ms for 4096 blocks."""
        with self._lock:
            owners = self._owners
            for block in compress(range(self.blocks), self._statuses().translate(_IS_DONE)):
                sink = owners[block]
                if sink is not None:
                    owners[block] = None
                    sink.out -= 1

    def sink_of(self, block: int) -> Sink | None:
        """Return the sink of the message that a block holds, or held last."""
        return self._owners[block]

    def unanswered(self) -> set[int]:
        """Return the correlation ids of all messages that the receiver has not freed."""
        with self._lock:
            statuses = self._statuses()
            found = compress(range(self.blocks), statuses.translate(IS_MESSAGE))
            return {HEADER.unpack_from(self.mapped, self.data + (block << BLOCK_SHIFT))[2] for block in found}

    def close(self) -> None:
        """Unmap. What was sent stays for the receiver. Idempotent."""
        if self.segment.mmap.closed:
            return
        self._count_bytes()
        super().close()

    def _statuses(self) -> bytes:
        """Return a copy of all status bytes: 0.1 µs, and its `find` is memchr, which mmap's is not."""
        return self.mapped[self.status_at : self.status_at + self.blocks]

    def _refill(self) -> list[int]:
        """Return the next free blocks, lowest last, so that they are popped in order and few pages stay warm.

        They are the caller's: `_free` is _BUSY until it says what is left of them.
        """
        if self._free is _BUSY:
            return _BUSY
        self._free = _BUSY  # before the look: who interrupts it, and sends, would take what we have seen free
        self._count_bytes()
        statuses = self._reclaim()
        first = statuses.find(FREE, 0, self._common)
        if first < 0:
            self._count_wait()
            self._free = []
            return _BUSY
        window = statuses[first : min(first + _REFILL, self._common)]
        free = list(compress(range(first, first + _REFILL), window.translate(_IS_FREE)))
        free.reverse()
        return free

    def _find_run(self, span: int, first: int, end: int) -> int:
        """Return the first of `span` free blocks in a row between `first` and `end`, or -1. `_free` is _BUSY."""
        block = self._reclaim().find(bytes(span), first, end)
        if block < 0:
            self._count_wait()
        return block

    def _count_bytes(self) -> None:
        """Say how much was sent. Killed before it: the next sender goes on counting from what was said last."""
        # crash: bytes.count
        self.words[SENT_BYTES] = self._sent_bytes
        # crash: bytes.counted

    def _count_wait(self) -> None:
        """Count that there was no room; only statistics read it, so a killed sender's last one may be missing."""
        # crash: waits.count
        self.words[WAITS] += 1
        # crash: waits.counted

    def _reclaim(self) -> bytes:
        """Free the spans that the receiver returned; return the status bytes after that. `_free` is _BUSY."""
        statuses = self._statuses()
        block = statuses.find(RETURNED)
        if block < 0:
            return statuses
        while block >= 0:
            self._free_span(block)
            block = statuses.find(RETURNED, block + 1)
        return self._statuses()

    def _free_span(self, block: int) -> None:
        """Free a span, its first block last: killed in between, the next sender finds it again by that block."""
        (length,) = LENGTH.unpack_from(self.mapped, self.data + (block << BLOCK_SHIFT) + LENGTH_AT)
        status = self.status
        # crash: reclaim.rest
        status[block + 1 : block + span_of(length)] = bytes(span_of(length) - 1)
        # crash: reclaim.first
        status[block] = FREE
        # crash: reclaim.done

    def _recover(self) -> None:
        """Free what is returned, what was never accepted, and REST bytes without an owner; nothing below the tail."""
        words, status, data = self.words, self.status, self.data
        self._tail = tail = words[TAIL]
        statuses = self._statuses()
        block = 0
        while block < self.blocks:
            at = data + (block << BLOCK_SHIFT)
            found = statuses[block]
            span = 1
            if found == REST:  # spans are stepped over whole, so this one has no first block
                # crash: recover.rest
                status[block] = FREE
            elif found != FREE:
                (position,) = POSITION.unpack_from(self.mapped, at)
                if found != SINGLE:
                    span = span_of(LENGTH.unpack_from(self.mapped, at + LENGTH_AT)[0])
                if found == RETURNED or position >= tail:
                    # crash: recover.free
                    if found == SINGLE:
                        status[block] = FREE
                    else:
                        self._free_span(block)
            block += span
        # crash: recover.done

    def abandon(self, sink: Sink | None) -> None:
        """Undo a send that an exception cut short (bad arguments, Ctrl-C): it was published whole, or never was.

        The lock may or may not be ours when an interrupt comes, so take it (once more) and give back whatever we had.
        If it was published, nobody else would tell the receiver of it: one look too many costs less.
        """
        with self._lock:
            self._recover()
            self._free = []
            owners = self._owners
            for one in {id(one): one for one in (sink, *owners) if one is not None}.values():
                one.out = 0
            for block, status in enumerate(self._statuses()):
                owner = owners[block]
                if status in (FREE, RETURNED):
                    owners[block] = None
                elif owner is not None:
                    owner.out += 1
        try:
            self._release()
        except RuntimeError:
            pass  # it was not ours
        self._wake()


def _sender(writer: LaneWriter) -> TrySend:
    """Return `writer.try_send`: a closure, because looking up fourteen attributes of `self` costs 120 ns a message."""
    acquire, release = writer._acquire, writer._release
    mapped, status, ring, words = writer.mapped, writer.status, writer.ring, writer.words
    owners, data, mask = writer._owners, writer.data, writer.mask
    pack_into = HEADER_AND_PAYLOAD.pack_into
    most, shift, single, tail_at, busy = ONE_BLOCK_BYTES, BLOCK_SHIFT, SINGLE, TAIL, _BUSY
    news, news_at, wake = writer._news, writer._news_at, writer._wake

    def try_send(dest: int, corr: int, kind: int, flags: int, payload: bytes, sink: Sink | None = None, /) -> int:
        length = len(payload)
        if length > most:
            return writer.try_send_span(dest, corr, kind, flags, payload, sink)
        try:
            acquire()
            free = writer._free or writer._refill()
            if not free:
                release()
                return -1
            writer._free = busy
            block = free.pop()
            previous = owners[block]
            if previous is not sink:
                if sink is not None:
                    sink.out += 1
                if previous is not None:
                    previous.out -= 1
                owners[block] = sink
            offset = data + (block << shift)
            position = writer._tail
            # Killed before here: nothing happened. Killed inside or after: a free block with odd bytes in it.
            # crash: send.data
            pack_into(mapped, offset, position, dest, corr, kind, flags, block, length, payload)
            # crash: send.status
            status[block] = single
            # Killed here: a whole message at the tail's position, which the next sender frees.
            # crash: send.ring
            ring[position & mask] = offset
            # Killed here: the same; nobody reads the ring at or past the tail, so the entry needs no number of its own.
            # crash: send.tail
            words[tail_at] = writer._tail = position + 1
            # Killed here: accepted. The receiver's doorbell may be silent, though: whoever reaps us looks at the lane.
            # crash: send.published
            writer._sent_bytes += length
            writer._free = free
            release()
            if not news[news_at]:
                wake()
        except BaseException:
            writer.abandon(sink)
            raise
        return block

    return try_send
