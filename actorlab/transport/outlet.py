"""Outlet: the sending half of a process: its lanes to all others, their doorbells, and what could not go at once.

An edge (memory, files); used by the node's runtime in every process. Messages go by `try_send`, which never waits and
says no when there is no room. Replies, signals and control go by `post`, which never waits and never says no: what has
no room goes to an outbox, and while a process has something in its outbox no message overtakes it (P2, P7).
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import SharedMemoryError
from .board import ASLEEP_SECOND, NEWS_AT, ROW_BYTES, Board
from .doorbell import Ringer
from .lane import create_lane
from .lane_layout import ONE_BLOCK_BYTES
from .lane_writer import LaneWriter, Sink

RESERVE_SHARE = 16
"""One block in so many is kept for what is taken out at once."""
STOP = 5
"""The kind of a message that ends an actor when its turn comes (the actor floor's)."""

_LATER = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""A lane that cannot be opened for such a reason can be later; until then what is posted waits in the outbox."""

_Posted = tuple[int, int, int, int, bytes]

Door = Callable[[int, int, int, int, bytes, Sink | None], bool]
"""`try_send` to one process: dest, corr, kind, flags, payload, sink."""


def lane_path(directory: Path, sender: int, receiver: int) -> Path:
    """Return the file of the lane from one process slot to another."""
    return directory / f"lane.{sender}.{receiver}"


def second_bell_path(directory: Path, process: int) -> Path:
    """Return the doorbell of a second sleeper in a process slot: a thread that waits for an answer."""
    return directory / f"bell.{process}.second"


def bell_path(directory: Path, process: int) -> Path:
    """Return the doorbell of a process slot."""
    return directory / f"bell.{process}"


class Outlet:
    """All lanes from one process. Any thread may send."""

    def __init__(self, directory: Path, process: int, board: Board, lane_blocks: int) -> None:
        self._directory = directory
        self._process = process
        self._board = board
        self._blocks = lane_blocks
        self._writers: dict[int, LaneWriter] = {}
        self._ringers: dict[int, tuple[Ringer, Ringer]] = {}
        self.doors: dict[int, Door] = {}
        self.outbox: dict[int, deque[_Posted]] = {}
        self._lock = threading.RLock()  # reentrant: a signal handler may post while this thread does
        self._flushing: set[int] = set()

    def open(self, process: int) -> LaneWriter:
        """Return the lane to `process`, making or repairing its file the first time.

        The lane for what comes back is made with it: who may be asked must be able to answer. Raises SharedMemoryFull.
        """
        with self._lock:
            writer = self._writers.get(process)
            if writer is None:
                path = lane_path(self._directory, self._process, process)
                self._ensure(path)
                self._ensure(lane_path(self._directory, process, self._process))
                writer = self._writers[process] = LaneWriter(
                    path,
                    self._blocks // RESERVE_SHARE,
                    self._board.u8,
                    process * ROW_BYTES + NEWS_AT + self._process,
                    lambda: self._tell(process),
                )
        return writer

    def _tell(self, process: int) -> None:
        """Say that there is something in our lane; ring if its receiver sleeps."""
        asleep = self._board.post(process, self._process)
        if asleep:
            self._ring(process, asleep)

    def _ensure(self, path: Path) -> None:
        if not os.path.exists(path):
            try:
                create_lane(path, self._blocks)
            except FileExistsError:
                pass  # the other side has just made it

    def try_send(
        self, process: int, dest: int, corr: int, kind: int, flags: int, payload: bytes, sink: Sink | None = None
    ) -> bool:
        """Publish a message and wake its receiver if need be; False: no room. Accepted means published (P3)."""
        return (self.doors.get(process) or self.door(process))(dest, corr, kind, flags, payload, sink)

    def sink_of(self, process: int, block: int) -> Sink | None:
        """Return in what the message in a block of our lane to `process` is counted, if it was sent with a sink."""
        return self.open(process).sink_of(block)

    def door(self, process: int) -> Door:
        """Return `try_send` for one process: a closure, for it runs once a message."""
        known = self.doors.get(process)
        if known is not None:
            return known
        writer = self.open(process)
        send, is_crowded = writer.try_send, writer.is_crowded
        outbox, flush = self.outbox, self._flush

        def door(dest: int, corr: int, kind: int, flags: int, payload: bytes, sink: Sink | None) -> bool:
            if outbox and outbox.get(process) and not flush(process):
                return False
            if sink is not None and len(payload) > ONE_BLOCK_BYTES and is_crowded():
                return False  # some blocks are left to messages of one, or a slow actor's backlog would stop them all
            return send(dest, corr, kind, flags, payload, sink) >= 0

        self.doors[process] = door
        return door

    def _ring(self, process: int, asleep: int) -> None:
        ringers = self._ringers.get(process)
        if ringers is None:
            made = Ringer(bell_path(self._directory, process)), Ringer(second_bell_path(self._directory, process))
            ringers = self._ringers.setdefault(process, made)
        first, second = ringers
        if asleep != ASLEEP_SECOND or not second.ring():
            first.ring()

    def post(self, process: int, dest: int, corr: int, kind: int, flags: int, payload: bytes) -> None:
        """Send without fail: what has no room waits in the outbox, in order.

        What is taken out of the lane at once (anything but a stop) has a reserve of its own there.
        """
        # a door is shut while something waits in the outbox, so this cannot pass it by
        try:
            if (self.doors.get(process) or self.door(process))(dest, corr, kind, flags, payload, None):
                return
        except OSError as error:
            if error.errno not in _LATER:
                raise
        with self._lock:
            self.outbox.setdefault(process, deque()).append((dest, corr, kind, flags, payload))
        self._flush(process)

    def flush(self) -> None:
        """Send what waits in the outboxes, as far as there is room."""
        if self.outbox:
            for process in tuple(self.outbox):
                if self.outbox[process]:
                    self._flush(process)

    def _flush(self, process: int) -> bool:
        """Send what waits for `process`; what has no room will be rung for. Return whether nothing is left.

        A stop stays in its actor's mailbox, so it has no part in the reserve; it holds up no order to a kernel, either:
        one of those may be what its actor waits for. It stays in the outbox meanwhile, or a door would be open that
        is shut for what its sender sends after it.
        """
        with self._lock:
            if process in self._flushing:
                return False  # what interrupts a flush, and sends, leaves that to it
            self._flushing.add(process)
            try:
                return self._empty(self.outbox[process], self.open(process))
            except (OSError, SharedMemoryError):
                return False  # the lane still cannot be opened
            finally:
                self._flushing.discard(process)

    def _empty(self, box: deque[_Posted], writer: LaneWriter) -> bool:
        at = 0  # before it there are stops that have no room
        while at < len(box):
            dest, corr, kind, flags, payload = box[at]
            if writer.try_send(dest, corr, kind, flags, payload, None) < 0 and (
                kind == STOP or writer.try_urgent(dest, corr, kind, flags, payload) < 0
            ):
                if writer.want_room(len(payload)):
                    continue  # it came free this very moment: nobody would ring for it
                if kind != STOP:
                    break
                at += 1
                continue
            del box[at]
        return not box

    def recount(self, process: int) -> None:
        """Bring the `out` of every sink of a lane up to date."""
        self.open(process).recount()

    def want_room(self, process: int, length: int) -> bool:
        """Ask to be rung when blocks come free; True: there is room now."""
        return self.open(process).want_room(length)

    def announce(self, process: int) -> None:
        """Tell `process` to look at our lane again: it has room now, or may have missed something."""
        asleep = self._board.post_room(process, self._process)
        if asleep:
            self._ring(process, asleep)

    def unanswered(self, process: int) -> set[int]:
        """Return the correlation ids of what lies in the lane to `process`, or waits to go there."""
        with self._lock:
            writer = self._writers.get(process)
            waiting = {post[1] for post in self.outbox.get(process, ())}
        return waiting | writer.unanswered() if writer is not None else waiting

    @property
    def waiting(self) -> int:
        """How many posts wait for room."""
        return sum(map(len, self.outbox.values()))

    def lanes(self) -> dict[int, LaneWriter]:
        """Return the lanes in use, by receiver."""
        return dict(self._writers)

    def close(self) -> None:
        """Unmap all lanes; what was sent stays."""
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            for ringers in self._ringers.values():
                for ringer in ringers:
                    ringer.close()
            self._writers.clear()
            self.doors.clear()
            self._ringers.clear()
