"""The receiving end of the slabs: messages as read-only views of the sender's memory, given back with the last view.

An edge (memory, files); used by spill.py. Whoever sends is mapped once, read-only but for the table, and stays mapped.
A message's views all hang on one *loan*, an object that exports the slab's memory: slices of views, arrays and tables
made of them keep it, wherever the user keeps them. When it goes, by counting or by the garbage collector, in whatever
thread, it says so by one store: it takes no lock and calls nothing. The sender looks for that store (slab_lender.py
has the crash argument).

A forked child has views of the same memory, and nobody sees when it lets go of them. So what is held at a fork is not
given back before every child of such a fork has ended, or executed another program: it has a shared lock on a file
that the system drops for it. Loans that end meanwhile are *owed*. The sender asks the same lock before it takes
anything from a dead holder. A guest that leaves its host's process takes it, too: its slot has another process then,
and what the host still looks at would be taken for a dead one's.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import threading
import weakref
from _thread import get_ident
from functools import lru_cache
from pickle import PickleBuffer
from typing import Any

from ..errors import SegmentCorrupt, SegmentGone, SharedMemoryError
from ..memory import Segment
from .slab_file import entry_at, slab_file_name
from .slab_layout import GENERATION_SHIFT, HELD, LENT, TAKEN, layout_of_slabs
from .spill_layout import Token


class _Source:
    """The slabs of one sending process, as this process has them mapped."""

    def __init__(self, path: str) -> None:
        table, data = Segment.open(path, writable=True, grows=False, what="slabs"), None
        try:
            self.layout = layout_of_slabs(table)
            data = Segment.open(path, what="slabs")
            self.words = table.buf[: self.layout.table_bytes].cast("Q")
            self.base = _address_of(data.mmap)
        except BaseException:
            for segment in (table, data):
                if segment is not None:
                    segment.close()
            raise
        self.path = path
        self.mapped = table, data  # no `close`: they go with the last loan
        self.process = os.getpid()
        self.pinned: set[int] = set()  # entries that were held at a fork whose child may live
        self.owed: list[tuple[int, int]] = []  # stores that wait for such children


class _Loan:
    """One message's slab; mixed into a ctypes array of its size, which exports the memory as a buffer."""

    source: _Source | None = None
    at: int
    back: int

    def __del__(self, getpid: Any = os.getpid) -> None:
        source = self.source
        if source is None or source.process != getpid():
            return  # a forked child's copy: the parent's counts
        if self.at in source.pinned:
            source.owed.append((self.at, self.back))
            return
        # Killed before it: held by a dead epoch, so the sender frees it. Killed after it: it is free.
        # crash: loan.end
        source.words[self.at] = self.back
        # crash: loan.ended


