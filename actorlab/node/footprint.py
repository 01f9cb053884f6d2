"""Footprint: how much memory is a process's own, read cheaply.

Edge (/proc, vitals pages); used by the controller's patrol. Where there is no /proc a process is told only by itself,
and what a worker said last is on its page. Else, cheap first: the kernel's counter of anonymous pages is one small file
(20 µs) and an upper bound, for pages shared with the forkserver are in it. Only when that is above what is asked about
are the pages gone through (1 ms for 100 MB) for the process's proportional share.
"""

from __future__ import annotations

from pathlib import Path

from ..transport import view_vitals


def said_bytes(page: Path) -> int | None:
    """Return how much memory a process said last is its alone, None if it has not, or its page is gone."""
    try:
        return view_vitals(page.read_bytes()).private_bytes or None
    except (OSError, ValueError):
        return None


def anonymous_bytes(pid: int, enough: int = 0) -> int | None:
    """Return a process's share of anonymous memory and swap in bytes, None if it cannot be read (it has ended).

    Exact only from `enough` on: what is surely below may be given as its upper bound.
    """
    status = _fields(f"/proc/{pid}/status")
    anonymous = status.get("RssAnon")
    if anonymous is None:
        return None
    bound = anonymous + status.get("VmSwap", 0)
    if bound < enough:
        return bound
    rollup = _fields(f"/proc/{pid}/smaps_rollup")
    share = rollup.get("Pss_Anon")
    return bound if share is None else share + rollup.get("SwapPss", 0)


def _fields(path: str) -> dict[str, int]:
    """Return the fields of a /proc file that are in kB, in bytes."""
    found: dict[str, int] = {}
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                if line.endswith(" kB\n"):
                    name, _, value = line[:-4].partition(":")
                    found[name] = int(value) * 1024
    except (OSError, ValueError):
        return found  # it has ended, or is none of ours
    return found
