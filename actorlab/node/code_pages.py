"""Code pages: what a process maps of libraries' files and has never changed, given back when it is done loading.

An edge (this process's memory map); used by the forkserver. Loading numpy and pyarrow touches 24 MB of their files, and
nothing of it again before a worker is forked, which maps what it needs by itself. The pages stay in the page cache as
long as the machine has room, and come back by a soft fault.
"""

from __future__ import annotations

import ctypes
import re

MADV_DONTNEED = 4

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +/.*")
_CHANGED = ("Anonymous:", "Private_Dirty:", "Shared_Dirty:", "Swap:")


def give_back_code() -> int:
    """Unmap the unchanged pages of read-only file mappings; return how many bytes were mapped of them.

    Only where the kernel says that nothing was changed (relocated data is, and could not be read from the file again).
    No other thread may be loading libraries meanwhile.
    """
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    freed = 0
    for start, end, rss_bytes in _unchanged():
        if madvise(start, end - start, MADV_DONTNEED) == 0:
            freed += rss_bytes
    return freed


def _unchanged() -> list[tuple[int, int, int]]:
    """Return (start, end, resident bytes) of each private, read-only mapping of a file with no page of our own."""
    found: list[tuple[int, int, int]] = []
    kept = True
    with open("/proc/self/smaps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            match = _MAPPING.match(line)
            if match:
                found.append((int(match[1], 16), int(match[2], 16), 0))
                kept = True
            elif line[0] in "0123456789abcdef":
                kept = False  # the head of another mapping
            elif kept and line.startswith("Rss:"):
                found[-1] = (*found[-1][:2], int(line.split()[1]) * 1024)
            elif kept and line.startswith(_CHANGED) and line.split()[1] != "0":
                found.pop()
                kept = False
    return found
