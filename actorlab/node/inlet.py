"""Inlet: the receiving half of a process: what comes by its lanes goes to mailboxes, callers and kernels.

Edge (memory); fulfils the actor floor's `Inlet`. In a worker one kernel's thread drains; in the user's process the
controller's thread does, or a thread that waits for an answer lends a hand: whoever has the token. A message stays in
its lane until its handler is done; answers, signals and control are taken out at once.
"""

from __future__ import annotations

import logging
import threading
from _thread import get_ident
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..actor import ASK, CALL, CAST, CONTROL, FAIL, IDLE, REPLY, SIGNAL, STOP, TELL, Cell, Kernel
from ..errors import ActorDied, NotSendable, RemoteError, StartError
from ..transport import (
    MOST_WATCHED,
    WANT,
    Board,
    Doorbell,
    LaneReader,
    Record,
    Watch,
    bell_path,
    decode_exception,
    lane_path,
    loads,
)
from .answers import RemoteAsk
from .draining import drainer
from .help import Help

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

log = logging.getLogger("actorlab")

SPILLED = 1
"""Flag of a message whose payload is a token: the rest is in a file of its own."""


class Inlet:
    """All lanes to one process."""

    poll: Callable[[bool, bool], bool]
    """`poll(wait, busy)`: drain what has arrived and hand it on; return whether there was anything.

    `wait`: if another thread does so now. `busy`: there will be more soon."""

    def __init__(self, runtime: ProcessRuntime, directory: Path, process: int, board: Board) -> None:
        assert runtime.outlet is not None
        self._runtime = runtime
        self._outlet = runtime.outlet
        self._directory = directory
        self._process = process
        self._board = board
        self._bell = Doorbell(bell_path(directory, process))
        self.readers: dict[int, LaneReader] = {}  # by their sender's process
        self.unfinished: set[int] = set()  # senders whose lane was not drained to its end
        self.wanted: set[int] = set()  # senders that wait for room, and have some now
        self.token = threading.Lock()
        self.question = partial(RemoteAsk, runtime)  # the sink of a question from another process: corr, chain
        self._alone = process != 0  # else two threads drain, and a kernel's inbox keeps what they hand on in order
        self.watch = Watch(board, process, self.reader, MOST_WATCHED if self._alone else 0)
        self.has_news, self.look = self.watch.has_news, self.watch.look
        self._place = f"worker {process}" if process else "the user's process"
        self._kept: dict[int, bytes] = {}  # large messages that may be tried again: their files, by what is in hand
        self.freed = False  # some block may have come free since the last sleep
        self._kernel: Kernel | None = None
        self._rung = True
        self.help = None if process else Help(self, board, directory)
        self._sleep = self.help.rest if self.help is not None else partial(board.sleep, process)
        self._wake = self.help.wake if self.help is not None else partial(board.wake, process)

    def attach(self, kernel: Kernel) -> None:
        """Have a kernel sleep on our doorbell, and drain: in a worker its thread is the only one that does."""
        self._kernel = kernel
        self.poll = drainer(self, self._runtime, kernel, alone=self._alone)
        kernel.hub.watch(self._bell.fileno(), self._rang)

    def _rang(self) -> None:
        self._rung = True  # cleared before the next sleep, not now: a message waits

    def reader(self, sender: int) -> LaneReader:
        """Return the lane from `sender`."""
        reader = self.readers.get(sender)
        if reader is None:
            reader = self.readers[sender] = LaneReader(lane_path(self._directory, sender, self._process))
        return reader

    # -- the hub's side -------------------------------------------------------------------------------------------

    def ring_wanted(self) -> None:
        while self.wanted:
            sender = self.wanted.pop()
            if self.readers[sender].take_want():
                self._outlet.announce(sender)

    def drain_from(self, sender: int) -> None:
        """Take everything that a dead process sent before its end: its Downs come after that (P7)."""
        if not lane_path(self._directory, sender, self._process).exists():
            return
        reader = self.reader(sender)
        while reader.ready:
            self.unfinished.add(sender)
            self.poll(True, False)

    def sleep(self) -> bool:
        """Say "ring me"; False if there is something to do after all."""
        if self.unfinished or self.wanted:
            return False
        if self._rung:
            self._rung = False
            self._bell.clear()
        self.unfinished.update(self.watch.rest())
        if self.unfinished or self.watch.room or not self._sleep():
            return False
        if self.freed:
            # who frees looks for the mark without a fence, and may have missed one; `board.sleep` has fenced since
            self.freed = False
            for sender, reader in self.readers.items():
                if reader.buf[WANT]:
                    self.wanted.add(sender)
            if self.wanted:
                self._wake()
                return False
        return True

    def woke(self) -> None:
        """Say "no need to ring"."""
        self._wake()

    def hand_on(self, record: Record, sender: int) -> None:
        """Deal with one message of the lane from `sender` that a dead predecessor left."""
        self.dispatch(record, self.reader(sender), sender)

    # -- one message ------------------------------------------------------------------------------------------------

    def dispatch(self, record: Record, reader: LaneReader, sender: int) -> None:
        dest, corr, kind, flags, block, length = record
        if kind <= STOP:
            kernel = self._runtime.kernels.get(dest >> 56)
            cell = kernel.cells.get(dest) if kernel is not None else None
            if kernel is None or cell is None:
                self.drop(record, "no_actor", ActorDied(self._runtime.label(dest), "noproc", "never"))
            elif kernel.ident == get_ident() and self._alone:
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
                self._runtime.late_replies += 1
                if flags & SPILLED:
                    self._runtime.spill.discard(reader.payload_bytes(block, length))
                self.free(sender << 16 | block)
                return
            self._answer(future, kind, flags, reader.payload_bytes(block, length))
            self.free(sender << 16 | block)
        else:
            payload = reader.payload_bytes(block, length)
            self.free(sender << 16 | block)
            try:
                body = self._runtime.spill.read(payload) if flags & SPILLED else loads(payload)
            except BaseException as error:
                self._cannot_be_read(kind, corr, error)
                return
            if kind == SIGNAL:
                self._runtime.signal_here(dest, body, at_once=self._alone)
            else:
                self._runtime.control_here(dest >> 56, body, corr)

    def _cannot_be_read(self, kind: int, corr: int, error: BaseException) -> None:
        """A request to a kernel has arguments that cannot be unpickled here: whoever asked is told."""
        why = f"what it was given cannot be unpickled in {self._place}: {type(error).__name__}: {error}"
        if kind == CONTROL and corr & NUMBER:
            RemoteAsk(self._runtime, corr, ()).fail(StartError("the actor", why))
        else:
            log.error("a request from process %d: %s", corr >> 56, why)

    def _admit(self, cell: Cell, record: Record) -> None:
        """Let a message in at its mailbox's door; a stop always gets in."""
        if record[2] == STOP:
            cell.kernel.admission.admit_stop(cell, record)
        else:
            cell.kernel.admission.admit(cell, record, None)

    def _answer(self, future: Any, kind: int, flags: int, payload: bytes) -> None:
        try:
            value: Any = self._runtime.spill.read(payload) if flags & SPILLED else None
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
        payload = self.readers[corr >> 56].payload_bytes(block, length)
        try:
            if flags & SPILLED:
                keep = cell.behaviour.redeliver > 0
                body = self._runtime.spill.read(payload, keep)
                if keep:
                    self._kept[corr >> 56 << 16 | block] = payload
            else:
                body = loads(payload)
        except BaseException as error:
            why = f"{type(error).__name__}: {error}"
            cell.kernel.table.count_dead(cell.word)
            if corr & NUMBER:
                refusal = NotSendable(f"a message to {cell.name}", f"it cannot be unpickled in {self._place}: {why}")
                RemoteAsk(self._runtime, corr, ()).fail(refusal)
            if flags & SPILLED:
                self._runtime.spill.discard(payload)
            self._runtime.dead_letters.add(cell.name, cell.address, why, "undecodable")
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
        reader = self.readers[sender]
        reader.free(hand & 0xFFFF)
        self.freed = True
        if self._kept and hand in self._kept:
            self._runtime.spill.discard(self._kept.pop(hand))
        if reader.buf[WANT]:
            self.room_for(sender)

    def room_for(self, sender: int) -> None:
        """A block was freed and `sender` waits for one: it is rung in the hub's next turn."""
        self.wanted.add(sender)
        if self._kernel is not None:
            self._kernel.hub.wake()  # freed by another thread than the hub's, while that sleeps

    def drop(self, record: Record, reason: str, error: BaseException) -> None:
        """Nobody will handle it: tell its caller, record a dead letter, free its block."""
        dest, corr, kind, flags, block, length = record
        sender = corr >> 56
        if kind in (CALL, ASK, STOP) and corr & NUMBER:
            RemoteAsk(self._runtime, corr, ()).fail(error)
        if flags & SPILLED:
            self._runtime.spill.discard(self.readers[sender].payload_bytes(block, length))
        what = {TELL: "a tell", CAST: "a cast", ASK: "an ask", CALL: "a call", STOP: "a stop"}.get(kind, f"kind {kind}")
        self.free(sender << 16 | block)
        if kind != STOP:
            text = f"{what} of {length} bytes from process {sender}"
            self._runtime.dead_letters.add(self._runtime.label(dest), dest, text, reason)

    def lanes(self) -> dict[int, LaneReader]:
        """Return the lanes in use, by sender."""
        return dict(self.readers)

    def close(self) -> None:
        """Unmap all lanes and close the bell."""
        self._bell.close()
        if self.help is not None:
            self.help.close()
        for reader in self.readers.values():
            reader.close()
        self.readers.clear()


NUMBER = (1 << 56) - 1
"""The part of a correlation id that numbers the question; the rest is the asking process. 0: nobody asks."""
