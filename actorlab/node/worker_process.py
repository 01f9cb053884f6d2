"""A worker's operating-system process, as its controller holds it.

Edge (processes, pipes); made by `launch`, watched by `exits`. Guarantees: a signal reaches exactly this process or
nobody, whatever becomes of its pid; its exit code is asked for once, by whoever asks first. Any thread may ask and
send signals while another closes it: it has then ended.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import socket
import threading
from typing import Any, Literal, NamedTuple

import multiprocess
from multiprocess import forkserver

from ..errors import WorkerStartError
from .child import Child

Method = Literal["forkserver", "spawn"]

READY_TIMEOUT_S = 30.0
LARGE_ASSIGNMENT_BYTES = 65_536
"""More than this a control pipe does not take before anybody reads."""
_LAST_WAIT_S = 5.0
_STATUS_PATIENCE_S = 0.1


class Newborn(NamedTuple):
    """A process just made: what its `end` is seen by, its `lifeline`, whose closing kills it, and the pipe its exit
    code comes on (-1: none). `end` is its pidfd; or, of a `child` without one, a pipe that it alone can write to."""

    pid: int
    end: int
    lifeline: io.FileIO
    status: int
    child: Child | None = None


class WorkerProcess:
    """One process: its pid, what its end is seen by, and the pipe to it.

    The descriptor `end` becomes readable when it has ended; `control` is a duplex multiprocess Connection whose other
    end the target was given; `origin` says how it came: "spare", "forkserver" or "spawn".
    """

    def __init__(self, newborn: Newborn, control: Any, method: Method) -> None:
        self.slot = 0
        self.pid = newborn.pid
        self.end = newborn.end
        self.origin: Literal["spare", "forkserver", "spawn"] = method
        self.control = control
        self.ready = False
        self._holding = threading.Lock()  # else a number that was closed meanwhile could be another process's by now
        self._owner = os.getpid()
        self._asked = False
        self._code: int | None = None
        self._method = method
        self._lifeline = newborn.lifeline
        self._status = newborn.status
        self._child = newborn.child

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.slot} pid {self.pid} ({self.origin})>"

    def has_ended(self) -> bool:
        """Whether the process is dead. A system call; never waits."""
        with self._holding:
            if self.end < 0 or is_readable(self.end):
                return True
        return self.has_ended_unseen()

    def has_ended_unseen(self) -> bool:
        """Whether it is dead, and a process that it forked behind Python's back keeps its end from being seen."""
        return self._child is not None and self.end >= 0 and self._child.has_ended()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the process has imported everything and takes its assignment; at once for a spare.

        Raises WorkerStartError that names what could not be imported, how the process died, or the time that passed;
        the process is then killed or dead, and still to be closed.
        """
        if self.ready:
            return
        what = f"worker {self.slot}" if self.slot else "the spare worker"
        if not self.control.poll(timeout_s):
            self.kill()
            raise WorkerStartError(what, f"pid {self.pid} was not ready within {timeout_s:g} s; it was killed")
        try:
            said = json.loads(self.control.recv_bytes())
        except (EOFError, OSError):
            self.kill()
            raise WorkerStartError(what, f"pid {self.pid} ended before it was ready; see its stderr")
        if said["failures"]:
            self.kill()
            why = "; ".join(f"{module}: {text}" for module, text in said["failures"])
            raise WorkerStartError(what, f"import failed ({why}); make it importable there or take it off the preload")
        self.ready = True

    def assign(self, slot: int, assignment: bytes) -> None:
        """Tell the process who it is; it need not be ready yet. OSError if it is dead."""
        self.slot = slot
        self.control.send_bytes(assignment)

    def send_signal(self, number: int) -> bool:
        """Send a signal to exactly this process; return whether it still lived."""
        with self._holding:
            if self.end < 0:
                return False
            if self._child is not None:
                return self._child.send_signal(number)
            try:
                signal.pidfd_send_signal(self.end, number)
            except ProcessLookupError:
                return False
            return True

    def kill(self) -> bool:
        """SIGKILL it; return whether it still lived. Its end is seen at `end`."""
        return self.send_signal(signal.SIGKILL)

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait until the process is dead; return whether it is."""
        if self.has_ended():
            return True
        with self._holding:
            if self.end < 0:
                return True
            mine = os.dup(self.end)
        try:
            return is_readable(mine, timeout_s)
        finally:
            os.close(mine)

    def read_exit_code(self) -> int | None:
        """Return the exit code (negative: the signal) of a process whose end was seen; None if nobody knows it.

        The parent of a forked worker is the forkserver, which sends the code a moment after the pidfd fires
        (waits up to 0.1 s); if the forkserver was killed, the code is lost with it. A child whose end was seen at a
        pipe is dead a moment later; one that is not within 0.1 s has closed the pipe, and is killed.
        """
        if not self._asked:
            self._asked = True  # once: after a wait, the pid may be another's
            self._code = self._wait_for_code() if self._method == "spawn" else self._receive_code()
        return self._code

    def _wait_for_code(self) -> int | None:
        if self._child is not None:
            return self._child.wait_for_code(_STATUS_PATIENCE_S)
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # the user's program waits for any child
            return None
        return os.waitstatus_to_exitcode(status) if pid else None

    def _receive_code(self) -> int | None:
        if not is_readable(self._status, _STATUS_PATIENCE_S):
            return None
        try:
            return int(forkserver.read_signed(self._status))
        except (EOFError, OSError):
            return None

    def close(self) -> None:
        """Let go of the process: if it still lives, the end of its lifeline kills it. Idempotent.

        A spawned process is our own child and is waited for (a few ms if it still lived), or it stayed a zombie.
        """
        if os.getpid() != self._owner:
            self._holding = threading.Lock()  # a thread that we have not may have held it when we were forked
        self._lifeline.close()
        self.control.close()
        if self._method == "spawn" and self.end >= 0 and os.getpid() == self._owner:
            if self._child is None or not self._child.has_ended():
                is_readable(self.end, _LAST_WAIT_S)
            self.read_exit_code()
        with self._holding:
            for fd in (self.end, self._status):
                if fd >= 0:
                    os.close(fd)
            self.end = self._status = -1


def control_pipe() -> tuple[Any, Any]:
    """Return both ends of a worker's control; ours takes LARGE_ASSIGNMENT_BYTES at once (8 KiB on macOS, unasked)."""
    ours, theirs = multiprocess.Pipe()
    for one in (ours, theirs):
        with socket.socket(fileno=os.dup(one.fileno())) as end:
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                if end.getsockopt(socket.SOL_SOCKET, option) < 2 * LARGE_ASSIGNMENT_BYTES:
                    end.setsockopt(socket.SOL_SOCKET, option, 2 * LARGE_ASSIGNMENT_BYTES)
    return ours, theirs


def is_readable(fd: int, timeout_s: float = 0.0) -> bool:
    """Whether `fd` can be read, or has hung up, within `timeout_s`."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
