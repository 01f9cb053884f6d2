"""Identity: which process that is, for certain, and the small files in which processes say so.

Edge (/proc, files); used by directory and sweep. A pid is reused; a pid with its start time, its boot and its owner is
not. Guarantees: a record is read whole or not at all.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StartError

PROTOCOL_VERSION = 1


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
            raise StartError("a node", "/proc is not mounted: processes cannot be told apart by pid alone")
        version = platform.python_version()
        return cls(pid, started, boot_id(), os.geteuid(), slot, name, PROTOCOL_VERSION, version, time.time())

    def is_alive(self) -> bool:
        """Whether that very process still runs (a zombie does not). Never true for a reused pid."""
        if self.boot_id != boot_id() or self.uid != _owner_of(self.pid):
            return False
        return start_time_of(self.pid) == self.starttime


def boot_id() -> str:
    """Return the kernel's random id of this boot, so that a pid of an earlier boot is recognised."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time_of(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot; None if there is no such process or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the command may hold spaces and brackets
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _owner_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


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
