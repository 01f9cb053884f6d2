"""Census: what a node's pools hold, seen from outside.

Edge (reads the node's directory and /proc, writes nothing, asks nobody); used by whoever accounts for memory. What it
finds in motion it leaves out: a pool that is being made or removed is not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from .catalogue import Catalogue, Stored
from .cold import SUFFIX
from .handle import Handle
from .holders import held_segments, sort_leases, stream_readers
from .placing import POOLS
from .pool import read_settings
from .usage import DatasetUsage, PoolUsage

_BLOCK = 4096


def read_usage(
    node_directory: str | os.PathLike[str], workers: Mapping[int, int] | None = None
) -> tuple[PoolUsage, ...]:
    """Return what each pool of a node holds, by name. A few ms for a hundred versions.

    `workers`: process slots by pid; unless given, they are read from the node's own records. Never raises for a node
    that is gone: it has no pools.
    """
    node = Path(node_directory)
    slots = read_workers(node) if workers is None else workers
    try:
        names = sorted(os.listdir(node / POOLS))
    except OSError:
        return ()
    found = (pool_usage(str(node / POOLS / name), slots) for name in names)
    return tuple(usage for usage in found if usage is not None)


def read_workers(node: Path) -> dict[int, int]:
    """Return the process slots by pid that a node's directory records; 0 is the user's process."""
    slots: dict[int, int] = {}
    for file in (node / "node.json", *sorted((node / "workers").glob("*.json"))):
        try:
            record = json.loads(file.read_text("utf-8"))
            slots[int(record["pid"])] = int(record.get("slot") or 0)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # on its way in or out
    return slots


def pool_usage(path: str, workers: Mapping[int, int] | None = None) -> PoolUsage | None:
    """Return what the pool at `path` holds; None if there is none."""
    try:
        settings = read_settings(path)
    except (OSError, ValueError):
        return None
    catalogue = Catalogue(path)
    stored = catalogue.stored()
    versions = catalogue.by_segment()
    held = held_segments(catalogue, workers)
    held_files = {one.file for one, _ in held}
    live = retired = cold = holding = saved = 0
    for one in stored:
        handles = versions.get(one.file, [])
        is_cold = _is_cold(one)
        if not handles:
            retired += one.bytes
        elif is_cold:
            cold += one.bytes
            saved += max(0, -(-handles[0].size_bytes // _BLOCK) * _BLOCK - one.bytes)
        else:
            live += one.bytes
        if not is_cold and one.file in held_files:
            holding += one.bytes
    by_file = {one.file: one for one in stored}
    streams = [DatasetUsage(name, 0, count, size, 0, 0) for name, count, size in catalogue.streams_found()]
    live += sum(stream.live_bytes for stream in streams)
    dropped = {(one.file, row.dataset): one.bytes for one, row in held if one.file not in versions}
    return PoolUsage(
        name=os.path.basename(path),
        backend=settings.backend,
        max_bytes=settings.max_bytes,
        live_bytes=live,
        retired_bytes=retired,
        cold_bytes=cold,
        held_bytes=holding,
        saved_bytes=saved,
        datasets=(*(_dataset(catalogue, name, by_file, versions, dropped) for name in catalogue.datasets()), *streams),
        leases=sort_leases([*(row for _, row in held), *stream_readers(catalogue, workers)]),
    )


def _dataset(
    catalogue: Catalogue,
    name: str,
    by_file: Mapping[int, Stored],
    versions: Mapping[int, list[Handle]],
    dropped: Mapping[tuple[int, str], int],
) -> DatasetUsage:
    current = catalogue.current(name)
    live = cold = 0
    alive: set[int] = set()
    for file, handles in versions.items():
        mine = [handle.version for handle in handles if handle.dataset == name]
        one = by_file.get(file)
        if mine and one is not None:
            alive.update(mine)
            if _is_cold(one):
                cold += one.bytes
            else:
                live += one.bytes
    retired = sum(size for (_, dataset), size in dropped.items() if dataset == name)  # as its holders say
    return DatasetUsage(name, current.version if current else 0, len(alive), live, retired, cold)


def _is_cold(one: Stored) -> bool:
    return one.path.endswith(SUFFIX)
