"""Space: pages that are asked for before they are written to, and the refusal when there is no room for them.

An edge (files); used by whoever writes to shared memory. A page that was allocated cannot be missing later, so a full
tmpfs is a SharedMemoryFull at its writer, never a SIGBUS at somebody's store.

Where the system cannot put pages behind a part of a file (no posix_fallocate), its holes are filled with the zeros that
are read there. Killed among them, the file has some of the pages, and reads as before; whoever allocates the same part
again fills the rest.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from ..errors import SharedMemoryFull
from .capabilities import has

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)
"""What the system says when there is no room: on the file system, in a quota, in the limit of a file, in memory."""


_STEP = 1 << 18


def allocate(fd: int, offset: int, length: int) -> None:
    """Put pages behind `length` bytes at `offset` of a file that is open both ways.

    All of them, or none and an OSError (`FULL`). Where zeros are written instead, pages that were had before a refusal
    stay until the file goes.
    """
    if not has("fallocate"):
        fill_holes(fd, offset, length)
        return
    while True:
        try:
            os.posix_fallocate(fd, offset, length)
            return
        except InterruptedError:
            continue  # tmpfs gives up at a signal and undoes what it had done


def fill_holes(fd: int, offset: int, length: int) -> None:
    """Write what is read there where a part of a file has no pages; make the file longer if the part ends behind it.

    So a file system that calls a hole what it has not written out yet loses nothing. Nobody else may store into the
    part meanwhile: who allocates is its only writer. Raises OSError.
    """
    end = offset + length
    holes = [(start, min(stop, end)) for start, stop in _holes(fd, offset, end)]
    needed, room = sum(stop - start for start, stop in holes), os.fstatvfs(fd)
    if needed > room.f_bavail * room.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # before the first, so that all of it is refused
    for start, stop in holes:
        while start < stop:
            step = min(_STEP, stop - start)
            start += os.pwrite(fd, os.pread(fd, step, start).ljust(step, b"\0"), start)
    if os.fstat(fd).st_size < end:
        os.ftruncate(fd, end)


def _holes(fd: int, offset: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file between two offsets that have no pages, as the file system tells."""
    size = os.fstat(fd).st_size
    while offset < min(end, size):
        start = offset
        try:
            start = os.lseek(fd, offset, os.SEEK_HOLE)  # the end of the file is one, too
            if start >= end:
                return
            stop = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            # Nothing but a hole from here on; or a file system that does not tell, and all of it may be holes.
            start, stop = (start if error.errno == errno.ENXIO else offset), max(size, end)
        yield start, stop
        offset = stop
    if offset < end:
        yield max(offset, size), end


def no_room(what: str, needed_bytes: int, directory: str | os.PathLike[str]) -> SharedMemoryFull:
    """Return the error that says what did not fit, what is free, and where."""
    where = os.fspath(directory) or "."
    room = os.statvfs(where)
    return SharedMemoryFull(what, needed_bytes, room.f_bavail * room.f_frsize, where)
