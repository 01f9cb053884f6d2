"""Stream lock: one writer at a time, by the kernel's word.

An edge (files). The lock is a `flock` upon the stream's own directory: it ends with the process that has it, however
that ends, and leaves nothing behind. A reader needs none.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..errors import StreamBusy
from .capabilities import has


def lock_stream(folder: str, what: str) -> int:
    """Return a descriptor of the stream's directory, made if need be, with the lock upon it.

    Raises StreamBusy, and FileNotFoundError when the pool was removed.
    """
    while True:
        for each in (os.path.dirname(folder), folder):  # and no more: the pool is not ours to make
            try:
                os.mkdir(each, 0o700)
            except FileExistsError:
                pass
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            status = os.fstat(fd)
            os.close(fd)
            raise StreamBusy(what, _holder(status.st_ino)) from None
        if os.fstat(fd).st_nlink:  # else it was removed before we had it
            return fd
        os.close(fd)


def _holder(inode: int) -> int | None:
    if not has("proc"):
        return None
    try:
        lines = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[3] == "WRITE" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None
