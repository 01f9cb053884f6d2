"""The node's processes as the system sees them: which there are, what they do, what they hold.

Edge (/proc, read-only; without it psutil, and what processes wrote down of themselves); used by the observer. It
signals nobody and needs nobody's answer: a stopped process reads like any other. Whoever is gone, or not ours to read,
is None.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil

from ..lean_dataclass import dataclass
from ..memory import POOLS, has
from ..node import WORKER_MARK, sentry_of
from ..transport import PID, SLOTS
from .board import BoardImage
from .records import Memory, Role

_FORKSERVER, _WORKER = "al-forkserver", "al-worker"
_LINE = re.compile(rb"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (\S+) (\d+) +(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the node; `slot` None: it runs no actors."""

    role: Role
    slot: int | None
    pid: int


def members(directory: Path, controller_pid: int, board: BoardImage) -> list[Member]:
    """Return the node's processes: the user's, the forkserver or the sentry, workers by slot, spares.

    Workers are on the board; the forkserver and spares run no actors, and are found below the controller by the name
    they go by, the forkserver by the node's directory in its command line too. Where processes have no such name, a
    spare is a child that was started as one. The sentry wrote down who it is.
    """
    found = [Member("controller", 0, controller_pid)]
    workers = [Member("worker", slot, pid) for slot in range(1, SLOTS) if (pid := board.u32(slot, PID))]
    known = {member.pid for member in workers}
    spares = []
    sentry = sentry_of(directory)
    for child in _children(controller_pid):
        if sentry is not None and child == sentry[0]:
            found.append(Member("sentry", None, child))
        match _comm(child):
            case name if name == _FORKSERVER and str(directory) in _command(child):
                found.append(Member("forkserver", None, child))
                spares += [pid for pid in _children(child) if pid not in known]
            case name if name == _WORKER and child not in known:
                spares.append(child)
    return [*found, *workers, *(Member("spare", None, pid) for pid in spares)]


def read_memory(pid: int) -> Memory | None:
    """Return what a process holds, by /proc/<pid>/smaps_rollup; None if it is gone or not to be read.

    The kernel walks its page tables meanwhile: 0.7 ms for a small process, 6 ms for one of 400 MB.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
    except OSError:
        return None
    of = {key: int(value) * 1024 for key, value in _LINE.findall(text)}
    if b"Pss" not in of:
        return None  # a process on its way out has no memory any more
    return Memory(
        uss_bytes=of[b"Private_Clean"] + of[b"Private_Dirty"],
        pss_bytes=of[b"Pss"],
        anonymous_bytes=of[b"Anonymous"],
        shared_bytes=of[b"Shared_Clean"] + of[b"Shared_Dirty"],
        pss_anonymous_bytes=of.get(b"Pss_Anon", 0),
        pss_file_bytes=of.get(b"Pss_File", 0),
        pss_shared_bytes=of.get(b"Pss_Shmem", 0),
        swap_bytes=of.get(b"Swap", 0),
    )


def sum_of(memories: list[Memory]) -> Memory:
    """Return the sum, figure by figure; of one that is not known of all there is none.

    >>> both = sum_of([Memory(5, pss_bytes=6), Memory(7)])
    >>> both.uss_bytes, both.pss_bytes
    (12, None)
    """
    sums: dict[str, Any] = {}
    for field in fields(Memory):
        column = [getattr(memory, field.name) for memory in memories]
        sums[field.name] = None if None in column else sum(column)
    return Memory(**sums)


def pool_mappings(pid: int, directory: Path) -> Mapping[tuple[str, str], int]:
    """Return what a process maps of the pools below a node's directory: (device, inode) → bytes.

    Unlinked files count too, and a file mapped twice counts once, by its larger mapping. Bytes are those of the
    mapping, touched or not: an unshared copy would have been made of all of them.
    """
    try:
        text = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[tuple[str, str], int] = {}
    prefix = f"{directory / POOLS}/"
    for start, end, device, inode, path in _MAPPING.findall(text):
        if path.startswith(prefix):
            size = int(end, 16) - int(start, 16)
            found[device, inode] = max(size, found.get((device, inode), 0))
    return found


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the system says of a process without looking at its memory."""

    state: str
    created: float
    cpu_s: float


GONE = Pulse("gone", 0.0, 0.0)


def read_pulse(pid: int) -> Pulse:
    """Return a process's state, when it started (s since 1970) and the CPU time it has used. 0.1 ms."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            cpu = process.cpu_times()
            return Pulse(str(process.status()), process.create_time(), cpu.user + cpu.system)
    except psutil.Error:
        return GONE


def _children(pid: int) -> Iterator[int]:
    if not has("proc"):
        try:
            yield from (child.pid for child in psutil.Process(pid).children())
        except psutil.Error:
            pass
        return
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for task in tasks:  # a child belongs to the thread that made it
        try:
            yield from map(int, Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii").split())
        except OSError:
            continue


def _comm(pid: int) -> str:
    if not has("proc"):
        return _WORKER if WORKER_MARK in _command(pid) else ""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _command(pid: int) -> str:
    if not has("proc"):
        try:
            return "\0".join(psutil.Process(pid).cmdline())
        except psutil.Error:
            return ""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
