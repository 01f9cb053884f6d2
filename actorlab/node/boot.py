"""The boot: what a new process reads first, and how it is spawned where it is not forked.

Edge (processes, pipes); used by launch and forkserver. The new process runs multiprocess's own start-up code, which
is told nothing of the user's main module, so it imports none. The pipe that the boot comes on stays open at our end:
it is the process's lifeline (see preload).
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from multiprocess import context, popen_forkserver, popen_spawn_posix, process, reduction, spawn, util

from ..memory import has
from .child import Child
from .identity import WORKER_MARK
from .preload import begin
from .worker_process import Method, Newborn


class Boot:
    """A worker's boot as bytes, and the descriptors that must reach the new process with it.

    Without pidfds `end` is a pipe whose other end, `mark`, the new process alone keeps open: see worker_process.
    Being pickled for another process, a Connection asks whoever makes the process to pass its descriptor on; here,
    that is us.
    """

    def __init__(self, method: Method, control: Any, target: str, modules: Sequence[str]) -> None:
        self.descriptors: list[int] = []
        self._method = method
        self.end = self.mark = -1
        if method == "spawn" and not has("pidfd"):
            self.end, self.mark = os.pipe()
            self.descriptors.append(self.mark)
        made_by = context.ForkServerProcess if method == "forkserver" else context.SpawnProcess
        args = (control, target, list(modules), self.mark)
        worker = made_by(target=begin, args=args, name="actorlab-worker", daemon=False)
        surroundings: dict[str, object] = {
            "name": worker.name,
            "authkey": process.current_process().authkey,
            "sys_path": absolute_sys_path(),
            "sys_argv": getattr(sys, "argv", []),
        }
        buffer = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(surroundings, buffer)
            reduction.dump(worker, buffer)
        finally:
            context.set_spawning_popen(None)
        self.content = buffer.getvalue()

    def duplicate_for_child(self, fd: int) -> int:
        """Note a descriptor to pass on; return what the new process finds it by."""
        self.descriptors.append(fd)
        return fd if self._method == "spawn" else len(self.descriptors) - 1

    def DupFd(self, number: int) -> Any:
        """Return what finds it there: under its own number if spawned, by its place in the list if forked."""
        return (popen_spawn_posix if self._method == "spawn" else popen_forkserver).Popen.DupFd(number)


def spawn_process(boot: Boot) -> Newborn:
    """Start a fresh interpreter that reads `boot`. OSError if there is no process to be had.

    It is given /dev/null where multiprocess passes on its resource tracker: no tracker is needed.
    """
    data, lifeline_fd = os.pipe()
    lifeline = io.FileIO(lifeline_fd, "wb")
    try:
        with open(os.devnull, "wb", buffering=0) as tracker, interrupts_blocked():
            command = [*spawn.get_command_line(tracker_fd=tracker.fileno(), pipe_handle=data), WORKER_MARK]
            passed = [*boot.descriptors, data, tracker.fileno()]
            pid: int = util.spawnv_passfds(spawn.get_executable(), command, passed)
        end = os.pidfd_open(pid) if boot.end < 0 else boot.end
    except BaseException:
        lifeline.close()
        if boot.end >= 0:
            os.close(boot.end)
        raise
    finally:
        os.close(data)
        if boot.mark >= 0:
            os.close(boot.mark)  # ours: from here on the new process alone has it
    try:
        write_all(lifeline, boot.content)
    except BrokenPipeError:
        pass  # it died at once, as is seen at its end
    return Newborn(pid, end, lifeline, -1, None if boot.end < 0 else Child(pid))


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Have a process started meanwhile begin with SIGINT blocked, until it ignores it; ours is only delayed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def absolute_sys_path() -> list[str]:
    """Return sys.path as another process can use it: "" means the folder we are in."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = "/"
    return [os.path.join(here, entry) for entry in sys.path]


def write_all(pipe: io.FileIO, content: bytes) -> None:
    """Write all of it; blocks while the pipe is full. BrokenPipeError if nobody reads any more."""
    left = memoryview(content)
    while left:
        left = left[pipe.write(left) or 0 :]
