"""Room: how a pool's quota is kept, and how room is made for what is to be written.

Edge (files); used by the pool, always under its lock. Bytes are what the file system charges. What is set aside for a
file being written stands in its name, so writers see each other's. Nothing waits: there is room, or it is made by
removing old versions that nobody holds, or PoolFull says who holds what is there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from itertools import count

from ..errors import PoolFull
from .catalogue import Catalogue, Stored, temporary_name
from .handle import Handle
from .holders import describe_holders
from .lease import is_held
from .segment import unlink
from .settings import PoolSettings

_BLOCK = 4096
_numbers = count(1)


class Room:
    """The space of one pool."""

    def __init__(self, catalogue: Catalogue, settings: PoolSettings) -> None:
        self._catalogue, self._settings = catalogue, settings

    def used(self) -> int:
        """Return the bytes of all segments and streams, and of what is being written."""
        return self._catalogue.charged() + self._catalogue.stream_bytes()

    def used_by(self, dataset: str) -> int:
        """Return the bytes of a dataset's versions, and of what is being written for it."""
        files = {os.lstat(handle.path).st_ino for handle in self._catalogue.versions(dataset)}
        versions = sum(one.bytes for one in self._catalogue.stored() if one.file in files)
        return versions + self._catalogue.set_aside(dataset)

    def set_aside(self, dataset: str, needed: int, evict: bool = True) -> tuple[str, int]:
        """Create a temporary file that `needed` bytes are set aside for, made room for first; return it, locked."""
        self.make(dataset, needed, evict=evict)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            path = self._catalogue.segment(temporary_name(os.getpid(), next(_numbers), needed, dataset))
            try:
                fd = os.open(path, flags, 0o600)
                break
            except FileExistsError:
                continue  # left by a process that was killed and had our number
        # Under the pool's lock, so a sweep never finds it free. Killed from here on, the kernel frees it.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # crash: aside.locked
        return path, fd

    def set_aside_more(self, temporary: str, dataset: str, needed: int) -> str:
        """Set aside more for a file that grows; return its new name."""
        parts = os.path.basename(temporary).split(".", 5)
        self.make(dataset, needed, besides=max(int(parts[4]), os.stat(temporary).st_blocks * 512))
        larger = self._catalogue.segment(temporary_name(int(parts[2]), int(parts[3]), needed, dataset))
        # crash: aside.grow
        os.rename(temporary, larger)
        # crash: aside.grown
        return larger

    def allocate(self, needed: int, allocate: Callable[[], object]) -> None:
        """Have a stream allocate `needed` bytes more when there is room for them; else PoolFull. Takes the lock."""
        with self._catalogue.locked():
            self._make_within("a stream", needed, 0, self._settings.max_bytes, None, True)
            allocate()

    def make(self, dataset: str, needed: int, besides: int = 0, evict: bool = True) -> None:
        """Make room for `needed` bytes (`besides`: of which so many are already counted), or raise PoolFull."""
        needed = -(-needed // _BLOCK) * _BLOCK
        own_limit, _ = self._settings.of(dataset)
        if own_limit is not None:
            self._make_within(dataset, needed, besides, own_limit, dataset, evict)
        self._make_within(dataset, needed, besides, self._settings.max_bytes, None, evict)

    def _make_within(self, dataset: str, needed: int, besides: int, limit: int, only: str | None, evict: bool) -> None:
        def short() -> int:
            return needed - besides - (limit - (self.used() if only is None else self.used_by(only)))

        if short() <= 0:
            return
        if self._catalogue.sweep() + self._catalogue.free_unreferenced() and short() <= 0:
            return
        if self._settings.evict and evict:
            self.evict(short(), only)
        if (lacking := short()) > 0:
            self._refuse(dataset, needed, max(0, needed - lacking), limit, only)

    def evict(self, wanted: int, only: str | None = None) -> int:
        """Remove old versions that nobody holds, the least recently taken first; return the bytes that came free.

        None of them when all together are not enough: what is refused takes nothing away.
        """
        free = [found for found in self._evictable(only) if not is_held(found[0].path)]
        if sum(stored.bytes for stored, _ in free) < wanted:
            return 0
        freed = 0
        for stored, handles in sorted(free, key=lambda found: found[0].taken_ns):
            if freed >= wanted:
                break
            for handle in handles:
                # Killed between these: some versions are gone and the segment stays for the others, or for nobody.
                # crash: evict.version
                unlink(handle.path)
            # crash: evict.segment
            unlink(stored.path)
            # crash: evict.done
            freed += stored.bytes
        return freed

    def superseded(self) -> list[Handle]:
        """Return the versions beyond those that are kept of each published dataset, whether or not they are held."""
        found: list[Handle] = []
        for dataset in self._catalogue.datasets():
            current = self._catalogue.current(dataset)
            if current is not None:
                older = [handle for handle in self._catalogue.versions(dataset) if handle.version < current.version]
                _, keep_last = self._settings.of(dataset)
                found += older[: max(0, len(older) - (keep_last - 1))]
        return found

    def trim(self, handles: Iterable[Handle]) -> int:
        """Remove those of `handles` that nobody holds; return how many. Under the lock."""
        removed = 0
        for handle in handles:
            if not is_held(handle.path):
                # crash: trim.version
                removed += unlink(handle.path)
                # crash: trim.removed
        return removed

    def _evictable(self, only: str | None) -> list[tuple[Stored, list[Handle]]]:
        """Return the segments all of whose versions are neither the newest nor the current of their dataset."""
        catalogue = self._catalogue
        versions = catalogue.by_segment()
        kept: set[Handle] = set()
        for dataset in catalogue.datasets():
            handles, current = catalogue.versions(dataset), catalogue.current(dataset)
            if current is not None:
                kept |= {handle for handle in handles if handle.version >= current.version} | {current}
            kept |= set(handles[-1:])
        found = []
        for stored in catalogue.stored():
            handles = versions.get(stored.file, [])
            if handles and not kept.intersection(handles) and (only is None or any(h.dataset == only for h in handles)):
                found.append((stored, handles))
        return found

    def _refuse(self, dataset: str, needed: int, free: int, limit: int, only: str | None) -> None:
        where = self._catalogue.path if only is None else f"{self._catalogue.path} (dataset {only!r}, {limit:,} bytes)"
        raise PoolFull(f"dataset {dataset!r}", needed, free, where, describe_holders(self._catalogue))
