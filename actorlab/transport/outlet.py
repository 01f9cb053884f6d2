"""Outlet: the sending half of a process: its lanes to all others, their doorbells, and what could not go at once.

An edge (memory, files); used by the node's runtime in every process. Messages go by `try_send`, which never waits and
says no when there is no room. Replies, signals and control go by `post`, which never waits and never says no: what has
no room goes to an outbox, and while a process has something in its outbox no message overtakes it (P2, P7).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path

from .board import AWAKE, Board
from .doorbell import Ringer
from .lane import create_lane
from .lane_writer import LaneWriter, Sink

_Posted = tuple[int, int, int, int, bytes]


def lane_path(directory: Path, sender: int, receiver: int) -> Path:
    """Return the file of the lane from one process slot to another."""
    return directory / f"lane.{sender}.{receiver}"


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
        self._ringers: dict[int, Ringer] = {}
        self._outbox: dict[int, deque[_Posted]] = {}
        self._lock = threading.Lock()

    def open(self, process: int) -> LaneWriter:
        """Return the lane to `process`, making or repairing its file the first time."""
        with self._lock:
            writer = self._writers.get(process)
            if writer is None:
                path = lane_path(self._directory, self._process, process)
                if not os.path.exists(path):
                    create_lane(path, self._blocks)
                self._ringers[process] = Ringer(bell_path(self._directory, process))
                writer = self._writers[process] = LaneWriter(path)
        return writer

    def try_send(
        self, process: int, dest: int, corr: int, kind: int, flags: int, payload: bytes, sink: Sink | None = None
    ) -> bool:
        """Publish a message and wake its receiver if need be; False: no room. Accepted means published (P3)."""
        writer = self._writers.get(process) or self.open(process)
        if self._outbox and self._outbox.get(process) and not self._flush(process):
            return False
        if writer.try_send(dest, corr, kind, flags, payload, sink) < 0:
            return False
        if self._board.post(process, self._process) != AWAKE:
            self._ringers[process].ring()
        return True

    def post(self, process: int, dest: int, corr: int, kind: int, flags: int, payload: bytes) -> None:
        """Send without fail: what has no room waits in the outbox, in order."""
        box = self._outbox.get(process)
        if not box and self.try_send(process, dest, corr, kind, flags, payload):
            return
        with self._lock:
            self._outbox.setdefault(process, deque()).append((dest, corr, kind, flags, payload))
        (self._writers.get(process) or self.open(process)).want_room()

    def flush(self) -> None:
        """Send what waits in the outboxes, as far as there is room."""
        if self._outbox:
            for process in tuple(self._outbox):
                if self._outbox[process]:
                    self._flush(process)

    def _flush(self, process: int) -> bool:
        writer = self._writers[process]
        box = self._outbox[process]
        sent = False
        with self._lock:
            while box:
                dest, corr, kind, flags, payload = box[0]
                if writer.try_send(dest, corr, kind, flags, payload, None) < 0:
                    break
                box.popleft()
                sent = True
        if sent and self._board.post(process, self._process) != AWAKE:
            self._ringers[process].ring()
        if box:
            writer.want_room()
        return not box

    def recount(self, process: int) -> None:
        """Bring the `out` of every sink of a lane up to date."""
        self.open(process).recount()

    def want_room(self, process: int, length: int) -> bool:
        """Ask to be rung when blocks come free; True: there is room now."""
        return self.open(process).want_room(length)

    def announce(self, process: int) -> None:
        """Tell `process` to look at our lane again: it has room now, or may have missed something."""
        if process not in self._ringers:
            self.open(process)
        if self._board.post(process, self._process) != AWAKE:
            self._ringers[process].ring()

    @property
    def waiting(self) -> int:
        """How many posts wait for room."""
        return sum(map(len, self._outbox.values()))

    def lanes(self) -> dict[int, LaneWriter]:
        """Return the lanes in use, by receiver."""
        return dict(self._writers)

    def close(self) -> None:
        """Unmap all lanes; what was sent stays."""
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            for ringer in self._ringers.values():
                ringer.close()
            self._writers.clear()
            self._ringers.clear()
