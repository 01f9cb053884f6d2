"""Spill: messages too large for a lane, each in a slab of its sender's or in a file of its own beside the lane.

An edge (files, memory); used by routes when `wire.encode` answers `Large`, and by the kernel just before the handler.
The lane carries a token of 22 bytes; spill_layout.py shows it, and the image that the slab or the file holds. The
reader gets arrays and tables as read-only views of that image (of a file below MAP_BYTES: of one private copy).

Slabs are what a large message costs one copy for; slab_lender.py says how they are lent and given back, and what a kill
leaves there. A message goes into a file when it is larger than the largest slab, when receivers hold all of them, or
when slabs would take the last of the file system. The file's reader removes its name at once, so nothing needs to be
given back: the kernel frees the pages with the last view. What a kill leaves behind of files, and who removes it (names
say the sender's process slot and epoch):
 1. Sender, before its lane shows the token (while it writes, or after): a file that no block of its lanes refers to.
    `sweep`, called by the slot's next process with what its lanes refer to.
 2. Sender, after that: nothing to do, the message stands and its reader removes the file.
 3. Receiver, before it read: the block still has the token; the next receiver reads it, or discards it with the
    message.
 4. Receiver, after it read: no name is left, and its pages went with the process. So a message is to be marked
    *started* before it is read, or the next receiver looks for what is not there (SegmentGone). One that may be tried
    again is read with `keep=True` and discarded when it is handled.
Both: a block is freed after its message was read or discarded. Nothing of an older epoch is published once its process
is dead, so collecting the references before the sweep is safe.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import stat
import threading
from collections.abc import Callable, Collection
from itertools import count
from typing import Any

from ..errors import SegmentCorrupt, SegmentGone, SharedMemoryError, SharedMemoryFull
from ..lean_dataclass import dataclass
from ..memory import FULL, allocate, no_room, unlink
from . import wire
from .slab_borrower import SlabBorrower
from .slab_file import slab_file_name
from .slab_lender import SlabLender, SlabStatistics
from .spill_layout import ALIGN, Token, lay_out, parse_token, take_apart

MAP_BYTES = 256 * 1024
"""From this size on a reader maps; a smaller file is copied out, which is faster and keeps no descriptor open."""

_NAME = re.compile(r"spill-(\d+)-(\d+)-([0-9a-f]+)")
_PARTS_A_WRITE = 512  # IOV_MAX is 1024
_PAD = bytes(ALIGN)


NO_SLABS = SlabStatistics()


@dataclass(frozen=True, slots=True)
class SpillStatistics:
    """What one process spilled and read, slabs included; `waiting` are files that it wrote and nobody has read yet."""

    written: int
    written_bytes: int
    read: int
    discarded: int
    swept: int
    waiting: int
    waiting_bytes: int
    slabs: SlabStatistics = NO_SLABS


class Spill:
    """The large messages a process sends (as `slot`, in its `epoch`) and receives (from anybody of its node).

    `quota_bytes` bounds what it has written to files and nobody has read; what a reader still looks at is the reader's.
    `slab_bytes` bounds its slabs; 0: it has none. `epoch_of` tells the epoch of the process in a slot, so that what a
    dead one held is had again. Safe for several threads of one process.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        slot: int,
        epoch: int,
        quota_bytes: int,
        slab_bytes: int = 0,
        epoch_of: Callable[[int], int] | None = None,
    ) -> None:
        self.directory, self.slot, self.epoch, self.quota_bytes = os.fspath(directory), slot, epoch, quota_bytes
        self._lender: SlabLender | None = None
        if slab_bytes and epoch_of is not None:
            self._lender = SlabLender(self.directory, slot, epoch, slab_bytes, epoch_of)
        self._borrower = SlabBorrower(self.directory, slot, epoch)
        self._serials = count(1)
        self._lock = threading.Lock()
        self._waiting: dict[str, int] = {}
        self._writing: set[str] = set()
        self._waiting_bytes = 0
        self._look_at = 256  # entries from which on it is time to see which of them were read
        self._written = self._written_bytes = self._read = self._discarded = self._swept = 0

    # ---- the sender

    def write(
        self,
        meta: bytes | tuple[bytes, ...],
        buffers: Collection[memoryview] = (),
        what: str = "a large message",
        to: int | None = None,
    ) -> bytes:
        """Write a message and return the token for the lane to process slot `to` (None: to a file in any case).

        `meta` is its pickle, in one piece or in several that follow each other.
        A token that is not sent is to be discarded. Raises SharedMemoryFull for the quota as for the file system, and
        leaves nothing behind then.
        """
        parts, size = lay_out((meta,) if isinstance(meta, bytes) else meta, buffers)
        if to is not None and self._lender is not None:
            token = self._lender.write(parts, size, to)
            if token is not None:
                with self._lock:
                    self._written += 1
                    self._written_bytes += size
                return token
        serial = next(self._serials)
        name = _file_name(self.slot, self.epoch, serial)
        path = os.path.join(self.directory, name)
        self._reserve(name, size, what)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            # Killed from here on, and until the token is published: a file that the slot's next process removes.
            try:
                # crash: spill.allocate
                # All of it or nothing, and before the copying. write(2) instead of a mapping spares a fault a page.
                allocate(fd, 0, size)
                _write_all(fd, parts)
                # crash: spill.written
            except BaseException:
                # crash: spill.undo
                os.unlink(path)
                # crash: spill.undone
                raise
            finally:
                os.close(fd)
        except BaseException as error:
            self._forget(name)
            if not isinstance(error, OSError):
                raise
            if error.errno in FULL:
                raise no_room(what, size, self.directory) from None
            raise SharedMemoryError(f"{what} could not be written to {path}: {error.strerror}") from error
        with self._lock:
            self._writing.discard(name)
            self._written += 1
            self._written_bytes += size
        return Token(self.slot, self.epoch, serial, size).pack()

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
        """Return the message, its buffers as read-only views; unless `keep`, it is there no longer, but for them.

        Raises whatever the message's own unpickling raises (it is gone then as well). SegmentGone: there is no such
        message; SegmentCorrupt: it is not what the token says; SharedMemoryError: no descriptor or no mapping is to
        be had. After these two it is still there, to be discarded with the message.
        """
        parsed = parse_token(token)
        name, size = _name_of(parsed), parsed.size
        path = os.path.join(self.directory, name)
        if parsed.in_slab:
            image = self._borrower.read(parsed, keep)
            self._read += 1
            meta, buffers = take_apart(image, path)
            return wire.loads(meta, buffers=buffers)
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
            # Killed before it: the message is in hand, and its successor discards it. After it: there is nothing to.
            # crash: spill.take
            unlink(path)
            # crash: spill.taken
        meta, buffers = take_apart(data, path)
        self._read += 1
        return wire.loads(meta, buffers=buffers)

    def discard(self, token: bytes | memoryview) -> None:
        """Remove a message that was not sent, or dropped unread, or kept and handled. Harmless if it is gone."""
        parsed = parse_token(token)
        if parsed.in_slab:
            if (parsed.slot, parsed.epoch) == (self.slot, self.epoch) and self._lender is not None:
                self._lender.take_back(parsed)
            else:
                self._discarded += self._borrower.discard(parsed)
            return
        name = _name_of(parsed)
        # crash: spill.discard
        if unlink(os.path.join(self.directory, name)):
            # crash: spill.discarded
            self._discarded += 1
        self._forget(name)

    # ---- now and then, and after a crash

    def rest(self, now: float) -> None:
        """Give back what is not used (`now`: s, monotonic). To be called every second or so; from any thread."""
        self._borrower.rest()
        if self._lender is not None:
            self._lender.rest(now)

    def has_predecessors(self) -> bool:
        """Return whether earlier processes of this slot left anything."""
        return bool(_left_behind(self.directory, self.slot, self.epoch)) or any(
            name.startswith(f"slabs.{self.slot}.") and not name.endswith(f".{self.epoch}")
            for name in os.listdir(self.directory)
        )

    def sweep(self, referenced: Collection[bytes]) -> int:
        """Remove what earlier processes of this slot wrote and no message refers to; return how many messages.

        `referenced`: every token in the slot's lanes, collected since they are dead.
        """
        names = {_name_of(parse_token(token)) for token in referenced}
        removed = 0
        for name in _left_behind(self.directory, self.slot, self.epoch):
            if name not in names:
                # crash: spill.sweep
                removed += unlink(os.path.join(self.directory, name))
        # crash: spill.swept
        if self._lender is not None:
            removed += self._lender.adopt(referenced)
        self._swept += removed
        return removed

    def statistics(self) -> SpillStatistics:
        """Return the counts so far; looks into the directory."""
        with self._lock:
            self._see_what_was_read()
            waiting, waiting_bytes = len(self._waiting), self._waiting_bytes
        slabs = self._lender.statistics() if self._lender is not None else NO_SLABS
        counts = self._written, self._written_bytes, self._read, self._discarded, self._swept
        return SpillStatistics(*counts, waiting, waiting_bytes, slabs)

    def leave(self) -> None:
        """Close, in a process that lives on: views that are still held stay good while another process has the slot."""
        self._borrower.leave()
        self.close()

    def close(self) -> None:
        """Let go of the slabs' memory; what was sent stays, and views that are still held stay good."""
        self._borrower.close()
        if self._lender is not None:
            self._lender.close()


