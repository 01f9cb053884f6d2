"""Child: a process of our own by its number, where the system has no descriptor that is a process.

Edge (processes); used for spawned workers without pidfds. A child's number is its own until it was waited for. So who
signals it and who waits for it take turns, and after the wait nobody signals: a signal reaches exactly this process, or
nobody. Not so if the user's program waits for whatever child ends (`os.wait()`): then what it took is unknown here, and
between its wait and our next look the number may be another's.
"""

from __future__ import annotations

import os
import signal
import threading
import time

_LOOK_S = 0.0005
_LAST_WAIT_S = 5.0


class Child:
    """One child process. Any thread may ask."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._turn = threading.Lock()
        self._ended = False
        self._code: int | None = None

    def has_ended(self) -> bool:
        """Whether it is dead. A system call; never waits."""
        with self._turn:
            return self._look()

    def send_signal(self, number: int) -> bool:
        """Send a signal to exactly this process; return whether it still lived."""
        with self._turn:
            if self._look():
                return False
            os.kill(self.pid, number)
            return True

    def wait_for_code(self, patience_s: float) -> int | None:
        """Return its exit code (negative: the signal) once it is dead; kill it if that takes longer. None: unknown.

        It is killed because it was taken for dead: one that closed what its end is seen by must not live on.
        """
        end = time.monotonic() + patience_s
        while not self.has_ended():
            if time.monotonic() > end:
                if not self.send_signal(signal.SIGKILL):
                    break
                end += _LAST_WAIT_S
                while not self.has_ended() and time.monotonic() < end:
                    time.sleep(_LOOK_S)
                break
            time.sleep(_LOOK_S)
        return self._code

    def _look(self) -> bool:
        if not self._ended:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # the user's program has waited for it
                self._ended = True
            else:
                if pid:
                    self._ended, self._code = True, os.waitstatus_to_exitcode(status)
        return self._ended
