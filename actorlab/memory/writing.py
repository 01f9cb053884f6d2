"""Writing: one content becomes one sealed segment, and a version a link to it.

Edge (files); used by the pool. A segment is written aside, sealed (0400), and then named by what it holds, so the
same content is stored once. Written by write(2) into room that was allocated before, so a full file system is an error
here and never a SIGBUS at a reader.

What a kill leaves behind: before the segment has its name a temporary file, counted until a sweep finds its lock free;
between that and the link a segment that no version refers to, which the next tidy frees; after it, a version.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from contextlib import closing
from typing import Any

from ..errors import SegmentGone, SharedMemoryFull
from .catalogue import Catalogue, look_at
from .content import Content, StreamContent
from .handle import Handle
from .keeper import Handover
from .room import Room
from .segment import unlink, unlock
from .settings import PoolBackend
from .space import FULL, allocate, no_room

_BLOCK = 128 * 1024
_ROW = 64 * 1024 * 1024


class Writer:
    """Puts contents into a pool."""

    def __init__(self, catalogue: Catalogue, room: Room, backend: PoolBackend) -> None:
        self._catalogue, self._room, self._backend = catalogue, room, backend

    def put(self, dataset: str, content: Content, publish: bool = False) -> Handle:
        """Seal `content` as the next version of `dataset`, or link to the segment that holds the same already.

        With `publish` it is the current version as soon as it exists, and no later version can be overtaken. Raises
        FileNotFoundError when the pool was removed: then it can be made good and this be called again, but for batches
        of which some have been taken; that is SegmentGone.
        """
        if isinstance(content, StreamContent) and content.is_begun:
            raise SegmentGone(f"{dataset} of pool {os.path.basename(self._catalogue.path)}", self._catalogue.segments)
        if content.size_bytes is not None:
            name = _digest(content)
            if (known := self._same(name, content)) is not None:
                with self._catalogue.locked():
                    found = look_at(self._catalogue.segment(name))
                    if found is not None and found.file == known:  # not freed meanwhile
                        return self._link(dataset, content, name, found.size_bytes, publish)
        return self._write(dataset, content, publish)

    def link(self, dataset: str, handle: Handle) -> Handle:
        """Make what `handle` names the next version of another dataset too. Under the lock. Raises SegmentGone."""
        new = self._named(dataset, handle)
        try:
            # crash: link.link
            os.link(handle.path, new.path, follow_symlinks=False)
        except FileNotFoundError:
            raise SegmentGone(str(handle), handle.path) from None
        # crash: link.linked
        return new

    def _write(self, dataset: str, content: Content, publish: bool) -> Handle:
        needed = content.size_bytes or 0
        with self._catalogue.locked():
            temporary, fd = self._room.set_aside(dataset, needed)
        try:
            if isinstance(content, StreamContent):

                def reserve(after: int) -> None:
                    nonlocal temporary, needed
                    if after > needed:
                        needed = max(after, min(2 * needed, needed + _ROW))
                        with self._catalogue.locked():
                            try:
                                temporary = self._room.set_aside_more(temporary, dataset, needed)
                            except SharedMemoryFull:
                                if needed == after:
                                    raise
                                needed = after
                                temporary = self._room.set_aside_more(temporary, dataset, needed)

                content.reserve = reserve
            if self._backend == "memfd":
                return self._write_to_memory(dataset, content, publish)
            name, size = self._fill(fd, dataset, content)
            # crash: put.written
            os.fchmod(fd, 0o400)
            # crash: put.sealed
            with self._catalogue.locked():
                name, is_new = self._free_name(name, fd, size)
                if is_new:
                    os.rename(temporary, self._catalogue.segment(name))
                # crash: put.named
                return self._link(dataset, content, name, size, publish)
        finally:
            unlink(temporary)
            # crash: put.done
            unlock(fd)

    def _write_to_memory(self, dataset: str, content: Content, publish: bool) -> Handle:
        """Write into memory that has no file, and have the pool's keeper keep it. Room is set aside for it."""
        fd = os.memfd_create(f"actorlab {dataset}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            name, size = self._fill(fd, dataset, content)
            os.fchmod(fd, 0o400)
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            with closing(Handover(self._catalogue.path, fd)) as kept, self._catalogue.locked():
                # Killed from here on, the keeper has it, and lets go of it unless it is linked.
                # crash: memory.handed
                name, is_new = self._free_name(name, fd, size)
                if is_new:
                    os.symlink(kept.target, self._catalogue.segment(name))
                # crash: memory.named
                return self._link(dataset, content, name, size, publish)
        finally:
            os.close(fd)

    def _free_name(self, name: str, fd: int, size: int) -> tuple[str, bool]:
        """Return the name of what was written as `name`, and whether it is to get it; else it is there already."""
        found = look_at(self._catalogue.segment(name))
        if found is None:
            return name, True
        if found.size_bytes == size and _equal(fd, found.path, size):
            return name, False
        return f"{name}-{os.urandom(8).hex()}", True  # another content with the same hash: never shared

    def _fill(self, fd: int, dataset: str, content: Content) -> tuple[str, int]:
        """Write it; return its hash and its size."""
        import xxhash

        hashed = xxhash.xxh3_128()
        written = 0

        def take(data: Any) -> None:
            nonlocal written
            hashed.update(data)
            view = memoryview(data).cast("B")
            written += view.nbytes
            # crash: put.next
            while view:
                view = view[os.write(fd, view) :]
            # crash: put.part

        try:
            if content.size_bytes:
                # All of it or nothing, and before the copying.
                allocate(fd, 0, content.size_bytes)
            content.write(take)
        except OSError as error:
            if error.errno in FULL and not isinstance(error, SharedMemoryFull):
                needed = content.size_bytes or written
                raise no_room(f"dataset {dataset!r}", needed, self._catalogue.segments) from None
            raise
        return hashed.hexdigest(), written

    def _link(self, dataset: str, content: Content, name: str, size: int, publish: bool) -> Handle:
        like = Handle(self._catalogue.path, dataset, 0, 0, size, content.num_rows, content.fingerprint, content.kind)
        handle = self._named(dataset, like)
        # crash: put.link
        os.link(self._catalogue.segment(name), handle.path, follow_symlinks=False)
        # crash: put.linked
        if publish:
            self._catalogue.set_current(handle)
        return handle

    def _named(self, dataset: str, like: Handle) -> Handle:
        version, nonce = self._catalogue.next_version(dataset), int.from_bytes(os.urandom(4), "little")
        return Handle(
            like.pool, dataset, version, nonce, like.size_bytes, like.num_rows, like.fingerprint, like.kind
        )  # fmt: skip

    def _same(self, name: str, content: Content) -> int | None:
        """Return the file of the segment that holds exactly this, None if there is none. Compares every byte."""
        path = self._catalogue.segment(name)
        found = look_at(path)
        if found is None or found.size_bytes != content.size_bytes or not found.size_bytes:
            return None
        try:
            with open(path, "rb", buffering=0) as file:
                same = _Same(mmap.mmap(file.fileno(), found.size_bytes, access=mmap.ACCESS_READ))
                content.write(same)
        except (FileNotFoundError, _Differs):
            return None
        return found.file


class _Differs(Exception):
    """The bytes are not those of the file."""


class _Same:
    """A sink that compares: in place where Arrow is here to do it, else by blocks that fit the processor's cache."""

    def __init__(self, file: mmap.mmap) -> None:
        self._file, self._at = memoryview(file), 0

    def __call__(self, data: Any) -> None:
        view, at = memoryview(data).cast("B"), self._at
        there = self._file[at : at + view.nbytes]
        self._at += view.nbytes
        arrow = sys.modules.get("pyarrow")
        if arrow is not None:
            same = arrow.py_buffer(view).equals(arrow.py_buffer(there))
        else:
            blocks = range(0, view.nbytes, _BLOCK)
            same = all(bytes(view[i : i + _BLOCK]) == bytes(there[i : i + _BLOCK]) for i in blocks)
        if not same or there.nbytes != view.nbytes:
            raise _Differs


def _digest(content: Content) -> str:
    import xxhash

    hashed = xxhash.xxh3_128()
    content.write(hashed.update)
    return hashed.hexdigest()


def _equal(fd: int, path: str, size: int) -> bool:
    """Whether two files of `size` bytes hold the same."""
    with open(path, "rb", buffering=0) as other:
        mine = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        same = _Same(mmap.mmap(other.fileno(), size, access=mmap.ACCESS_READ))
        try:
            same(mine)
        except _Differs:
            return False
    return True
