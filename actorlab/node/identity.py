"""Identity: which process that is, for certain, and the small files in which processes say so.

Edge (processes, files); used by directory and sweep. A pid is reused; a pid with its start time, its boot and its owner
is not. Guarantees: a record is read whole or not at all; a signal goes to exactly that process or to nobody. Without
pidfds the last is true but for a moment: a process that ends, and whose number is given to another, between our look
at its start time and the signal, a few microseconds.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import time
from pathlib import Path
from typing import Any

from ..errors import StartError
from ..lean_dataclass import dataclass
from ..memory import has, owner_of, start_time_of

PROTOCOL_VERSION = 1
SENTRY_FILE = "sentry.json"
WORKER_MARK = "actorlab-worker"
"""The last word of a spawned process's command line, by which it is known from outside."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken for another: a pid alone is reused, a pid with its start time is not."""

    pid: int
    starttime: int
    boot_id: str
    uid: int
    slot: int = 0
    name: str = ""
    protocol: int = PROTOCOL_VERSION
    python: str = ""
    created: float = 0.0

    @classmethod
    def of_this_process(cls, *, slot: int = 0, name: str = "") -> Identity:
        """Return who this process is. `created` is wall-clock time, for people only."""
        pid = os.getpid()
        started = start_time_of(pid)
        if started is None:
            raise StartError("a node", "the system does not say when processes started: their pids alone are reused")
        version = platform.python_version()
        return cls(pid, started, boot_id(), os.geteuid(), slot, name, PROTOCOL_VERSION, version, time.time())

    def is_alive(self) -> bool:
        """Whether that very process still runs (a zombie does not). Never true for a reused pid."""
        if self.boot_id != boot_id() or self.uid != owner_of(self.pid):
            return False
        return start_time_of(self.pid) == self.starttime

    def send_signal(self, number: int) -> bool:
        """Signal exactly that process; return whether there was one. A process that only has its pid is left alone.

        Raises OSError if no descriptor is left to hold it by.
        """
        if not has("pidfd"):
            try:
                if not self.is_alive():
                    return False
                os.kill(self.pid, number)
            except ProcessLookupError:
                return False
            return True
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise
            return False
        try:
            # The identity is read after the pidfd was opened: from here on the pid cannot become another's unnoticed.
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)
        return True


def boot_id() -> str:
    """Return the kernel's random id of this boot, so that a pid of an earlier boot is recognised.

    "" without /proc, where start times are of a clock that goes on over boots.
    """
    if not has("proc"):
        return ""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def write_whole(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a reader sees all of it or nothing (mode 0600). A crash may leave `<name>.new`."""
    new = path.with_name(path.name + ".new")
    with open(
        os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(content, file)
    os.replace(new, path)


def read_identity(path: Path) -> Identity | None:
    """Return the identity recorded in `path`; None if there is none, or it is not one of ours."""
    try:
        fields = json.loads(path.read_bytes())
        who = Identity(**fields)
    except (OSError, ValueError, TypeError):
        return None
    numbers = (who.pid, who.starttime, who.uid)
    return who if all(type(n) is int for n in numbers) and who.pid > 0 else None


def node_identity(directory: Path) -> Identity | None:
    """Return who the controller of the node at `directory` is, or was; None if no node has its directory there."""
    return read_identity(directory / "node.json")


def sentry_of(directory: Path) -> tuple[int, int | None] | None:
    """Return the process that a node's sentry says it is, and its private memory in bytes; None if there is none."""
    try:
        said = json.loads((directory / SENTRY_FILE).read_bytes())
        return int(said["pid"]), said["private_bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
