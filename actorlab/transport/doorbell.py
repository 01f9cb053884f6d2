"""Doorbells: how one process wakes another that sleeps in poll().

An edge (files). A named pipe a process slot in the node's directory. It survives its receiver, so a sender's open
descriptor serves the slot's next process too, and no descriptor is ever passed. A bound datagram socket is 2 to
7 µs faster in a round trip of 40 (tools/bench/bench_lane.py) and no faster one way, but each successor would have to
bind it anew, and a process forked by the dead receiver would keep the old one open and swallow the rings.

A ring that nobody listens to is lost: a new receiver looks at everything once before it first sleeps. Nothing here
blocks: a full pipe means that the bell rings already.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import Self

from ..errors import SegmentCorrupt

_RING = b"\1"


def create_doorbell(path: str | os.PathLike[str]) -> None:
    """Make the named pipe, mode 0600. Raises FileExistsError."""
    os.mkfifo(path, 0o600)


class Doorbell:
    """The receiver's end: wait for `fileno()` to become readable, then `clear()`."""

    __slots__ = ("_fd",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # both ways, or poll() would report a hang-up for ever whenever the last sender has gone
        self._fd = _open(path, os.O_RDWR)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._fd

    def clear(self) -> bool:
        """Take all rings; return whether there were any. Then say `awake`, then look for news."""
        try:
            # one read takes all there are but for a flood, and then the descriptor stays readable
            return bool(os.read(self._fd, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the descriptor; the pipe stays. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Ringer:
    """A sender's end of somebody's doorbell. Any thread may ring."""

    __slots__ = ("_closed", "_fd", "_lock", "_path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path, self._fd, self._closed = path, -1, False
        # else two threads' first rings open it twice, or one rings at a number that another has just given back;
        # reentrant: a signal handler may ring while this thread does
        self._lock = threading.RLock()

    def ring(self) -> bool:
        """Wake the receiver: about 1 µs, and never waits. False: no process has that bell open now."""
        with self._lock:
            if self._closed:
                return False
            try:
                if self._fd < 0:
                    self._fd = _open(self._path, os.O_WRONLY)
                # Killed here: news is up and nobody rings; its bounded sleep, or our reaper's post, finds it.
                # crash: bell.ring
                os.write(self._fd, _RING)
                # crash: bell.rung
            except BlockingIOError:
                pass  # full of rings that nobody took yet
            except OSError:  # nobody listens (ENXIO, EPIPE), or the directory has gone
                return False
            return True

    def close(self) -> None:
        """Close the descriptor: nobody rings any more. Idempotent."""
        with self._lock:
            self._closed = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _open(path: str | os.PathLike[str], how: int) -> int:
    fd = os.open(path, how | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    status = os.fstat(fd)
    if not stat.S_ISFIFO(status.st_mode) or status.st_uid != os.geteuid():
        os.close(fd)
        raise SegmentCorrupt(os.fspath(path), "is not a named pipe of our own")
    return fd
