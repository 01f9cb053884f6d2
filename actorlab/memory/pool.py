"""Context pool: data that many actors read and nobody changes, one copy for the whole node.

An edge (files, memory); made by the node, written by anybody, read through handles. Needs no server: any process may
open the same pool, whose state is its directory (see catalogue), and a reader takes no lock. What is put is sealed,
and an inode lives as long as anybody maps it, so whatever is dropped, evicted or killed never harms a reader.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import SegmentGone, SharedMemoryError, SpecError
from .adoption import check, take_over
from .catalogue import Catalogue, check_private
from .content import as_content
from .handle import Handle
from .lease import is_held
from .placing import place, remove_pool
from .room import Room
from .segment import unlink
from .settings import DEFAULT_POOL_BYTES, PoolSettings, checked_name
from .stream import AppendStream
from .stream_writer import PART_BYTES, StreamWriter
from .subscribers import Subscriber, Subscribers
from .usage import LeaseRow
from .writing import Writer

SETTINGS = "pool.json"

R = TypeVar("R")


class ContextPool:
    """A directory of sealed data, at most `max_bytes` of them, and the only way to write there.

    Any process may open the same pool, and it may be sent to one. Files of this user only, 0700. `catalogue` and
    `room` are for those who look after it.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        name: str,
        max_bytes: int | None = None,
        settings: PoolSettings | None = None,
    ) -> None:
        """Open the pool `name` below `directory`, making it if need be, with `settings` or the defaults.

        A pool that exists is as it was made: asking for it with another `max_bytes`, or other settings, is a SpecError.
        Raises UnsafeDirectory if it is not ours.
        """
        self.name = checked_name(name)
        self.path = os.path.join(os.path.abspath(directory), name)
        self.catalogue = Catalogue(self.path)
        self._in_use = -1
        self.settings = self._found(settings or PoolSettings(DEFAULT_POOL_BYTES if max_bytes is None else max_bytes))
        if settings is not None and settings != self.settings:
            raise SpecError(f"pool {name!r}", f"exists with other settings: {self.settings}, not {settings}")
        if max_bytes not in (None, self.settings.max_bytes):
            text = f"exists with max_bytes {self.settings.max_bytes:,}, not {max_bytes:,}; open it without"
            raise SpecError(f"pool {name!r}", text)
        self.room = Room(self.catalogue, self.settings)
        self._writer = Writer(self.catalogue, self.room, self.settings.backend)
        self._subscribers = Subscribers(self.catalogue)

    def __reduce__(self) -> tuple[type[ContextPool], tuple[str, str]]:
        return ContextPool, (os.path.dirname(self.path), self.name)

    def __repr__(self) -> str:
        return f"<ContextPool {self.path}>"

    def _found(self, wanted: PoolSettings) -> PoolSettings:
        """Make what is missing of the pool, and return the settings that it has."""
        # crash: found.folder
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            pass
        check_private(self.path)
        file = os.path.join(self.path, SETTINGS)
        if not os.path.exists(file):
            aside = f"{file}.{os.getpid()}.{os.urandom(4).hex()}"
            fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                # Killed from here on: a file beside the settings that nobody looks at, until the pool goes.
                # crash: found.settings
                os.write(fd, wanted.to_json().encode())
                # crash: found.link
                os.link(aside, file)  # whole or not at all, and the first one stands
                # crash: found.linked
            except FileExistsError:
                pass
            finally:
                os.close(fd)
                os.unlink(aside)
                # crash: found.done
        settings = read_settings(self.path)
        place(self.catalogue, settings)
        if settings.persist and self._in_use < 0:
            self._in_use = take_over(self.catalogue)
        return settings

    @property
    def max_bytes(self) -> int:
        """The most it holds, of everything."""
        return self.settings.max_bytes

    # -- writing ----------------------------------------------------------------------------------------------------

    def put(self, dataset: str, data: Any) -> Handle:
        """Seal `data` as the next version of `dataset` and return its handle; one copy in, none out.

        Takes an Arrow table, batch or list of batches; a reader or an iterator of batches, which is written batch by
        batch and may be larger than this process's memory; arrays, bytes and whatever can be pickled. The same content
        is stored once, however often it is put. Blocks for the copying. Raises PoolFull for the quota, SharedMemoryFull
        for the file system (nothing is left behind by either), TypeError for what cannot be pickled.
        """
        checked_name(dataset)
        content = as_content(data)
        return self._made_good(lambda: self._writer.put(dataset, content))

    def publish(self, dataset: str, what: Any) -> Handle:
        """Make something the current version of `dataset`, at once for everybody, and tell its subscribers.

        `what` is a handle of this pool (of another dataset: it becomes this one's next version, one segment for both;
        of this one: an older version is current again), or whatever `put` takes. Who reads the version before goes on
        reading it. Raises what `put` does, and SegmentGone for a handle that is.
        """
        checked_name(dataset)
        if isinstance(what, Handle):
            given = what
            if given.pool != self.path:
                raise ValueError(f"{given} is not of the pool {self.path}: put its data here")
            try:
                with self.catalogue.locked():
                    handle = given if given.dataset == dataset else self._writer.link(dataset, given)
                    if not os.path.lexists(handle.path):
                        raise SegmentGone(str(handle), handle.path)
                    self.catalogue.set_current(handle)
            except FileNotFoundError:  # with the whole pool
                raise SegmentGone(str(given), given.path) from None
        else:
            content = as_content(what)
            handle = self._made_good(lambda: self._writer.put(dataset, content, publish=True))
        self.announce(handle)
        return handle

    def announce(self, handle: Handle) -> None:
        """Tell the subscribers of a published version. `publish` does, and the janitor where it could not."""
        try:
            if self._subscribers.tell(handle):
                with self.catalogue.locked():  # or it would be noted after a later version was, and that told again
                    if self.current(handle.dataset) == handle:
                        self.catalogue.set_announced(handle)
        except FileNotFoundError:
            pass  # with the whole pool
        except SharedMemoryError:
            pass  # somebody that is stopped has the lock: it is published, and the janitor sees to the rest

    def subscribe(self, dataset: str, subscriber: Subscriber) -> Handle | None:
        """Have an actor (`self.ref`) told of each version from now on; return the current one.

        It is sent `NewVersion(dataset, handle)`, for as long as it lives, over its restarts. The message waits for
        nobody and is not counted by the mailbox's capacity.
        """
        self._made_good(lambda: self._subscribers.add(checked_name(dataset), subscriber))
        return self.current(dataset)

    def unsubscribe(self, dataset: str, subscriber: Subscriber) -> bool:
        """Have it told no more; return whether it was. A message that is on its way still comes."""
        return self._subscribers.remove(checked_name(dataset), subscriber)

    def _made_good(self, do: Callable[[], R]) -> R:
        try:
            return do()
        except FileNotFoundError:
            if os.path.exists(os.path.join(self.path, SETTINGS)):
                raise
        # Somebody removed the whole pool (logind does, at a logout): begin anew, unless its node is gone as well.
        parent = os.path.dirname(self.path)
        try:
            if not os.path.exists(parent):
                os.mkdir(parent, 0o700)
        except FileNotFoundError:
            raise SegmentGone(f"pool {self.name!r}", self.path) from None
        self._found(self.settings)
        return do()

    def append_stream(
        self, name: str, *, schema: Any = None, part_bytes: int = PART_BYTES, max_bytes: int | None = None
    ) -> StreamWriter:
        """Become the writer of the append stream `name`, making it if need be; see `StreamWriter`.

        Counts against the pool's quota as it grows. Close the writer (use `with`): until then nobody else can write.
        """
        if self.settings.backend == "memfd":
            raise SpecError(f"pool {self.name!r}", "has no files for an append stream to grow in: use 'shm' or 'file'")
        stream = self.stream(name)
        allocate = self.room.allocate
        return self._made_good(
            lambda: StreamWriter(
                stream.folder, str(stream), allocate, schema=schema, part_bytes=part_bytes, max_bytes=max_bytes
            )
        )

    def stream(self, name: str) -> AppendStream:
        """Return the append stream `name`, for reading; small, picklable, and nothing is opened yet."""
        return AppendStream(self.path, checked_name(name))

    def drop(self, handle: Handle) -> bool:
        """Remove a version; False if it was gone. Who maps it keeps it, and it counts until the last lets go."""
        if handle.pool != self.path:
            raise ValueError(f"{handle} is not of the pool {self.path}")
        try:
            with self.catalogue.locked():
                if self.catalogue.current(handle.dataset) == handle:
                    self.catalogue.unset_current(handle.dataset)
                # Killed before it: a version that is not published; behind it: a segment that the next sweep frees.
                # crash: version.drop
                dropped = unlink(handle.path)
                # crash: version.dropped
                self.catalogue.free_unreferenced()
        except FileNotFoundError:
            return False  # with the whole pool
        return dropped

    def tidy(self) -> int:
        """Do at once what a node's janitor does from time to time; return how many files and versions went.

        Removes what killed writers left, and versions beyond those that are kept and that nobody holds; frees what was
        dropped and is no longer held.
        """
        with self.catalogue.locked():
            removed = self.catalogue.sweep() + self.room.trim(self.room.superseded())
            return removed + bool(self.catalogue.free_unreferenced())

    def verify(self, handle: Handle) -> None:
        """Compare a version with the hash of what was sealed, every byte of it.

        Raises SegmentCorrupt when it differs: then it was put aside, and the version before is current if it was.
        """
        check(self.catalogue, handle)

    def remove(self) -> None:
        """Remove the pool and every name in it. Mappings stay good."""
        self.close()
        remove_pool(self.path)

    def close(self) -> None:
        """Let go of a pool that is kept on disk, so that another node may have it. Handles stay good. Idempotent."""
        fd, self._in_use = self._in_use, -1
        if fd >= 0:
            os.close(fd)

    close_in_child = close

    def __del__(self) -> None:
        if getattr(self, "_in_use", -1) >= 0:
            self.close()

    # -- looking ----------------------------------------------------------------------------------------------------

    def current(self, dataset: str) -> Handle | None:
        """Return the published version of a dataset, None if none was. One system call, no lock; about 5 µs."""
        return self.catalogue.current(dataset)

    def get(self, dataset: str, version: int | None = None) -> Any:
        """Return what a version holds, the current one unless told; as `Handle.get`. Raises SegmentGone.

        A reader never waits for a publisher: it gets the version before or the new one. One that goes away between
        being looked up and being opened had a successor by then, which is taken.
        """
        if version is not None:
            return self.version(dataset, version).get()
        handle = self.current(checked_name(dataset))
        while handle is not None:
            try:
                return handle.get()
            except SegmentGone:
                newer = self.current(dataset)
                if newer == handle:
                    raise
                handle = newer
        raise SegmentGone(f"a published version of {dataset} in pool {self.name}", self.catalogue.dataset(dataset))

    def version(self, dataset: str, number: int) -> Handle:
        """Return the handle of a version that can still be had. Raises SegmentGone."""
        for handle in self.catalogue.versions(checked_name(dataset)):
            if handle.version == number:
                return handle
        raise SegmentGone(f"{dataset} v{number} of pool {self.name}", self.catalogue.dataset(dataset))

    def versions(self, dataset: str) -> list[Handle]:
        """Return the versions of a dataset that can be had, the oldest first."""
        return self.catalogue.versions(checked_name(dataset))

    def datasets(self) -> list[str]:
        """Return the names of the datasets that have a version."""
        return [name for name in self.catalogue.datasets() if self.catalogue.versions(name)]

    def bytes_shared(self) -> int:
        """Return the bytes of all segments (those that can be had, or were dropped and are still held) and streams."""
        return sum(one.bytes for one in self.catalogue.stored()) + self.catalogue.stream_bytes()

    def bytes_free(self) -> int:
        """Return what the quota leaves, after segments and what is being written."""
        return max(0, self.max_bytes - self.room.used())

    def is_held(self, handle: Handle) -> bool:
        """Whether any process has it mapped."""
        return is_held(handle.path)

    def leases(self) -> tuple[LeaseRow, ...]:
        """Return who holds what; workers are not known here, see `read_usage`."""
        from .holders import leases

        return leases(self.catalogue)


def read_settings(path: str) -> PoolSettings:
    """Return the settings of the pool at `path`. Raises FileNotFoundError if there is none."""
    fd = os.open(os.path.join(path, SETTINGS), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return PoolSettings.from_json(os.read(fd, 1 << 20))
    finally:
        os.close(fd)
