"""Leases: a segment mapped by this process, and the kernel's word that somebody holds it.

Edge (files, memory). A lease is a shared `flock` upon the very descriptor that the mapping keeps: it begins with the
mapping and ends with its last view, or with the process, however that ends; nobody has to give it back. It is for the
books (what may be evicted, who holds what) and not for safety: a file's memory stays as long as anybody maps it.

Who in this process holds a segment is written down beside the pool for others to read, one line a holder, by one
write each: a process killed before it leaves a lease without a name, and what a dead process wrote is not believed.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import stat
import time
import weakref
from collections.abc import Callable

from ..errors import SegmentCorrupt, SegmentGone, SharedMemoryError
from .capabilities import has
from .segment import unlock

HOLDERS = "holders"
SEALED_MODE = 0o400

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_MEMORY = re.compile(r"/proc/\d+/fd/\d+")
_TRIES = 50
_ROWS = 20_000

Key = tuple[str, str, int, int]
"""A version: its pool, dataset, number and nonce."""

_maps: weakref.WeakValueDictionary[Key, mmap.mmap] = weakref.WeakValueDictionary()
_noted: dict[Key, tuple[int, set[int]]] = {}  # the inode mapped, or mapped last, and who was written down as a holder
_rows: dict[str, int] = {}  # lines written, by pool

_holder: list[tuple[Callable[[], int], Callable[[int], str]]] = []


def name_holders(who: Callable[[], int], name: Callable[[int], str]) -> None:
    """Say how this process tells its holders apart: `who()` runs now (0: nobody in particular), and `name(who)`."""
    _holder[:] = [(who, name)]


def open_sealed(path: str, what: str) -> int:
    """Open a sealed segment and return its descriptor. Raises SegmentGone, SegmentCorrupt, SharedMemoryError."""
    try:
        try:
            fd = os.open(path, _OPEN | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            fd = _open_memory(path)
    except FileNotFoundError:
        raise SegmentGone(what, path) from None
    except OSError as error:
        raise SharedMemoryError(f"{path} could not be opened: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise SegmentCorrupt(path, "is not a file of this user")
        if stat.S_IMODE(status.st_mode) & ~SEALED_MODE:
            raise SegmentCorrupt(path, f"is not sealed (mode {stat.S_IMODE(status.st_mode):04o}, not 0400)")
        return fd
    except BaseException:
        os.close(fd)
        raise


def _open_memory(path: str) -> int:
    """Open memory that has no file: a link to a descriptor of the process that keeps it."""
    target = os.readlink(path)
    if not has("memfd") or not _MEMORY.fullmatch(target):
        raise SegmentCorrupt(path, "is a symbolic link that no pool made")
    fd = os.open(target, _OPEN)
    try:
        # Whoever keeps it closes it after the link is gone: what was there behind our open, was there before it.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & seals == seals and os.readlink(path) == target:
            return fd
    except OSError:
        pass  # no sealable memory: the keeper is dead, and its number another's
    os.close(fd)
    raise FileNotFoundError(path)


def map_sealed(key: Key, path: str, size_bytes: int, what: str) -> mmap.mmap | None:
    """Return the segment's mapping, read-only; None if the file has another size than was sealed.

    One for this process, as long as anybody here uses it. The first one takes the lease. Never waits: somebody who is
    about to free this very segment makes it go without one, which only the books notice.
    """
    mapping = _maps.get(key)
    if mapping is not None:
        note_holder(key)
        return mapping
    for _ in range(_TRIES):
        fd = open_sealed(path, what)
        try:
            take_lease(fd)
            status = os.fstat(fd)
            if status.st_size != size_bytes:
                return None
            if status.st_nlink == 0 and not os.path.islink(path):
                continue  # freed, or its version turned over to another file, between our open and our lease
            # crash: lease.take
            os.utime(fd, ns=(time.time_ns(), status.st_mtime_ns))  # when it was last taken, for the eviction
            # crash: lease.taken
            mapping = _maps[key] = mmap.mmap(fd, size_bytes, access=mmap.ACCESS_READ)
            break
        except (OSError, ValueError) as error:
            raise SharedMemoryError(f"{path} could not be mapped: {error}") from error
        finally:
            os.close(fd)  # the mapping has a duplicate, which keeps the lease
    else:
        raise SegmentGone(what, path)
    if len(_noted) > 2 * len(_maps) + 64:
        for other in [other for other in list(_noted) if other not in _maps]:  # threads may do this at once
            _noted.pop(other, None)
    _noted[key] = (status.st_ino, set())
    note_holder(key)
    return mapping


def take_lease(fd: int) -> None:
    """Hold an open segment; without a lease if it is being looked at all the time who holds it. Never waits."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            os.sched_yield()


def note_holder(key: Key) -> None:
    """Write down for others who runs now and holds `key`, which is mapped, unless it has been. About 0.5 µs then."""
    known = _noted.get(key)
    if known is None:  # a fork of this process, or lines begun anew
        return
    inode, holders = known
    who = _holder[0][0]() if _holder else 0
    if who in holders:
        return
    pool, dataset, version, _ = key
    name = _holder[0][1](who) if who else ""
    line = f"{inode}\t{dataset}\t{version}\t{int(not holders)}\t{name}\n".encode()
    holders.add(who)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    rows = _rows[pool] = _rows.get(pool, 0) + 1
    if rows > _ROWS:  # lines of what was let go long ago: begin anew, and have everybody noted again
        flags |= os.O_TRUNC
        _rows[pool] = 0
        for _, others in list(_noted.values()):
            others.clear()
    try:
        fd = os.open(os.path.join(pool, HOLDERS, str(os.getpid())), flags, 0o600)
    except OSError:
        return  # a pool that is gone has no books either
    try:
        # Killed before it: a lease without a name, which ends with us; behind it: a line of a dead process.
        # crash: lease.note
        os.write(fd, line)
        # crash: lease.noted
    except OSError:
        pass
    finally:
        os.close(fd)


def is_held(path: str) -> bool:
    """Whether any process holds a lease upon the segment at `path`; of one that is gone, nobody is known to."""
    try:
        fd = os.open(path, _OPEN)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        unlock(fd)
