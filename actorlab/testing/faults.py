"""Faults: what goes wrong in production, on order.

Edge (signals, limits, processes). Workers are struck as the kernel of the machine would strike them, by their pid.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..actor import Actor
from ..memory import has, is_frozen, process_exists
from ..node import Node
from .patience import poll


def worker_pid(node: Node, number: int) -> int:
    """Return the process of worker `number` (from 1), waiting for it if it is just being replaced."""
    pid = 0

    def found() -> bool:
        nonlocal pid
        pid = next(worker.pid for worker in node.workers if worker.number == number)
        return pid != 0

    assert poll(found), f"worker {number} has no process"
    return pid


def kill_worker(node: Node, number: int, how: int = signal.SIGKILL, *, wait: bool = True) -> int:
    """Kill a worker process; return its pid. `wait`: until its replacement answers."""
    pid = worker_pid(node, number)
    with suppress(ProcessLookupError):
        os.kill(pid, how)
    if wait:

        def replaced() -> bool:
            new = next(worker.pid for worker in node.workers if worker.number == number)
            try:
                return new not in (0, pid) and node.runtime.control(number, "ping").get(timeout=5) == new
            except Exception:
                return False

        assert poll(replaced, 30.0), f"worker {number} was not replaced"
    return pid


@contextmanager
def frozen(node: Node, number: int) -> Iterator[int]:
    """Stop a worker process (SIGSTOP), wait until it stands, and let it go on at the end; yields its pid."""
    pid = worker_pid(node, number)
    os.kill(pid, signal.SIGSTOP)
    try:
        poll(lambda: is_frozen(pid) or not process_exists(pid))
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def full_shared_memory() -> Iterator[None]:
    """Have this process find no room in shared memory: `SharedMemoryFull`, as on a tmpfs that is full."""
    asked = "posix_fallocate" if has("fallocate") else "fstatvfs"
    real = getattr(os, asked)

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    setattr(os, asked, refuse)
    try:
        yield
    finally:
        setattr(os, asked, real)


@contextmanager
def few_descriptors(spare: int = 0) -> Iterator[None]:
    """Leave this process `spare` descriptors more than it has open: then EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    holes: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
        while True:  # the numbers in between that are free
            try:
                holes.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                break
        for descriptor in holes[len(holes) - spare :]:
            os.close(descriptor)
        del holes[len(holes) - spare :]
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in holes:
            os.close(descriptor)


class Saboteur(Actor):
    """An actor that does harm from inside: start one in the worker that is to suffer."""

    def vanish(self, code: int = 0) -> None:
        """End the process at once (`os._exit`)."""
        os._exit(code)

    def leave(self, code: int = 0) -> None:
        """Raise SystemExit in a handler."""
        raise SystemExit(code)

    def segfault(self) -> None:
        """Read address 0."""
        ctypes.string_at(0)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the process a signal from within."""
        os.kill(os.getpid(), number)

    def hold(self, seconds: float) -> None:
        """Hold the worker's thread, giving the interpreter back meanwhile."""
        time.sleep(seconds)

    def hold_interpreter(self, turns: int = 10) -> None:
        """Compute in C without giving the interpreter back: about a second a turn."""
        for _ in range(turns):
            sum(range(100_000_000))

    def fail(self, error: BaseException) -> None:
        """Raise an exception in a handler."""
        raise error

    def eat(self, size_bytes: int) -> int:
        """Touch so much memory, and keep it."""
        self._eaten: Any = bytearray(size_bytes)
        for at in range(0, size_bytes, 4096):
            self._eaten[at] = 1
        return size_bytes

    def fork(self) -> int:
        """Fork in a handler; the child tries to use what it inherited, and returns how that went as its exit code."""
        pid = os.fork()
        if pid == 0:
            code = 0
            try:
                self.ref.tell("from a fork")
                code = 1
            except Exception:
                pass
            os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
