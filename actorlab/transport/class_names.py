"""Class names: which class a number in a node table means.

An edge (memory). One append-only file a home beside its node table; its kernel is the only writer, anyone reads. A name
counts once `committed` has passed it, by one 8-byte store: a writer killed before it leaves bytes that nobody looks at
and the next writer overwrites. Numbers begin at 1 (0: no class) and never change their meaning.

    0    the segment header: "alNames", version
    64   committed  u64   bytes of names that count
    128  names            length u16, UTF-8 text, one after the other
"""

from __future__ import annotations

import os
import struct
from typing import Self

from ..errors import SharedMemoryFull
from ..memory import HEADER_BYTES, PAGE, Segment, encode_header

MAGIC = b"alNames"
VERSION = 1
FILE_BYTES = 4 << 20
_CHUNK = 16 * PAGE
_COMMITTED = HEADER_BYTES // 8
NAMES_AT = 128
_LENGTH = struct.Struct("<H")
_LONGEST = 1024  # bytes of a name; the rest is cut off


class ClassNames:
    """Numbers for names: `class_id` (the writer), `name_of` (anyone)."""

    __slots__ = ("_allocated", "_ids", "_names", "_read", "_segment", "_words")

    def __init__(self, segment: Segment) -> None:
        """Use `create`, `open` or `adopt`."""
        segment.geometry(MAGIC, VERSION)
        self._segment = segment
        self._words = segment.buf[:NAMES_AT].cast("Q")
        self._read = self._allocated = 0
        self._names: list[str] = []
        self._ids: dict[str, int] = {}
        self._refresh()

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """Create an empty file as its writer. Raises SharedMemoryFull or FileExistsError."""
        header = encode_header(MAGIC, VERSION)
        return cls(Segment.create(path, FILE_BYTES, what="class names", header=header, allocate_bytes=PAGE))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Map a file to read it."""
        return cls(Segment.open(path, what="class names"))

    @classmethod
    def adopt(cls, path: str | os.PathLike[str]) -> Self:
        """Go on writing a file whose writer is surely dead."""
        return cls(Segment.open(path, writable=True, grows=True, what="class names"))

    def class_id(self, name: str) -> int:
        """Return the number of `name`, giving it one if it has none. For the writer only; SharedMemoryFull at 4 MiB."""
        known = self._ids.get(name)
        if known is not None:
            return known
        text = name.encode("utf-8", "replace")[:_LONGEST]
        start = NAMES_AT + self._read
        end = start + 2 + len(text)
        if end > self._allocated:
            if end > FILE_BYTES:
                where = self._segment.path
                raise SharedMemoryFull(f"another class name ({len(self._names):,} so far)", end - start, 0, where)
            room = min(end + _CHUNK, FILE_BYTES)
            self._segment.allocate(0, room)
            self._allocated = room
        # crash: name.text
        self._segment.mmap[start:end] = _LENGTH.pack(len(text)) + text
        # Killed here: the text is there, and does not count.
        # crash: name.commit
        self._words[_COMMITTED] = self._read = end - NAMES_AT
        # crash: name.done
        return self._know(name)

    def name_of(self, class_id: int) -> str:
        """Return the name of a number, or `?` for one that nobody gave out."""
        if class_id > len(self._names):
            self._refresh()
        return self._names[class_id - 1] if 0 < class_id <= len(self._names) else "?"

    def close(self) -> None:
        """Unmap. Idempotent; the file stays."""
        self._words.release()
        self._segment.close()

    def _know(self, name: str) -> int:
        self._names.append(name)
        return self._ids.setdefault(name, len(self._names))

    def _refresh(self) -> None:
        committed = self._words[_COMMITTED]
        while self._read < committed:
            start = NAMES_AT + self._read
            (length,) = _LENGTH.unpack_from(self._segment.mmap, start)
            self._know(self._segment.mmap[start + 2 : start + 2 + length].decode("utf-8", "replace"))
            self._read += 2 + length
