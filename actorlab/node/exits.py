"""How workers end: noticed through descriptors, and said in words.

Edge (processes); used by the controller's loop, which polls the descriptors that `ExitWatch` names. A pidfd fires
within 1 ms of the end, names exactly one process whatever becomes of its pid, and does not depend on who its parent is.
Where there are none, workers are our own children, and what is polled are pipes that hang up when they end.

Guarantees: an end is reported once, when it is certain, whether or not its reason is known. The reason comes from
the worker's parent, the forkserver; if that was killed too, from the kernel where it still tells, else it is "unknown".
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
from collections.abc import Callable
from pathlib import Path

from ..lean_dataclass import dataclass
from ..memory import has, is_frozen, stat_fields
from .worker_process import WorkerProcess

# struct pidfd_info of linux/pidfd.h, first published size: mask, cgroup, eleven ids, the wait status.
_PIDFD_INFO = struct.Struct("=QQ11Ii")
_PIDFD_GET_INFO = 3 << 30 | _PIDFD_INFO.size << 16 | 0xFF << 8 | 11
_PIDFD_INFO_EXIT = 1 << 3


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended. `code` is its exit code, `signal` the signal that ended it; both None: nobody knows.

    `text` is for people and for exit reasons: `SIGKILL`, `SIGSEGV`, `exit 3`, `oom_killed`, `unknown`.
    """

    slot: int
    pid: int
    code: int | None
    signal: int | None
    text: str


class ExitWatch:
    """The worker processes whose end its owner waits for. Not thread-safe: one loop owns it.

    `count_oom_kills` reads how many processes the kernel killed in our memory cgroup so far, for want of memory.
    """

    def __init__(self, count_oom_kills: Callable[[], int | None] | None = None) -> None:
        self._workers: dict[int, WorkerProcess] = {}
        self._count_oom_kills = count_oom_kills or read_oom_kills
        self._oom_kills = self._count_oom_kills()

    def add(self, worker: WorkerProcess) -> None:
        """Watch a worker; one that has ended already is reported by the next poll."""
        self._workers[worker.end] = worker

    def discard(self, worker: WorkerProcess) -> None:
        """Watch a worker no longer. Do so before closing it: its descriptor's number may come back as another's."""
        self._workers.pop(worker.end, None)

    def poll_fds(self) -> tuple[int, ...]:
        """Return the descriptors to poll for reading; one that is readable belongs to a worker that has ended."""
        return tuple(self._workers)

    def wait_ended(self, timeout_s: float = 0.0) -> list[int]:
        """Return the descriptors of workers that have ended, after waiting for one; for owners without a poller."""
        poll = select.poll()
        for end in self._workers:
            poll.register(end, select.POLLIN)
        return [end for end, _ in poll.poll(timeout_s * 1000)]

    def reap(self, end: int) -> ExitStatus:
        """Return how the worker whose end was seen there ended, and watch it no longer. It is still to be closed.

        Usually takes 0.1 ms, the time its parent needs; at most 0.1 s.
        """
        worker = self._workers.pop(end)
        code = worker.read_exit_code()
        if code is None and has("pidfd"):
            code = ask_kernel_for_exit_code(end, worker.pid)
        oom_kills_before, self._oom_kills = self._oom_kills, self._count_oom_kills()
        text = describe_exit(code)
        if code == -signal.SIGKILL and oom_kills_before is not None and (self._oom_kills or 0) > oom_kills_before:
            text = "oom_killed"
        if code is None:
            return ExitStatus(worker.slot, worker.pid, None, None, text)
        if code < 0:
            return ExitStatus(worker.slot, worker.pid, None, -code, text)
        return ExitStatus(worker.slot, worker.pid, code, None, text)


def describe_exit(code: int | None) -> str:
    """Return an exit code in words; negative ones are signals.

    >>> describe_exit(-9), describe_exit(3), describe_exit(-64), describe_exit(None)
    ('SIGKILL', 'exit 3', 'SIGRTMAX', 'unknown')
    """
    if code is None:
        return "unknown"
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def ask_kernel_for_exit_code(pidfd: int, pid: int) -> int | None:
    """Return the exit code of an ended process that we are not the parent of, or None.

    Until its parent waits for it /proc tells, from then on the pidfd does (Linux 6.15).
    """
    state = stat_fields(pid)
    if state[:1] == [b"Z"]:
        return os.waitstatus_to_exitcode(int(state[49]))
    question = _PIDFD_INFO.pack(_PIDFD_INFO_EXIT, *[0] * 13)
    try:
        answer = _PIDFD_INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, question))
    except OSError:
        return None
    return os.waitstatus_to_exitcode(answer[-1]) if answer[0] & _PIDFD_INFO_EXIT else None


def is_stopped(worker: WorkerProcess) -> bool:
    """Whether the process is frozen by SIGSTOP (or a debugger): it lives, but nothing will come from it."""
    return is_frozen(worker.pid) and not worker.has_ended()


def read_oom_kills(cgroups: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> int | None:
    """Return how many processes of our memory cgroup the kernel killed for want of memory; None if it does not say."""
    if not has("proc"):
        return None
    for file in _oom_counters(cgroups, Path(root)):
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition(" ")
            if key == "oom_kill":  # "oom" also counts allocations that merely failed
                return int(value)
    return None


def _oom_counters(cgroups: str, root: Path) -> list[Path]:
    files = []
    try:
        with open(cgroups, encoding="utf-8") as memberships:
            for line in memberships:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if not controllers:
                    files += [root / path[1:] / "memory.events", root / "memory.events"]
                elif "memory" in controllers.split(","):
                    files += [root / "memory" / path[1:] / "memory.oom_control", root / "memory" / "memory.oom_control"]
    except OSError:
        pass
    return files
