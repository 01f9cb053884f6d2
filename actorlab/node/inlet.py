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
from ..errors import ActorDied, MailboxFull, NotSendable, RemoteError, SharedMemoryError, StartError
from ..ids import process_of
from ..transport import (
    EPOCH,
    MOST_WATCHED,
    ROW_U32,
    SPILLED,
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
    spill_size_in,
)
from .answers import RemoteAsk
from .draining import drainer
from .fate import settle
from .help import Help

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

log = logging.getLogger("actorlab")


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
        self._fates = threading.Lock()  # a blocking actor's thread settles what it had in hand, too
        self.question = partial(RemoteAsk, runtime)  # the sink of a question from another process: corr, chain
        self._alone = process != 0  # else two threads drain, and a kernel's inbox keeps what they hand on in order
        self._shut: set[int] = set()  # senders whose lane could not be opened when it was last tried
        self.watch = Watch(board, process, self.readers.get, MOST_WATCHED if self._alone else 0)
        self.has_news, self.look = self.watch.has_news, self.watch.look
        self._place = f"worker {process}" if process else "the user's process"
        self._kept: dict[int, bytes] = {}  # large messages that may be tried again: their files, by what is in hand
        self.freed = False  # some block may have come free since the last sleep
        self._kernel: Kernel | None = None
        self._rung = True
        self.help = None if process else Help(self, board, directory)
        self._sleep = self.help.rest if self.help is not None else partial(board.sleep, process)
        self._wake = self.help.wake if self.help is not None else partial(board.wake, process)

    def epoch_of(self, home: int) -> int:
        """Return which process of the slot of `home` it is now: they are counted."""
        epoch: int = self._board.u32[process_of(home) * ROW_U32 + EPOCH]
        return epoch

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
            self._shut.discard(sender)
        return reader

    def put_off(self, sender: int, error: Exception) -> None:
        """The lane from `sender` cannot be opened, for want of a descriptor perhaps: it has news again a little later.

        What lies in it stays there. If there is no such lane, nothing does, and the sender will say so when there is.
        """
        if sender not in self._shut:
            self._shut.add(sender)
            log.error("the lane from process %d cannot be opened, and is tried again: %s", sender, error)
        if self._kernel is not None and not isinstance(error, FileNotFoundError):
            later = self._kernel.hub.loop.call_later
            self._kernel.post(later, OPEN_AGAIN_S, self._board.post, self._process, sender)

    # -- the hub's side -------------------------------------------------------------------------------------------

    def ring_wanted(self) -> None:
        while True:
            try:
                sender = self.wanted.pop()
            except KeyError:
                return  # in the user's process two threads drain, and the other was faster
            if self.readers[sender].take_want():
                self._outlet.announce(sender)

    def drain_from(self, sender: int) -> bool:
        """Take everything that a dead process sent before its end: its Downs come after that (P7).

        False: its lane cannot be opened just now.
        """
        if not lane_path(self._directory, sender, self._process).exists():
            return True
        try:
            reader = self.reader(sender)
        except (OSError, SharedMemoryError) as error:
            self.put_off(sender, error)
            return False
        while reader.ready:
            self.unfinished.add(sender)
            self.poll(True, False)
        return True

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
        if self.unfinished:  # a helper has just left the lanes to us, and saw us awake
            self._wake()
            return False
        if self.freed:
            # who frees looks for the mark without a fence, and may have missed one; `board.sleep` has fenced since
            self.freed = False
            for sender, reader in tuple(self.readers.items()):
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
            try:
                # before the block is free: else a kill between the two would leave it read by nobody, and lent for ever
                body = self._runtime.spill.read(payload) if flags & SPILLED else loads(payload)
            except BaseException as error:
                if flags & SPILLED:
                    self._runtime.spill.discard(payload)
                self.free(sender << 16 | block)
                self._cannot_be_read(kind, corr, error)
                return
            self.free(sender << 16 | block)
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
        admission = cell.kernel.admission
        if record[2] == STOP:
            admission.admit_stop(cell, record)
        elif admission.shedding:
            full = MailboxFull(cell.name, admission.shedding, cell.bounds.overflow, "memory")
            admission.refuse(cell, record, None, full, "shed")
        else:
            admission.admit(cell, record, None)

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
                keep = cell.behaviour.redeliver > 0 or cell.behaviour.stash_capacity > 0
                body = self._runtime.spill.read(payload, keep)
                if keep:
                    self._kept[corr >> 56 << 16 | block] = payload
            else:
                body = loads(payload)
        except BaseException as error:
            why = f"{type(error).__name__}: {error}"
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

    def weigh(self, record: Record) -> int:
        """Return the bytes of a message that waits, 0 for a stop."""
        _dest, corr, kind, flags, block, length = record
        if kind == STOP:
            return 0
        return spill_size_in(self.readers[corr >> 56].payload_bytes(block, length)) if flags & SPILLED else length

    def free(self, hand: int) -> None:
        """Give a block back to its sender, and note whether the sender waits for one."""
        sender = hand >> 16
        reader = self.readers[sender]
        # before the block is free: its next message may be kept at once, by another thread
        kept = self._kept.pop(hand, None) if self._kept else None
        reader.free(hand & 0xFFFF)
        self.freed = True
        if kept is not None:
            self._runtime.spill.discard(kept)
        if reader.buf[WANT]:
            self.room_for(sender)

    def settle(self, cell: Cell, hand: int, failed: bool, in_hand: bool) -> None:
        """Count message `hand` (an in-hand code) as failed or as a dead letter, and free its block, as one."""
        position = self.readers[hand - 1 >> 16].position(hand - 1 & 0xFFFF)
        with self._fates:
            settle(cell.kernel.table.table, cell.word, hand, position, failed, self.free, in_hand)

    def record_at(self, hand: int) -> Record:
        """Return the record of a message that lies in a lane."""
        return self.readers[hand >> 16].record(hand & 0xFFFF)

    def lies_at(self, hand: int) -> int:
        """Return the position of a message that was drained and not given back; 0: its block is free, or filled again.

        For whoever comes after a dead process. From its lane's head on that one had drained nothing.
        """
        reader, block = self.reader(hand >> 16), hand & 0xFFFF
        if not reader.holds(block):  # first: a sender that fills it says where it is before it says that there is one
            return 0
        position = reader.position(block)
        return position if position < reader.head else 0

    def peek(self, record: Record) -> Any:
        """Unpickle the body of a message that stays where it is; raise what that raises."""
        _dest, corr, _kind, flags, block, length = record
        payload = self.readers[corr >> 56].payload_bytes(block, length)
        return self._runtime.spill.read(payload, True) if flags & SPILLED else loads(payload)

    def room_for(self, sender: int) -> None:
        """A block was freed and `sender` waits for one: it is rung in the hub's next turn."""
        self.wanted.add(sender)
        if self._kernel is not None:
            self._kernel.hub.wake()  # freed by another thread than the hub's, while that sleeps

    def drop(
        self,
        record: Record,
        reason: str,
        error: BaseException | None,
        cell: Cell | None = None,
        in_hand: bool = False,
    ) -> None:
        """Nobody will handle it: tell its caller (not without an error), record a dead letter, free its block.

        It is counted, if it is a cell's.
        """
        dest, corr, kind, _flags, block, length = record
        sender = corr >> 56
        self.disappoint(record, error)
        what = {TELL: "a tell", CAST: "a cast", ASK: "an ask", CALL: "a call", STOP: "a stop"}.get(kind, f"kind {kind}")
        hand = (sender << 16 | block) + 1
        if cell is None:
            self.free(hand - 1)
        else:
            self.settle(cell, hand, False, in_hand=in_hand)
        if kind != STOP:
            text = f"{what} of {length} bytes from process {sender}"
            self._runtime.dead_letters.add(self._runtime.label(dest), dest, text, reason)

    def disappoint(self, record: Record, error: BaseException | None) -> None:
        """Tell the caller of a message that nobody handles, and remove the file of a large one. It may be repeated."""
        _dest, corr, kind, flags, block, length = record
        if error is not None and kind in (CALL, ASK, STOP) and corr & NUMBER:
            RemoteAsk(self._runtime, corr, ()).fail(error)
        if flags & SPILLED:
            self._runtime.spill.discard(self.readers[corr >> 56].payload_bytes(block, length))

    def lanes(self) -> dict[int, LaneReader]:
        """Return the lanes in use, by sender."""
        return dict(self.readers)

    def close(self) -> None:
        """Unmap all lanes and close the bell."""
        if self.help is not None:
            self.help.close()
        self._bell.close()
        for reader in self.readers.values():
            reader.close()
        self.readers.clear()


OPEN_AGAIN_S = 0.05
"""How long after a lane could not be opened it is tried again."""
NUMBER = (1 << 56) - 1
"""The part of a correlation id that numbers the question; the rest is the asking process. 0: nobody asks."""