class SlabBorrower:
    """The messages that the process in `slot` and `epoch` receives in slabs, from anybody of its node."""

    def __init__(self, directory: str, slot: int, epoch: int) -> None:
        self._directory = directory
        self._mine = epoch << 1 | HELD
        self._lock = threading.RLock()
        self._sources: dict[int, tuple[int, _Source]] = {}  # by slot: the latest epoch heard of
        self._all: weakref.WeakSet[_Source] = weakref.WeakSet()
        self._kept: dict[Token, Any] = {}
        self._unsettled: list[Token] = []  # discarded, and there was no descriptor to say so
        self._children = os.path.join(directory, children_file_name(slot, epoch))
        self._child_lock = -1
        self._forever = False

    def read(self, token: Token, keep: bool) -> memoryview:
        """Return a message's image as a read-only view; `keep`: it is held until it is discarded, or longer by views.

        Raises SegmentGone when it was given back before, SegmentCorrupt, SharedMemoryError for want of a descriptor.
        """
        loan = self._kept.get(token)
        if loan is None:
            loan = self._take(token)
            if keep:
                self._kept[token] = loan
        # `raw` makes plain bytes of it: a memoryview of a ctypes array has a format that few understand
        return PickleBuffer(loan).raw()[: token.size].toreadonly()

    def _take(self, token: Token) -> Any:
        source = self._source(token)
        index, generation = token.slab, token.generation
        words, at = source.words, entry_at(index)
        if index >= len(source.layout.offsets) or token.size > source.layout.sizes[index]:
            raise SegmentCorrupt(source.path, f"has no slab {index} of {token.size:,} bytes")
        back = generation << GENERATION_SHIFT
        if words[at + LENT] >> GENERATION_SHIFT != generation or words[at + TAKEN] in (back, back | self._mine):
            raise SegmentGone("a large message", source.path)
        # crash: loan.before
        words[at + TAKEN] = back | self._mine
        # crash: loan.begun
        loan = _loan_type(source.layout.sizes[index]).from_address(source.base + source.layout.offsets[index])
        loan.at, loan.back, loan.source = at + TAKEN, back, source
        return loan

    def discard(self, token: Token) -> bool:
        """Give back a message that was dropped unread, or kept and handled; return whether it was still there.

        What this process still looks at goes with the last view.
        """
        if self._kept.pop(token, None) is not None:
            return True
        try:
            source = self._source(token)
        except SegmentGone:
            return False
        except SharedMemoryError:
            self._unsettled.append(token)
            return True
        words, at, back = source.words, entry_at(token.slab), token.generation << GENERATION_SHIFT
        if words[at + LENT] >> GENERATION_SHIFT != token.generation or words[at + TAKEN] in (back, back | self._mine):
            return False
        # Killed before it: the block, or an epoch that is past, still says what is to be done.
        # crash: discard.before
        words[at + TAKEN] = back
        # crash: discard.after
        return True

    def rest(self) -> None:
        """Give back what forked children no longer look at, and what could not be given back at the time."""
        with self._lock:
            waiting = [source for source in self._all if source.owed or source.pinned]
            if waiting and not self._forever and not _is_locked(self._children):
                for source in waiting:
                    source.pinned.clear()
                    while source.owed:  # a loan may end meanwhile: it is given back now, or the next time
                        at, back = source.owed.pop()
                        # Killed before it: as with a loan, its sender frees what a dead epoch holds.
                        # crash: owed.back
                        source.words[at] = back
                        # crash: owed.given
        unsettled, self._unsettled = self._unsettled, []
        for token in unsettled:
            try:
                self.discard(token)
            except SegmentCorrupt:
                pass  # nobody can give that back

    def _source(self, token: Token) -> _Source:
        epoch, source = self._sources.get(token.slot, (0, None))
        if source is not None and epoch == token.epoch:
            return source
        path = os.path.join(self._directory, slab_file_name(token.slot, token.epoch))
        with self._lock:
            try:
                opened = _Source(path)
            except FileNotFoundError:
                raise SegmentGone("a large message", path) from None
            except OSError as error:
                raise SharedMemoryError(f"{path} could not be mapped: {error.strerror}") from error
            if not self._all:
                _watch_forks(self)
            self._all.add(opened)
            if token.epoch > epoch:
                self._sources[token.slot] = token.epoch, opened
            return opened

    def leave(self) -> None:
        """Close, in a process that lives on while another one has the slot: what is looked at stays lent."""
        self.close()
        with self._lock:
            for source in self._all:
                if not self._held_of(source):
                    continue
                try:
                    lock = os.open(self._children, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                except OSError:
                    continue  # the node has gone, and with it all who lend; or there is no descriptor
                weakref.finalize(source, os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go of all mappings; those that are looked at go with the last view."""
        self._kept.clear()
        self._sources.clear()

    # ---- forks

    def before_fork(self) -> None:
        """Pin what is held; the child to be has the lock that says it lives."""
        self._lock.acquire()
        held = False
        for source in self._all:
            for at in self._held_of(source):
                source.pinned.add(at)
                held = True
        if held:
            try:
                self._child_lock = os.open(self._children, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._child_lock, fcntl.LOCK_SH)
            except OSError:
                self._forever = True  # without a lock nobody knows when the child ends

    def _held_of(self, source: _Source) -> list[int]:
        entries = [entry_at(index) + TAKEN for index in range(len(source.layout.offsets))]
        return [at for at in entries if source.words[at] & ((1 << GENERATION_SHIFT) - 1) == self._mine]

    def after_fork_in_parent(self) -> None:
        """Leave the lock to the child."""
        if self._child_lock >= 0:
            os.close(self._child_lock)
            self._child_lock = -1
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Keep the lock until this process ends or executes another program."""
        self._lock, self._child_lock = threading.RLock(), -1


_borrowers: weakref.WeakSet[SlabBorrower] = weakref.WeakSet()
_forking: dict[int, tuple[SlabBorrower, ...]] = {}  # by thread: whose lock it has
_watching: list[bool] = []


def _watch_forks(borrower: SlabBorrower) -> None:
    _borrowers.add(borrower)
    if not _watching:
        _watching.append(True)
        os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _before_fork() -> None:
    _forking[get_ident()] = tuple(_borrowers)
    for borrower in _forking[get_ident()]:
        borrower.before_fork()


def _after_in_parent() -> None:
    for borrower in _forking.pop(get_ident(), ()):
        borrower.after_fork_in_parent()


def _after_in_child() -> None:
    _forking.clear()
    for borrower in tuple(_borrowers):
        borrower.after_fork_in_child()


def children_file_name(slot: int, epoch: int) -> str:
    """Return the name of the file that forked children of a process have locked while they may look at its messages."""
    return f"children.{slot}.{epoch}"


def has_forked_children(directory: str, slot: int, epoch: int) -> bool:
    """Return whether a child lives that was forked while the process in `slot` and `epoch` held messages in slabs."""
    return _is_locked(os.path.join(directory, children_file_name(slot, epoch)))


def _is_locked(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # no descriptor to ask with: better late than wrong
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


class _PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


def _address_of(mapping: Any) -> int:
    """Return where a read-only mapping begins; `ctypes.addressof` would want a writable one."""
    buffer = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(mapping), ctypes.byref(buffer), 0)
    address = int(buffer.buf or 0)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return address


@lru_cache(maxsize=32)
def _loan_type(size: int) -> Any:
    """Return the class of loans of slabs of `size` bytes: there are about ten."""
    return type("Loan", (_Loan, ctypes.c_ubyte * size), {})
