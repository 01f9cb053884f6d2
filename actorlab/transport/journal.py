"""Journal: what happened lately in a node, and how many dead letters there were, for whoever looks from outside.

An edge (memory). One file a node, written by the controller's process (its threads, one at a time) and read by anybody,
even when the node hangs. Two rings of records, and counts by reason:

    64    happened   u64  records written so far to the first ring: events; 72 letters: to the second, dead letters
    128   reasons    32 × (count u64, name 24 bytes)
    4096  events     128 records of 512 bytes
    …     letters    128 records of 512 bytes

    a record: when f64 (since 1970), address u64, worker u16 (65535: none), three lengths u16, three texts (UTF-8, cut)

A record counts when the number of records has passed it, by one store after it was written. Killed in between, the
oldest record of a full ring is half overwritten; readers never look at that one. A reason's name is stored before its
count, so a count never stands under another's name.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Mapping
from typing import Self

from ..lean_dataclass import dataclass
from ..memory import PAGE, Segment, encode_header

MAGIC = b"alJournl"
VERSION = 1

RECORDS = 128
RECORD_BYTES = 512
REASONS = 32
_REASON_BYTES, _REASONS_AT, _NAME_BYTES = 32, 128, 24
_RINGS_AT = (PAGE, PAGE + RECORDS * RECORD_BYTES)
FILE_BYTES = PAGE + 2 * RECORDS * RECORD_BYTES
_COUNTS = 8  # indexes the file as u64; the second ring's is the next word
_RECORD = struct.Struct("<dQHHHH")
_NO_WORKER = 0xFFFF
EVENTS, LETTERS = 0, 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A record. Of an event: kind, text, who; of a dead letter: reason, message, to whom."""

    at: float
    kind: str
    text: str
    who: str = ""
    address: int = 0
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class JournalView:
    """A journal as it was at one moment; newest first. Of a full ring 127 records are shown."""

    events: tuple[Entry, ...]
    letters: tuple[Entry, ...]
    reasons: Mapping[str, int]


class Journal:
    """A node's journal as the controller's process writes it. Any thread may; one waits for another's 5 µs."""

    def __init__(self, segment: Segment) -> None:
        """Use `create`."""
        segment.geometry(MAGIC, VERSION)
        self._segment, self._words = segment, segment.buf.cast("Q")
        self._lock = threading.Lock()
        self._reasons: dict[str, int] = {}
        self._closed = False

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """Create an empty one. Raises SharedMemoryFull or FileExistsError."""
        return cls(Segment.create(path, FILE_BYTES, what="the journal", header=encode_header(MAGIC, VERSION, RECORDS)))

    def write(self, ring: int, entry: Entry) -> None:
        """Add a record to a ring; the oldest of 128 goes for it. Nothing after `close`."""
        texts = [_cut(entry.kind, 40), _cut(entry.who, 120), b""]
        room = RECORD_BYTES - _RECORD.size - len(texts[0]) - len(texts[1])
        texts[2] = _cut(entry.text, room)
        worker = _NO_WORKER if entry.worker is None else entry.worker
        raw = _RECORD.pack(entry.at, entry.address, worker, *map(len, texts)) + b"".join(texts)
        with self._lock:
            if self._closed:
                return
            written = self._words[_COUNTS + ring]
            at = _RINGS_AT[ring] + written % RECORDS * RECORD_BYTES
            # crash: record.bytes
            self._segment.buf[at : at + len(raw)] = raw
            # crash: record.count
            self._words[_COUNTS + ring] = written + 1
            # crash: record.done

    def count(self, reasons: Mapping[str, int]) -> None:
        """Say how many dead letters there were so far by reason; from the 32nd reason on, together as `other`."""
        with self._lock:
            if self._closed:
                return
            other = 0
            for reason, count in reasons.items():
                row = self._row(reason)
                if row is None:
                    other += count
                else:
                    # crash: letters.count
                    self._words[row] = count
            # Killed among these: some reasons have their latest count, the rest the one before.
            if other and (row := self._row("other", last=True)) is not None:
                # crash: letters.other
                self._words[row] = other
            # crash: letters.counted

    def _row(self, reason: str, *, last: bool = False) -> int | None:
        number = self._reasons.get(reason)
        if number is None:
            number = len(self._reasons)
            if number >= REASONS - (not last):
                return None
            at = _REASONS_AT + number * _REASON_BYTES + 8
            # crash: reason.name
            self._segment.buf[at : at + _NAME_BYTES] = _cut(reason, _NAME_BYTES).ljust(_NAME_BYTES, b"\0")
            # Killed here: a name with a count of 0.
            # crash: reason.count
            self._reasons[reason] = number
        return (_REASONS_AT + number * _REASON_BYTES) // 8

    def close(self) -> None:
        """Unmap. Idempotent; the file stays."""
        with self._lock:
            self._closed = True
            self._words.release()
            self._segment.close()


def view_journal(raw: bytes) -> JournalView:
    """Return what the bytes of a journal say. Raises ValueError when they are none."""
    if len(raw) != FILE_BYTES or raw[:8].rstrip(b"\0") != MAGIC:
        raise ValueError(f"{len(raw)} bytes are no journal")
    words = memoryview(raw).cast("Q")
    rings = []
    for ring in (EVENTS, LETTERS):
        written = words[_COUNTS + ring]
        oldest = max(0, written - RECORDS + 1)  # the one before may be being overwritten
        rings.append(tuple(_entry(raw, ring, number) for number in range(written - 1, oldest - 1, -1)))
    reasons = {}
    for number in range(REASONS):
        at = _REASONS_AT + number * _REASON_BYTES
        if count := words[at // 8]:
            reasons[raw[at + 8 : at + _REASON_BYTES].rstrip(b"\0").decode("utf-8", "replace")] = count
    return JournalView(rings[EVENTS], rings[LETTERS], reasons)


def _entry(raw: bytes, ring: int, number: int) -> Entry:
    at = _RINGS_AT[ring] + number % RECORDS * RECORD_BYTES
    when, address, worker, *lengths = _RECORD.unpack_from(raw, at)
    at += _RECORD.size
    texts = []
    for length in lengths:
        texts.append(raw[at : at + length].decode("utf-8", "replace"))
        at += length
    kind, who, text = texts
    return Entry(when, kind, text, who, address, None if worker == _NO_WORKER else worker)


def _cut(text: str, limit: int) -> bytes:
    """Return at most `limit` bytes of UTF-8, cut between two characters."""
    raw = text.encode("utf-8", "replace")
    return raw if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore").encode()
