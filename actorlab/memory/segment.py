"""Segments: files in shared memory, mapped into the processes that share them.

An edge (files, memory). Used by lanes, node tables, boards and pools. Guarantees:

- A file appears under its name complete, header included, and never replaces another: it is built under a temporary
  name and linked. A creator killed before the link leaves only `.<name>.<pid>.<random>.tmp`, which no reader looks at
  and which goes with the directory; killed after it, the file is whole (with a second, temporary name).
- What was allocated is really there: a full tmpfs is a `SharedMemoryFull` here, never a SIGBUS at some later store.
- Only files of our own user, and no symbolic links, are opened.

A mapping outlives its file's name, so unlinking a segment never harms whoever has it open.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
from typing import Self

from ..errors import SegmentCorrupt
from .layout import HEADER_BYTES, decode_header
from .space import FULL, allocate, no_room

_LOOKS = 100


class Segment:
    """A mapped file: `buf` (a memoryview) and `mmap` show its bytes, `size_bytes` their number.

    Open it with `create` or `open`. A sparse segment (`create(…, allocate_bytes=n)`) has pages behind its first
    `allocate_bytes` only; its owner calls `allocate` before it touches more. It costs a process one descriptor (the
    mapping's own), one that grows a second.
    """

    __slots__ = ("_fd", "buf", "file", "mmap", "path", "size_bytes", "what", "writable")

    def __init__(self, path: str, fd: int, size_bytes: int, *, writable: bool, what: str, grows: bool) -> None:
        """Map `size_bytes` of the open descriptor `fd`, which stays the caller's."""
        access = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        self._fd = -1
        self.path, self.size_bytes, self.writable, self.what = path, size_bytes, writable, what
        self.mmap = mmap.mmap(fd, size_bytes, mmap.MAP_SHARED, access)
        status = os.fstat(fd)
        self.file = status.st_dev, status.st_ino  # nobody else's while it is mapped
        self.buf = memoryview(self.mmap)
        if grows:
            self._fd = os.dup(fd)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        size_bytes: int,
        *,
        what: str = "a segment",
        header: bytes = b"",
        allocate_bytes: int | None = None,
    ) -> Self:
        """Create the file `path` (mode 0600) and map it writable; `header` is its first bytes, the rest are zeros.

        Allocates `allocate_bytes` (all, unless told). Raises SharedMemoryFull when there is no room (nothing is left
        behind), FileExistsError when the name is taken. `what` is how errors call it.
        """
        path = os.fspath(path)
        directory, name = os.path.split(path)
        temporary = os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(3).hex()}.tmp")
        backed = size_bytes if allocate_bytes is None else allocate_bytes
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # crash: segment.size
            os.ftruncate(fd, size_bytes)
            # crash: segment.allocate
            _allocate(fd, 0, backed, what, directory)
            if header:
                # crash: segment.header
                os.pwrite(fd, header, 0)
            segment = cls(path, fd, size_bytes, writable=True, what=what, grows=allocate_bytes is not None)
            try:
                # Killed here or before: a temporary name, and nothing under its own.
                # crash: segment.link
                os.link(temporary, path, follow_symlinks=False)
                # crash: segment.linked
            except BaseException:
                segment.close()
                raise
        finally:
            os.unlink(temporary)
            # crash: segment.done
            os.close(fd)
        return segment

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        writable: bool = False,
        grows: bool | None = None,
        what: str = "a segment",
        noted: bool = False,
    ) -> Self:
        """Map an existing file whole. Raises FileNotFoundError, or SegmentCorrupt if it is no file of our own user.

        `grows` (whenever it is writable, unless told): the caller may want to `allocate`. `noted`: with a shared
        `flock` that lasts as long as the mapping, so that /proc/locks says who has it; never waits for one.
        """
        path = os.fspath(path)
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(path, flags)
        try:
            size_bytes = _checked_size(path, fd)
            if noted:
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass
            grows = writable if grows is None else grows
            for _ in range(_LOOKS):
                try:
                    return cls(path, fd, size_bytes, writable=writable, what=what, grows=grows)
                except ValueError:  # longer than the file was then: its writer cut it since we looked
                    size_bytes = _checked_size(path, fd)
            raise SegmentCorrupt(path, "changes its length faster than it can be mapped")
        finally:
            os.close(fd)

    def geometry(self, magic: bytes, version: int) -> tuple[int, ...]:
        """Return the six numbers of the header; SegmentCorrupt when magic or version are not these."""
        return decode_header(self.path, bytes(self.buf[:HEADER_BYTES]), magic=magic, version=version)

    def allocate(self, offset: int, length: int) -> None:
        """Put pages behind `length` bytes at `offset` of a sparse segment; SharedMemoryFull if there is no room.

        Safe to repeat, and after a refusal everything is as it was. Only for a segment that was created sparse, or
        opened with `grows`.
        """
        _allocate(self._fd, offset, length, self.what, os.path.dirname(self.path))

    def resize_file(self, size_bytes: int) -> None:
        """Cut the mapped file, or make it longer, whatever has its name by now. Only where `allocate` can be called."""
        os.ftruncate(self._fd, size_bytes)

    def close(self) -> None:
        """Unmap, unless views of `buf` are still held: then the memory goes with the last of them. Idempotent."""
        self.__del__()
        self.buf.release()
        try:
            self.mmap.close()
        except BufferError:
            pass  # a view is still out; the mapping is freed with it, and its bytes stay valid until then

    def __del__(self) -> None:
        fd, self._fd = getattr(self, "_fd", -1), -1
        if fd >= 0:
            os.close(fd)


def _checked_size(path: str, fd: int) -> int:
    """Return how long an open file is, in bytes; SegmentCorrupt unless it is a file of our own that holds something."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise SegmentCorrupt(path, "is not a regular file")
    if status.st_uid != os.geteuid():
        raise SegmentCorrupt(path, f"belongs to user {status.st_uid}")
    if status.st_size == 0:
        raise SegmentCorrupt(path, "is empty")
    return status.st_size


def _allocate(fd: int, offset: int, length: int, what: str, directory: str) -> None:
    if length <= 0:
        return
    try:
        allocate(fd, offset, length)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_room(what, length, directory) from None


def unlock(fd: int) -> None:
    """Close a descriptor and give up the lock upon it, for a copy of it too.

    A child that another thread is just forking has one, which would keep the lock for as long as the child lives.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def unlink(path: str) -> bool:
    """Remove a file if it is there; return whether it was. Whoever has it mapped keeps what he has."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