def name_in(token: bytes | memoryview) -> str:
    """Return the name of the file that a token's message is in."""
    return _name_of(parse_token(token))


def _left_behind(directory: str, slot: int, before_epoch: int) -> list[str]:
    matches = filter(None, map(_NAME.fullmatch, os.listdir(directory)))
    return [match[0] for match in matches if int(match[1]) == slot and int(match[2]) < before_epoch]


def _name_of(token: Token) -> str:
    if token.in_slab:
        return slab_file_name(token.slot, token.epoch)
    return _file_name(token.slot, token.epoch, token.serial)


def _file_name(slot: int, epoch: int, serial: int) -> str:
    return f"spill-{slot}-{epoch}-{serial:x}"


# ---- files


def _write_all(fd: int, parts: list[tuple[int, bytes | memoryview]]) -> None:
    left, end = [], 0
    for at, part in parts:
        left += [memoryview(_PAD[: at - end]), memoryview(part).cast("B")]
        end = at + len(part)
    left = [view for view in left if view.nbytes]
    while left:
        # crash: spill.write
        written = os.writev(fd, left[:_PARTS_A_WRITE])
        done = 0
        while done < len(left) and written >= left[done].nbytes:
            written -= left[done].nbytes
            done += 1
        del left[:done]
        if written:  # the kernel takes 2 GiB at a time
            left[0] = left[0][written:]
        # crash: spill.wrote


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
