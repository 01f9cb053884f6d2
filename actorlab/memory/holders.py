"""Holders: who holds which segment, as anybody may see it from outside.

Edge (reads /proc and the pool's directory; asks nobody, so a process that hangs is seen too). The kernel says which
process holds a lease, the process itself which actors it took it for (see lease). Without /proc the kernel says only
that somebody holds a segment, and whoever lives and noted it is taken at his word: one that has let go of what another
still holds is among the holders, and who reads a stream is not known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path

from ..lean_dataclass import dataclass
from .capabilities import has
from .catalogue import Catalogue, Stored
from .lease import HOLDERS, is_held
from .process_stat import is_frozen, process_exists
from .usage import LeaseRow

_LOCK = re.compile(r"^\d+: FLOCK\s+\S+\s+READ\s+(\d+)\s+([0-9a-f]+):([0-9a-f]+):(\d+)\s", re.MULTILINE)
_SHOWN = 8


@dataclass(slots=True)
class _Notes:
    dataset: str
    version: int
    actors: dict[str, None] = field(default_factory=dict)


def locks() -> dict[tuple[int, int], list[int]]:
    """Return the processes that hold a shared lock, by device and inode: one look at /proc/locks, none without it."""
    found: dict[tuple[int, int], list[int]] = {}
    if not has("proc"):
        return found
    try:
        text = Path("/proc/locks").read_text("ascii")
    except OSError:
        return found
    for pid, major, minor, inode in _LOCK.findall(text):
        found.setdefault((os.makedev(int(major, 16), int(minor, 16)), int(inode)), []).append(int(pid))
    return found


def leases(catalogue: Catalogue, workers: Mapping[int, int] | None = None) -> tuple[LeaseRow, ...]:
    """Return who holds what in a pool, by dataset, version and process. `workers`: process slots by pid."""
    return sort_leases(row for _, row in held_segments(catalogue, workers))


def held_segments(catalogue: Catalogue, workers: Mapping[int, int] | None = None) -> list[tuple[Stored, LeaseRow]]:
    """Return each segment that is held with each process that holds it."""
    versions = catalogue.by_segment()
    notes: dict[int, dict[int, _Notes]] = {}
    rows = []
    everything = catalogue.stored()
    held = locks() if has("proc") else _noted(catalogue, everything)
    for stored in everything:
        for pid in sorted(set(held.get((stored.device, stored.inode), ()))):
            if pid not in notes:
                notes[pid] = _read_notes(catalogue.path, pid)
            noted = notes[pid].get(stored.inode)
            if noted is None:
                first = versions.get(stored.file, [None])[0]
                noted = _Notes(first.dataset if first else "", first.version if first else 0)
            slot = (workers or {}).get(pid)
            row = LeaseRow(noted.dataset, noted.version, pid, slot, tuple(noted.actors), is_frozen(pid))
            rows.append((stored, row))
    return rows


def _noted(catalogue: Catalogue, everything: Iterable[Stored]) -> dict[tuple[int, int], list[int]]:
    """Return the living processes that noted each of those segments that somebody holds, by device and inode."""
    pids = [pid for pid in _who_noted(catalogue) if process_exists(pid)]
    notes = {pid: _read_notes(catalogue.path, pid) for pid in pids}
    return {
        (stored.device, stored.inode): [pid for pid in pids if stored.inode in notes[pid]]
        for stored in everything
        if any(stored.inode in mine for mine in notes.values()) and is_held(stored.path)
    }


def stream_readers(catalogue: Catalogue, workers: Mapping[int, int] | None = None) -> list[LeaseRow]:
    """Return who has which part of which append stream mapped, the part's number as version."""
    held = locks()
    return [
        LeaseRow(stream, number, pid, (workers or {}).get(pid), (), is_frozen(pid))
        for stream, number, file in catalogue.stream_parts()
        for pid in sorted(set(held.get(file, ())))
    ]


def sort_leases(rows: Iterable[LeaseRow]) -> tuple[LeaseRow, ...]:
    """Return leases by dataset, version and process."""
    return tuple(sorted(rows, key=lambda row: (row.dataset, row.version, row.pid)))


def describe_holders(catalogue: Catalogue) -> tuple[str, ...]:
    """Return a few lines that say who holds what, for the text of an error."""
    rows = leases(catalogue)
    lines = [
        f"{row.dataset} v{row.version}: pid {row.pid}"
        + (f" ({', '.join(row.actors[:3])})" if row.actors else "")
        + (" [stopped]" if row.stopped else "")
        for row in rows
    ]
    return tuple(lines[:_SHOWN]) + ((f"and {len(lines) - _SHOWN} more",) if len(lines) > _SHOWN else ())


def forget_dead(catalogue: Catalogue) -> None:
    """Remove what processes noted that are dead. The janitor's; a pid that is used again has its lines begun anew."""
    for pid in _who_noted(catalogue):
        if not process_exists(pid):
            try:
                os.unlink(os.path.join(catalogue.path, HOLDERS, str(pid)))
            except OSError:
                pass


def _who_noted(catalogue: Catalogue) -> list[int]:
    try:
        return [int(name) for name in os.listdir(os.path.join(catalogue.path, HOLDERS)) if name.isdecimal()]
    except OSError:
        return []


def _read_notes(pool: str, pid: int) -> dict[int, _Notes]:
    """Return what a process says of itself, by inode; the last mapping of each counts."""
    notes: dict[int, _Notes] = {}
    try:
        lines = Path(pool, HOLDERS, str(pid)).read_text("utf-8", "replace").splitlines()
    except OSError:
        return notes
    for line in lines:
        fields = line.split("\t")
        if len(fields) != 5 or not fields[0].isdecimal() or not fields[2].isdecimal():
            continue  # torn by a kill
        inode, dataset, version, fresh, actor = fields
        if fresh == "1" or int(inode) not in notes:
            notes[int(inode)] = _Notes(dataset, int(version))
        if actor:
            notes[int(inode)].actors[actor] = None
    return notes
