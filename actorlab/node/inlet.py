"""Inlet: the receiving half of a process: what comes by its lanes goes to mailboxes, callers and kernels.

Edge (memory); fulfils the actor floor's `Inlet`. In a worker one kernel's thread drains; in the user's process the
controller's thread does, or a thread that waits for an answer lends a hand: whoever has the token. A message stays in
its lane until its handler is done; answers, signals and control are taken out at once.
"""

from __future__ import annotations

import threading
from _thread import get_ident
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..actor import ASK, CALL, CAST, CONTROL, FAIL, IDLE, REPLY, SIGNAL, STOP, TELL, Cell
from ..errors import ActorDied, RemoteError
from ..ids import NOBODY
from ..transport import AWAKE, Board, Doorbell, LaneReader, Record, bell_path, decode_exception, lane_path, loads
from .answers import RemoteAsk

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

SPILLED = 1
"""Flag of a message whose payload is a token: the rest is in a file of its own."""


class Inlet:
    """All lanes to one process."""

    def __init__(self, runtime: ProcessRuntime, directory: Path, process: int, board: Board) -> None:
        self._runtime = runtime
        self._directory = directory
        self._process = process
        self._board = board
        self._bell = Doorbell(bell_path(directory, process))
        self._readers: dict[int, LaneReader] = {}
        self._unfinished: set[int] = set()  # senders whose lane was not drained to its end
        self._wanted: set[int] = set()  # senders that wait for room, and have some now
        self._token = threading.Lock()
        news_at = process * 320 + 64
        self._news = board.u8[news_at : news_at + 256]
        self.frames = 0

    def attach(self, hub: Any) -> None:
        """Have a kernel's hub sleep on our doorbell."""
        hub.watch(self._bell.fileno(), self._bell.clear)

    def reader(self, sender: int) -> LaneReader:
        """Return the lane from `sender`."""
        reader = self._readers.get(sender)
        if reader is None:
            reader = self._readers[sender] = LaneReader(lane_path(self._directory, sender, self._process))
        return reader

    # -- the hub's side -------------------------------------------------------------------------------------------

    def has_news(self) -> bool:
        """Whether somebody sent something."""
        return self._news.tobytes().find(1) >= 0

    def poll(self) -> bool:
        """Drain what has arrived and hand it on; return whether there was anything."""
        if not self._token.acquire(blocking=False):
            return False
        try:
            senders: Any = self._board.take(self._process)
            if self._unfinished:
                senders = self._unfinished.union(senders)
                self._unfinished.clear()
            busy = False
            for sender in senders:
                reader = self._readers.get(sender) or self.reader(sender)
                records = reader.drain()
                if records:
                    busy = True
                    self.frames += len(records)
                    if len(records) == 256:
                        self._unfinished.add(sender)
                    dispatch = self._dispatch
                    for record in records:
                        dispatch(record, reader, sender)
                self._runtime.sending.room_in(sender)
        finally:
            self._token.release()
        if self._wanted:
            self._ring_wanted()
        self._runtime.outlet.flush()
        return busy

    def _ring_wanted(self) -> None:
        while self._wanted:
            sender = self._wanted.pop()
            if self._readers[sender].take_want():
                self._runtime.outlet.announce(sender)

    def drain_from(self, sender: int) -> None:
        """Take everything that a dead process sent before its end: its Downs come after that (P7)."""
        if not lane_path(self._directory, sender, self._process).exists():
            return
        reader = self.reader(sender)
        while reader.ready:
            self._unfinished.add(sender)
            if not self.poll():
                break

    def sleep(self) -> bool:
        """Say "ring me"; False if there is something to do after all."""
        return not self._unfinished and not self._wanted and self._board.sleep(self._process)

    def woke(self) -> None:
        """Say "no need to ring"."""
        self._board.wake(self._process)

    def hand_on(self, record: Record) -> None:
        """Deal with one message that a dead predecessor left."""
        sender = record[1] >> 56
        self._dispatch(record, self.reader(sender), sender)

    # -- one message ------------------------------------------------------------------------------------------------

    def _dispatch(self, record: Record, reader: LaneReader, sender: int) -> None:
        dest, corr, kind, flags, block, length = record
        if kind <= STOP:
            kernel = self._runtime.kernels.get(dest >> 56)
            cell = kernel.cells.get(dest) if kernel is not None else None
            if cell is None:
                self.drop(record, "no_actor", ActorDied(self._runtime.label(dest), "noproc", "never"))
            elif kernel.ident == get_ident():
                mailbox = cell.mailbox
                if len(mailbox) < cell.brake and kind != STOP:
                    mailbox.append(record)
                    if cell.phase == IDLE:
                        kernel.ready(cell)
                else:
                    self._admit(cell, record)
            else:
                kernel.post(self._admit, cell, record)
        elif kind == REPLY or kind == FAIL:
            future = self._runtime.pending.pop(corr, None)
            if future is None:
                type(self._runtime).late_replies += 1
                reader.free(block)
                return
            self._answer(future, kind, flags, reader.payload_bytes(block, length))
            reader.free(block)
        else:
            payload = reader.payload_bytes(block, length)
            reader.free(block)
            if flags & SPILLED:
                body = self._runtime.spill.read(payload)
            else:
                body = loads(payload)
            if kind == SIGNAL:
                self._runtime.signal_here(dest, body)
            else:
                self._runtime.control_here(dest >> 56, body, corr)

    def _admit(self, cell: Cell, record: Record) -> None:
        """Let a message in at its mailbox's door; a stop always gets in."""
        if record[2] == STOP:
            kernel = cell.kernel
            envelope = self.open(cell, record)
            self.free(record[1] >> 56 << 16 | record[4])
            if envelope is not None:
                kernel.endings.stop(cell.address, envelope[1], envelope[2])
        else:
            cell.kernel.admission.admit(cell, record, None)

    def _answer(self, future: Any, kind: int, flags: int, payload: bytes) -> None:
        try:
            value = self._runtime.spill.read(payload) if flags & SPILLED else None
            if kind == REPLY:
                future.reply(value if flags & SPILLED else loads(payload))
            else:
                future.fail(decode_exception(value if flags & SPILLED else payload))
        except Exception as error:
            future.fail(RemoteError(type(error).__name__, f"the answer cannot be unpickled here: {error}"))

    # -- messages that wait in mailboxes --------------------------------------------------------------------------

    def open(self, cell: Cell, record: Record) -> Any:
        """Unpickle a message just before it is handled; None if it cannot be, which is the sender's fault, not ours."""
        _dest, corr, kind, flags, block, length = record
        payload = self._readers[corr >> 56].payload_bytes(block, length)
        try:
            body = self._runtime.spill.read(payload) if flags & SPILLED else loads(payload)
        except BaseException as error:
            cell.kernel.table.count_dead(cell.word)
            if kind == CALL or kind == ASK:
                RemoteAsk(self._runtime, corr, ()).fail(error)
            self._runtime.dead_letters.add(cell.name, cell.address, f"{type(error).__name__}: {error}", "undecodable")
            return None
        if kind == TELL:
            return (TELL, body)
        if kind == CAST:
            return (CAST, *body)
        if kind == CALL:
            name, args, kwargs, chain = body
            return (CALL, name, args, kwargs, RemoteAsk(self._runtime, corr, chain))
        if kind == ASK:
            return (ASK, body[0], RemoteAsk(self._runtime, corr, body[1]))
        return (STOP, body[0], RemoteAsk(self._runtime, corr, ()) if corr & NUMBER else None)

    def free(self, hand: int) -> None:
        """Give a block back to its sender, and note whether the sender waits for one."""
        sender = hand >> 16
        reader = self._readers[sender]
        reader.free(hand & 0xFFFF)
        if reader.buf[192]:
            self._wanted.add(sender)

    def drop(self, record: Record, reason: str, error: BaseException) -> None:
        """Nobody will handle it: tell its caller, record a dead letter, free its block."""
        dest, corr, kind, flags, block, length = record
        sender = corr >> 56
        if kind in (CALL, ASK, STOP) and corr & NUMBER:
            RemoteAsk(self._runtime, corr, ()).fail(error)
        if flags & SPILLED:
            self._runtime.spill.discard(self._readers[sender].payload_bytes(block, length))
        what = {TELL: "a tell", CAST: "a cast", ASK: "an ask", CALL: "a call", STOP: "a stop"}.get(kind, f"kind {kind}")
        self.free(sender << 16 | block)
        if kind != STOP:
            text = f"{what} of {length} bytes from process {sender}"
            self._runtime.dead_letters.add(self._runtime.label(dest), dest, text, reason)

    def lanes(self) -> dict[int, LaneReader]:
        """Return the lanes in use, by sender."""
        return dict(self._readers)

    def close(self) -> None:
        """Unmap all lanes and close the bell."""
        self._bell.close()
        self._news.release()
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    # -- a thread that waits ------------------------------------------------------------------------------------------

    def help_out(self, is_done: Any, turns: int) -> bool:
        """Drain for a while in a thread that waits for an answer; return whether it came. Others ring meanwhile."""
        import os

        board, process = self._board, self._process
        asleep = board.u8[process * 320]
        board.wake(process)
        try:
            for _ in range(turns):
                if self.has_news():
                    self.poll()
                if is_done():
                    return True
                os.sched_yield()
            return False
        finally:
            if asleep != AWAKE and not board.sleep(process):
                # news came while nobody would have been rung for it
                self.poll()
                board.u8[process * 320] = asleep


NUMBER = (1 << 56) - 1
"""The part of a correlation id that numbers the question; the rest is the asking process. 0: nobody asks."""

__all__ = ["CONTROL", "NOBODY", "NUMBER", "SPILLED", "Inlet"]
