"""Janitor: what has to be done to a pool from time to time, so that its memory comes free and its subscribers hear.

Edge (files); run by the node's controller, in a thread of its own. On no reader's path: whatever it does or leaves
undone, versions are read as ever, and a writer that needs room makes it itself. Safe to kill at any point.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ..errors import SharedMemoryError
from .catalogue import CURRENT, Stored
from .cold import SUFFIX, Cold
from .handle import Handle
from .holders import forget_dead, locks
from .keeper import Keeper
from .pool import ContextPool

GRACE_S = 1.0
"""How long a superseded version is kept for those who were just told of it, and a publisher may take to tell."""


class Janitor:
    """Looks after the pool at `path`."""

    def __init__(self, path: str, now: Callable[[], float] = time.monotonic) -> None:
        self.pool = ContextPool(os.path.dirname(path), os.path.basename(path))
        self._now = now
        self._superseded: dict[Handle, float] = {}  # since when
        self._keeper: Keeper | None = None
        self._keep()
        self._cold = Cold(self.pool.catalogue, self.pool.settings)

    def look(self) -> None:
        """Do what is to be done. Raises SharedMemoryError when the pool's lock is kept by somebody that is stopped.

        May take a second where a version is compressed, then of every 200 MB.
        """
        catalogue, room, now = self.pool.catalogue, self.pool.room, self._now()
        with catalogue.locked():
            # Not before: a version that is published again must not be among them.
            self._superseded = {handle: self._superseded.get(handle, now) for handle in room.superseded()}
            catalogue.sweep()
            room.trim(handle for handle, since in self._superseded.items() if now - since >= GRACE_S)
            catalogue.free_unreferenced()
        forget_dead(catalogue)
        self._keep()
        self._announce()
        if self.pool.settings.cold_after_s is not None:
            self._freeze(self.pool.settings.cold_after_s)

    def _keep(self) -> None:
        """Have a pool without files kept, by another keeper when it was removed and made anew."""
        keeper = self._keeper
        if keeper is not None and keeper.is_there():
            keeper.look()
            return
        self._keeper = None
        if keeper is not None:
            keeper.close()
        if self.pool.settings.backend == "memfd":
            self._keeper = Keeper(self.pool.path)

    def close(self) -> None:
        """Let go of the pool, and of the memory that was kept for it. Idempotent."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()
        self.pool.close()

    def _announce(self) -> None:
        """Tell of versions whose publisher was killed before it had."""
        for dataset in self.pool.catalogue.datasets():
            handle = self.pool.current(dataset)
            if handle is None or self.pool.catalogue.announced(dataset) == handle.entry:
                continue
            try:
                since = os.lstat(os.path.join(self.pool.catalogue.dataset(dataset), CURRENT)).st_mtime
            except FileNotFoundError:
                continue
            if time.time() - since >= GRACE_S:
                self.pool.announce(handle)

    def _freeze(self, after_s: float) -> None:
        """Compress what is not current and was not held for a while; of what is held, note that it was."""
        catalogue, held, now_ns = self.pool.catalogue, locks(), time.time_ns()
        versions = catalogue.by_segment()
        kept = {handle for dataset in catalogue.datasets() if (handle := self.pool.current(dataset)) is not None}
        for stored in catalogue.stored():
            handles = versions.get(stored.file, [])
            if not handles or stored.path.endswith(SUFFIX):
                continue
            if (stored.device, stored.inode) in held:
                self._note_taken(stored, now_ns)
            elif not kept.intersection(handles) and now_ns - stored.taken_ns >= after_s * 1e9:
                self._cold.freeze(stored, handles[0].dataset)

    def _note_taken(self, stored: Stored, now_ns: int) -> None:
        try:
            os.utime(stored.path, ns=(now_ns, os.stat(stored.path).st_mtime_ns))
        except FileNotFoundError:
            pass  # freed since


def look_after(janitors: dict[str, Janitor], pools: str) -> list[tuple[str, str]]:
    """Look after every pool below `pools`, by `janitors`, which is kept up to date; return who is in the way of what.

    A pool that is gone is forgotten; one that cannot be looked after this time is named, with the reason.
    """
    try:
        names = {name for name in os.listdir(pools) if os.path.exists(os.path.join(pools, name, "pool.json"))}
    except OSError:
        names = set()
    for name in set(janitors) - names:
        janitors.pop(name).close()
    failures = []
    for name in sorted(names):
        try:
            if name not in janitors:
                janitors[name] = Janitor(os.path.join(pools, name))
            janitors[name].look()
        except FileNotFoundError:
            continue  # it is being removed
        except (SharedMemoryError, OSError) as error:
            failures.append((name, str(error)))
    return failures
