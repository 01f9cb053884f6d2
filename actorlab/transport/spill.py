"""Spill: messages too large for a lane, each in a file of its own beside it.

An edge (files, memory); used by routes when `wire.encode` answers `Large`, and by the kernel just before the handler.
The lane carries a token of 22 bytes; the file, in the node's directory:

    ┌────────────────────────┬─────────────────────┬──────┬───────────┬──────────┬──
    │ magic, meta_bytes, n   │ n × (offset, bytes) │ meta │ buffer 0  │ buffer 1 │ …    each buffer at 64·k
    └────────────────────────┴─────────────────────┴──────┴───────────┴──────────┴──

The reader gets arrays and tables as read-only views of the file's own memory (below MAP_BYTES: of one private copy) and
removes the name at once, so nothing needs to be given back: the kernel frees the pages with the last view.

What a kill leaves behind, and who removes it. Names say the sender's process slot and epoch.
 1. Sender, before its lane shows the token (while it writes, or after): a file that no block of its lanes refers to.
    `sweep`, called by the slot's next process with what its lanes refer to.
 2. Sender, after that: nothing to do, the message stands and its reader removes the file.
 3. Receiver, before it read: the block still has the token; the next receiver reads it, or discards it with the
    message.
 4. Receiver, after it read: no name is left, and its pages went with the process. So a message is to be marked
    *started* before it is read, or the next receiver looks for what is not there (SegmentGone). One that may be tried
    again is read with `keep=True` and discarded when it is handled.
Nothing of an older epoch is published once its process is dead, so collecting the references before the sweep is safe.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import stat
import struct
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..errors import SegmentCorrupt, SegmentGone, SharedMemoryError, SharedMemoryFull
from ..memory import unlink
from . import wire

MAP_BYTES = 256 * 1024
"""From this size on a reader maps; a smaller file is copied out, which is faster and keeps no descriptor open."""
ALIGN = 64
TOKEN_BYTES = 22

_TOKEN = struct.Struct("<HIQQ")  # slot, epoch, serial, size of the file
_HEAD = struct.Struct("<8sQQ")  # magic, bytes of meta, number of buffers
_ENTRY = struct.Struct("<QQ")  # offset, bytes
_MAGIC = b"alspill1"
_NAME = re.compile(r"spill-(\d+)-(\d+)-([0-9a-f]+)")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)
_PARTS_A_WRITE = 512  # IOV_MAX is 1024
_PAD = bytes(ALIGN)


@dataclass(frozen=True, slots=True)
class SpillStatistics:
    """What one process spilled and read; `waiting` are files that it wrote and that nobody has read yet."""

    written: int
    written_bytes: int
    read: int
    discarded: int
    swept: int
    waiting: int
    waiting_bytes: int


class Spill:
    """The large messages a process sends (as `slot`, in its `epoch`) and receives (from anybody of its node).

    `quota_bytes` bounds what it has written and nobody has read; what a reader still looks at is the reader's. Safe
    for several threads of one process.
    """

    def __init__(self, directory: str | os.PathLike[str], slot: int, epoch: int, quota_bytes: int) -> None:
        self.directory, self.slot, self.epoch, self.quota_bytes = os.fspath(directory), slot, epoch, quota_bytes
        self._serials = count(1)
        self._lock = threading.Lock()
        self._waiting: dict[str, int] = {}
        self._writing: set[str] = set()
        self._waiting_bytes = 0
        self._look_at = 256  # entries from which on it is time to see which of them were read
        self._written = self._written_bytes = self._read = self._discarded = self._swept = 0

    # ---- the sender

    def write(self, meta: bytes, buffers: Collection[memoryview] = (), what: str = "a large message") -> bytes:
        """Write a message to a file of its own and return the token for the lane.

        Raises SharedMemoryFull for the quota as for the file system, and leaves nothing behind then.
        """
        parts, size = _lay_out(meta, buffers)
        serial = next(self._serials)
        name = _file_name(self.slot, self.epoch, serial)
        path = os.path.join(self.directory, name)
        self._reserve(name, size, what)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                # All of it or nothing, and before the copying. write(2) instead of a mapping spares a fault a page.
                os.posix_fallocate(fd, 0, size)
                _write_all(fd, parts)
            except BaseException:
                os.unlink(path)
                raise
            finally:
                os.close(fd)
        except BaseException as error:
            self._forget(name)
            if not isinstance(error, OSError):
                raise
            if error.errno in _FULL:
                raise SharedMemoryFull(what, size, _free_bytes(self.directory), self.directory) from None
            raise SharedMemoryError(f"{what} could not be written to {path}: {error.strerror}") from error
        with self._lock:
            self._writing.discard(name)
            self._written += 1
            self._written_bytes += size
        return _TOKEN.pack(self.slot, self.epoch, serial, size)

    def _reserve(self, name: str, size: int, what: str) -> None:
        with self._lock:
            if self._waiting_bytes + size > self.quota_bytes or len(self._waiting) >= self._look_at:
                self._see_what_was_read()
            if self._waiting_bytes + size > self.quota_bytes:
                free = max(0, self.quota_bytes - self._waiting_bytes)
                raise SharedMemoryFull(what, size, free, f"the spill quota of {self.directory}")
            self._writing.add(name)
            self._waiting[name] = size
            self._waiting_bytes += size

    def _see_what_was_read(self) -> None:
        there = self._writing | {entry.name for entry in os.scandir(self.directory)}
        self._waiting = {name: size for name, size in self._waiting.items() if name in there}
        self._waiting_bytes = sum(self._waiting.values())
        self._look_at = 2 * len(self._waiting) + 256

    def _forget(self, name: str) -> None:
        with self._lock:
            self._writing.discard(name)
            self._waiting_bytes -= self._waiting.pop(name, 0)

    # ---- the receiver

    def read(self, token: bytes | memoryview, keep: bool = False) -> Any:
        """Return the message, its buffers as read-only views; remove the file unless `keep`.

        Raises whatever the message's own unpickling raises (the file is removed then as well). SegmentGone: there is no
        such file; SegmentCorrupt: it is not what the token says; SharedMemoryError: no descriptor or no mapping is to
        be had. After these two the file is still there, to be discarded with the message.
        """
        name, size = _parse(token)
        path = os.path.join(self.directory, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise SegmentGone("a large message", path) from None
        except OSError as error:
            raise SharedMemoryError(f"{path} could not be opened: {error.strerror}") from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise SegmentCorrupt(path, "is not a private file of this user")
            if status.st_size != size:
                raise SegmentCorrupt(path, f"has {status.st_size:,} bytes, {size:,} were written")
            data = _view(fd, size, path)
        finally:
            os.close(fd)
        if not keep:
            unlink(path)
        meta, buffers = _take_apart(data, path)
        self._read += 1
        return wire.loads(meta, buffers=buffers)

    def discard(self, token: bytes | memoryview) -> None:
        """Remove a message that was dropped unread, or kept and handled. Harmless if it is gone."""
        name, _ = _parse(token)
        if unlink(os.path.join(self.directory, name)):
            self._discarded += 1
        self._forget(name)

    # ---- after a crash

    def left_behind(self) -> list[str]:
        """Return the names of the files that earlier processes of this slot wrote and that are still there."""
        return left_behind(self.directory, self.slot, self.epoch)

    def sweep(self, referenced: Collection[str]) -> int:
        """Remove what earlier processes of this slot left and no message refers to; return how many files.

        `referenced`: the `name_in` of every token in the slot's lanes, collected beforehand.
        """
        removed = sweep(self.directory, self.slot, self.epoch, referenced)
        self._swept += removed
        return removed

    def statistics(self) -> SpillStatistics:
        """Return the counts so far; looks into the directory."""
        with self._lock:
            self._see_what_was_read()
            waiting, waiting_bytes = len(self._waiting), self._waiting_bytes
        return SpillStatistics(
            self._written, self._written_bytes, self._read, self._discarded, self._swept, waiting, waiting_bytes
        )


def name_in(token: bytes | memoryview) -> str:
    """Return the file name that a token stands for, for `sweep`."""
    return _parse(token)[0]


def size_in(token: bytes | memoryview) -> int:
    """Return the bytes of the file that a token stands for."""
    return _parse(token)[1]


def left_behind(directory: str, slot: int, before_epoch: int) -> list[str]:
    """Return the names of the files that process slot `slot` wrote in epochs before `before_epoch`."""
    matches = filter(None, map(_NAME.fullmatch, os.listdir(directory)))
    return [match[0] for match in matches if int(match[1]) == slot and int(match[2]) < before_epoch]


def sweep(directory: str, slot: int, before_epoch: int, referenced: Collection[str]) -> int:
    """Remove the unreferenced files of process slot `slot` from epochs before `before_epoch`; return how many."""
    left = left_behind(directory, slot, before_epoch)
    return sum(unlink(os.path.join(directory, name)) for name in left if name not in referenced)


def _file_name(slot: int, epoch: int, serial: int) -> str:
    return f"spill-{slot}-{epoch}-{serial:x}"


def _parse(token: bytes | memoryview) -> tuple[str, int]:
    slot, epoch, serial, size = _TOKEN.unpack(token)
    return _file_name(slot, epoch, serial), size


def _free_bytes(directory: str) -> int:
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


# ---- the layout


def _lay_out(meta: bytes, buffers: Collection[memoryview]) -> tuple[list[bytes | memoryview], int]:
    at = _HEAD.size + _ENTRY.size * len(buffers) + len(meta)
    head = bytearray(_HEAD.pack(_MAGIC, len(meta), len(buffers)))
    parts: list[bytes | memoryview] = [meta]
    for view in buffers:
        if not view.nbytes:
            head += _ENTRY.pack(0, 0)
            continue
        pad = -at % ALIGN
        head += _ENTRY.pack(at + pad, view.nbytes)
        parts += (_PAD[:pad], view)
        at += pad + view.nbytes
    return [bytes(head), *parts], at


def _write_all(fd: int, parts: list[bytes | memoryview]) -> None:
    left = [memoryview(part).cast("B") for part in parts if len(part)]
    while left:
        written = os.writev(fd, left[:_PARTS_A_WRITE])
        done = 0
        while done < len(left) and written >= left[done].nbytes:
            written -= left[done].nbytes
            done += 1
        del left[:done]
        if written:  # the kernel takes 2 GiB at a time
            left[0] = left[0][written:]


def _view(fd: int, size: int, path: str) -> memoryview:
    """Return the file's bytes, 64-byte aligned and read-only, valid as long as any part of the view lives."""
    if size >= MAP_BYTES:
        try:
            # The mapping holds a descriptor (a duplicate, up to Python 3.12) for as long as it lives.
            return memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise SharedMemoryError(f"{path} could not be mapped: {error.strerror}") from error
    room = bytearray(size + ALIGN)
    skip = -ctypes.addressof(ctypes.c_char.from_buffer(room)) % ALIGN
    view = memoryview(room)[skip : skip + size]
    at = 0
    while at < size:
        got = os.preadv(fd, [view[at:]], at)
        if got == 0:
            raise SegmentCorrupt(path, f"ends at byte {at:,}")
        at += got
    return view.toreadonly()


def _take_apart(data: memoryview, path: str) -> tuple[memoryview, Iterator[memoryview]]:
    try:
        magic, meta_bytes, buffers = _HEAD.unpack_from(data)
        entries = [_ENTRY.unpack_from(data, _HEAD.size + _ENTRY.size * i) for i in range(buffers)]
    except struct.error:
        raise SegmentCorrupt(path, "is too short for its header") from None
    start = _HEAD.size + _ENTRY.size * buffers
    if magic != _MAGIC or start + meta_bytes > len(data) or any(at + length > len(data) for at, length in entries):
        raise SegmentCorrupt(path, "has a header that does not fit its bytes")
    return data[start : start + meta_bytes], (data[at : at + length] for at, length in entries)
