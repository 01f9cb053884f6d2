"""Process stat: what the system says of a process: whether it runs, when it started, whose it is, what memory it has.

An edge (/proc; where there is none, psutil, imported then); used by whoever must know whether a pid is still the
process it was, and whether that one runs.
"""

from __future__ import annotations

import os
from typing import Any

from .capabilities import has

_PAGE = os.sysconf("SC_PAGE_SIZE")
_START_UNITS = 1000


def stat_fields(pid: int) -> list[bytes]:
    """Return /proc/<pid>/stat from the state (field 3) on; nothing if there is no such process, or no /proc."""
    if not has("proc"):
        return []
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()  # the command before it may hold spaces and brackets
    except (FileNotFoundError, ProcessLookupError):
        return []


def start_time_of(pid: int) -> int | None:
    """Return when `pid` started, None if there is no such process or it is a zombie.

    In clock ticks since boot; without /proc in milliseconds, of what clock is the system's business. Only ever to be
    compared with another of the same process, for which it never changes.
    """
    if not has("proc"):
        psutil = _psutil()
        try:
            process = psutil.Process(pid)
            return None if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else _created(process)
        except psutil.Error:
            return None
    fields = stat_fields(pid)
    return None if not fields or fields[0] in (b"Z", b"X") else int(fields[19])


def is_frozen(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP, or a debugger); False where that cannot be told."""
    if not has("proc"):
        psutil = _psutil()
        try:
            return bool(psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP))
        except psutil.Error:
            return False
    try:
        return stat_fields(pid)[:1] in ([b"T"], [b"t"])
    except OSError:
        return False


def process_exists(pid: int) -> bool:
    """Whether some process has this pid, a zombie too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def owner_of(pid: int) -> int | None:
    """Return the user id that a process acts for; None if there is no such process."""
    if not has("proc"):
        psutil = _psutil()
        try:
            return int(psutil.Process(pid).uids().effective)
        except psutil.Error:
            return None
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def own_private_bytes() -> int | None:
    """Return what memory is this process's alone; None where the system does not say. 15 µs; without /proc a few ms.

    That is its anonymous memory: resident, less what files and shared memory have of it. Without /proc its unique set
    size (USS), which some systems refuse to tell even of oneself. Raises OSError if no descriptor is left to look with.
    """
    if not has("proc"):
        psutil = _psutil()
        try:
            size = getattr(psutil.Process().memory_full_info(), "uss", None)
        except (psutil.Error, PermissionError):  # macOS tells it to an interpreter that may inspect itself
            return None
        return None if size is None else int(size)
    with open("/proc/self/statm", "rb") as file:
        _size, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * _PAGE


def _created(process: Any) -> int:
    """psutil adds the time of the boot on Linux, which moves with the clock: there it can be asked not to."""
    try:
        seconds = float(getattr(process, "_proc").create_time(monotonic=True))  # noqa: B009
    except (AttributeError, TypeError):
        seconds = float(process.create_time())
    return round(seconds * _START_UNITS)


def _psutil() -> Any:
    import psutil  # 1 MB that a process with /proc can do without

    return psutil
